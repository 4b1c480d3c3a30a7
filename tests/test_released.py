"""The encoders that come with the package: small, whole, described, and found by name alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import audioinv as ai
from audioinv.audio.anything import draw_sound
from audioinv.base.errors import UserError
from audioinv.data.hub import RELEASED, released

MOST_BYTES = 8_000_000
NAMES = ("audioinv/notes-and-noises", "audioinv/sounds-and-voices")


def test_they_are_those_that_are_promised_and_small() -> None:
    assert tuple(released()) == NAMES
    files = [path for path in RELEASED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.name for path in files} == {"README.md", "encoder.json", "encoder.safetensors"}


@pytest.mark.parametrize("name", NAMES)
def test_its_descriptor_acts_and_a_clip_keeps_its_features(name: str) -> None:
    encoder = ai.load_encoder(name)
    clips = torch.stack(
        [torch.from_numpy(draw_sound(9, k, 16000, 16000).samples).float() for k in range(12)]
    )
    features = {text: encoder.embed(clips, text) for text in ("all", "-pitch_shift", "-noise")}
    alone = encoder.embed(clips[3], "-pitch_shift")

    torch.testing.assert_close(alone[0], features["-pitch_shift"][3], rtol=1e-4, atol=1e-4)
    for text in ("-pitch_shift", "-noise"):
        moved = (features[text] - features["all"]).norm(dim=1)
        assert (moved > 0.02 * features["all"].norm(dim=1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_pitch_is_followed_where_the_descriptor_says_so(name: str) -> None:
    encoder = ai.load_encoder(name)
    octave = torch.linspace(0, 1, 9)
    time = torch.arange(16000) / 16000
    base = torch.tensor([[k * 220.0] for k in range(1, 7)])
    tones = torch.stack([(6.28 * base * 2**o * time).sin().mean(0) * 0.5 for o in octave])

    def spread(descriptor: str) -> float:
        unit = torch.nn.functional.normalize(encoder.embed(tones, descriptor), dim=1)
        return float(1 - (unit @ unit.T).mean())

    assert spread("-pitch_shift") > 1.1 * spread("all")


@pytest.mark.parametrize("name", NAMES)
def test_its_card_tells_data_licence_and_limits(name: str) -> None:
    card = (RELEASED / name.partition("/")[2] / "README.md").read_text(encoding="utf-8")
    for told in (f'load_encoder("{name}")', "Licence of the data", "Limits", "CC0-1.0"):
        assert told in card
    assert "statistics of 16 corners" in card
    assert ("license: cc-by-sa-4.0" in card) == ("CC-BY-SA" in card), "what was asked to be shared"


def test_a_name_like_theirs_is_answered_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="did you mean audioinv/notes-and-noises"):
        ai.load_encoder("audioinv/notes-and-noise")
    (tmp_path / "audioinv" / "notes-and-noises").mkdir(parents=True)
    assert ai.load_encoder(NAMES[0]).dim > 0, "a folder of that name hides nothing"
