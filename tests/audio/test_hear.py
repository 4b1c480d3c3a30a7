"""Modules of the HEAR API: run only if trusted, and then backbones like others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audioinv.audio.hear import TRUSTED_MODULES, Hear
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import build_frontend

HEAR = """
import torch

class Model(torch.nn.Module):
    scene_embedding_size = 3
    sample_rate = 8000
    def __init__(self, scale):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(float(scale)))

def load_model(model_file_path="2"):
    return Model(model_file_path)

def get_scene_embeddings(audio, model):
    return model.scale * torch.stack([audio.mean(1), audio.std(1), audio.amax(1)], 1)
"""


@pytest.fixture
def hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable module of the HEAR API, not trusted yet."""
    (tmp_path / "audioinv_test_hear.py").write_text(HEAR)
    (tmp_path / "audioinv_test_lacking.py").write_text("version = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    trusted = set(TRUSTED_MODULES)
    yield "audioinv_test_hear"
    TRUSTED_MODULES.clear()
    TRUSTED_MODULES.update(trusted)
    for name in ("audioinv_test_hear", "audioinv_test_lacking"):
        sys.modules.pop(name, None)


def test_a_module_of_the_hear_api_is_not_run_unless_trusted(hear: str) -> None:
    with pytest.raises(UserError, match=r"trusted_modules=\[audioinv_test_hear\]"):
        Hear((1, 1, 4000), hear)
    assert hear not in sys.modules


def test_a_trusted_module_gives_its_scene_embeddings(hear: str) -> None:
    TRUSTED_MODULES.add(hear)
    x = torch.randn(4, 1, 1, 500, generator=generator(0, "x"))
    wave = x[:, 0, 0]
    expected = torch.stack([wave.mean(1), wave.std(1), wave.amax(1)], 1)
    network = Hear((1, 1, 500), hear)
    assert network.dim == 3
    torch.testing.assert_close(network(x), 2 * expected)
    assert not network(x).requires_grad
    torch.testing.assert_close(Hear((1, 1, 500), hear, weights="5")(x), 5 * expected)


def test_a_module_without_the_api_is_explained(hear: str) -> None:
    TRUSTED_MODULES.update({"audioinv_test_lacking", "audioinv_test_absent"})
    for name in ("audioinv_test_lacking", "audioinv_test_absent"):
        with pytest.raises(UserError, match=rf"'{name}'.*HEAR"):
            Hear((1, 1, 500), name)


def test_an_encoder_around_a_module_is_used_and_saved_as_any_other(
    hear: str, tmp_path: Path
) -> None:
    TRUSTED_MODULES.add(hear)
    frontend = build_frontend({"name": "waveform", "sample_rate": 8000, "clip_s": 0.5})
    backbone = {"name": "hear", "module": hear}
    space = DescriptorSpace.single(["a", "b"])
    encoder = AmortisedEncoder(frontend, backbone, {"name": "none"}, space)
    x = torch.randn(2, 4000, generator=generator(0, "x"))
    torch.testing.assert_close(encoder.at(space.all_on())(x), encoder(x, space.all_on()))
    encoder.save(tmp_path / "encoder")
    loaded = AmortisedEncoder.load(tmp_path / "encoder", build_frontend)
    assert torch.equal(loaded(x, space.all_on()), encoder(x, space.all_on()))
    TRUSTED_MODULES.discard(hear)
    with pytest.raises(UserError, match="trusted_modules"):
        AmortisedEncoder.load(tmp_path / "encoder", build_frontend)
