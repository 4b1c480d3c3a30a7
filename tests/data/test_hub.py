"""Encoders to and from a hub: a pretended one on this machine, never a live one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")
pytest.importorskip("huggingface_hub")

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.cli import main
from audioinv.data.hub import is_hub_name
from tests.data.pretend_hub import Hub, pretend_hub

SPACE = ai.DescriptorSpace({"pitch": ["pitch_shift"], "noise": ["white_noise"]})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """Where the hub's own client looks for it."""
    from huggingface_hub import constants, hf_api

    with pretend_hub() as (address, held):
        for module in (constants, hf_api):
            monkeypatch.setattr(module, "ENDPOINT", address, raising=False)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_pretended")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.chdir(tmp_path)
        yield held


@pytest.fixture
def encoder() -> ai.Encoder:
    front = ai.modality("audio").frontend("log_mel", sample_rate=8000, clip_s=0.5, n_bins=24)
    with seeded(0, "encoder"):
        network = ai.backbone("resnet10t", (1, 24, 8), width=0.125, dim=8)
        made = ai.Encoder(front, network, "norm", SPACE)
    made.calibrate([torch.randn(32, 4000, generator=generator(0, "x"))])
    return made


X = torch.randn(3, 4000, generator=generator(1, "x"))


def test_what_was_pushed_is_pulled(hub: type[Hub], encoder: ai.Encoder, tmp_path: Path) -> None:
    address = encoder.push_to_hub("me/mine", "cc-by-4.0")
    assert address.startswith("http://127.0.0.1") and address.endswith("/me/mine")
    held = hub.repos["me/mine"]
    assert set(held) == {"README.md", "encoder.json", "encoder.safetensors"}
    card = held["README.md"].decode()
    assert "license: cc-by-4.0" in card and 'load_encoder("me/mine")' in card
    assert "statistics of 4 corners" in card and "- `noise`: white_noise" in card
    for loaded in (ai.load_encoder("me/mine"), ai.Encoder.from_pretrained("me/mine")):
        assert torch.equal(loaded.at("-pitch")(X), encoder.at("-pitch")(X))
    assert main(["hub", "pull", "me/mine", "--out", str(tmp_path / "theirs")]) == 0
    assert (tmp_path / "theirs" / "README.md").read_bytes() == held["README.md"]
    assert torch.equal(ai.load_encoder(tmp_path / "theirs").at("all")(X), encoder.at("all")(X))
    soundfile.write(tmp_path / "a.wav", X[0].numpy().clip(-1, 1), 8000)
    words = ["embed", str(tmp_path / "a.wav"), "--encoder", "me/mine"]
    assert main([*words, "--out", str(tmp_path / "a.npy")]) == 0
    found = torch.from_numpy(np.load(tmp_path / "a.npy"))
    assert torch.equal(found, encoder.embed(tmp_path / "a.wav"))


def test_nothing_else_is_downloaded(hub: type[Hub], encoder: ai.Encoder, tmp_path: Path) -> None:
    encoder.push_to_hub("me/mine", "apache-2.0")
    hub.repos["me/mine"] |= {"pytorch_model.bin": pickle.dumps({}), "modelling.py": b"exit()"}
    ai.load_encoder("me/mine")
    assert sorted(hub.asked) == ["README.md", "encoder.json", "encoder.safetensors"]


def test_what_is_not_there_is_said(hub: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"me/nothing is no folder here.*give a folder"):
        ai.load_encoder("me/nothing")
    hub.repos["me/other"] = {"README.md": b"of another library"}
    with pytest.raises(UserError, match="me/other on the hub holds no encoder"):
        ai.load_encoder("me/other")


def test_without_a_connection_it_says_so(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="me/mine is no folder here, and the hub gave no such"):
        ai.load_encoder("me/mine")


def test_a_path_is_never_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp").mkdir()
    assert is_hub_name("me/my-encoder.v2")
    assert not any(
        map(is_hub_name, ("exp/mine", "encoder", "a/b/c", "/a/b", "../a", "me/", "a b/c"))
    )
    with pytest.raises(UserError, match="OWNER/NAME"):
        ai.Encoder.push_to_hub(_Nothing(), "mine", "mit", card="x")  # type: ignore[arg-type]


class _Nothing:
    def save(self, folder: Path) -> None: ...
