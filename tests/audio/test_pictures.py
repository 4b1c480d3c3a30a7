"""What is shown of a sound, against independent calculations."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch

from audioinv.audio.augment import WhiteNoise
from audioinv.audio.pictures import spectrogram, write_loud_clip
from audioinv.data.pack import Pack


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_spectrogram_puts_a_full_scale_tone_at_its_frequency(sample_rate: int) -> None:
    tone = np.sin(2 * np.pi * 2000 * np.arange(sample_rate) / sample_rate)
    axes = spectrogram(tone, sample_rate).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    loudest = shown.mean(1).argmax() + 0.5
    places = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    assert loudest == pytest.approx(places["2"], abs=1.5)
    assert -8 < shown.max() < 0.1
    assert axes.get_xlim() == pytest.approx((0, 1))


def test_white_noise_looks_level() -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=80000)
    shown = np.asarray(spectrogram(noise, 16000).axes[0].images[0].get_array())
    bands = shown.mean(1)[8:-1]
    assert np.ptp(bands) < 3


def test_silence_is_drawn_as_silence() -> None:
    shown = spectrogram(np.zeros(8000), 8000).axes[0].images[0].get_array()
    assert np.asarray(shown).max() < -80


def test_each_side_of_an_example_is_seen_and_heard(tmp_path: Path) -> None:
    """A spectrogram and a wav file, named in the order in which they are shown."""
    clip = 0.1 * torch.sin(torch.arange(4000) * 0.3)

    class OnePack:
        frame, size = {"split": np.array(["test"])}, 8000

    pack: Pack = OnePack()  # type: ignore[assignment]
    told = write_loud_clip(WhiteNoise(), lambda *given: clip[None], None, pack, tmp_path)  # type: ignore[arg-type]
    assert told["shown"] and told["note"]
    for side in ("before", "after"):
        picture, sound = (tmp_path / name for name in told[side])
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")
        samples, rate = soundfile.read(sound)
        assert rate == 8000 and len(samples) == 4000 and np.abs(samples).max() > 0.05
