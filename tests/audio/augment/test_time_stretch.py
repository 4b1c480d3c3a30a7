from __future__ import annotations

from types import ModuleType

import librosa
import pytest
import torch

from audioinv.audio.augment import TimeStretch

RATES = torch.arange(0.5, 1.51, 0.125)[:, None]


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_tones_keep_their_pitch_and_level(sample_rate: int, sounds: ModuleType) -> None:
    for frequency in (197.0, 1003.0):
        x = sounds.tone(frequency, sample_rate, sample_rate).expand(len(RATES), -1)
        y = TimeStretch(sample_rate).apply(x, RATES)
        for row in y[:, sample_rate // 8 : sample_rate // 2]:
            found, amplitude = sounds.measure_tone(row, sample_rate)
            assert sounds.cents(found, frequency) < 1
            assert abs(sounds.db(amplitude)) < 0.5


def test_events_move_to_their_time_divided_by_the_rate(sounds: ModuleType) -> None:
    x = torch.zeros(len(RATES), 16000)
    x[:, 6000:6800] = sounds.harmonic(300.0, 16000, 800)
    y = TimeStretch(16000).apply(x, RATES)
    centre = (y.square() * torch.arange(16000.0)).sum(1) / y.square().sum(1)
    assert (centre - 6400 / RATES[:, 0]).abs().max() < 320  # 20 ms


def test_a_fast_clip_ends_in_silence_and_a_slow_one_is_cut(sounds: ModuleType) -> None:
    x = sounds.harmonic(300.0, 8000, 8000).expand(2, -1)
    y = TimeStretch(8000).apply(x, torch.tensor([[1.5], [0.5]]))
    end = 8000 * 2 // 3
    assert y[0, : end - 512].square().mean() > 0.5 * x[0].square().mean()
    assert y[0, end + 768 :].abs().max() == 0
    assert y[1, -1000:].square().mean() > 0.5 * x[0].square().mean()


def test_a_rate_next_to_one_changes_next_to_nothing_at_the_edges_too(sounds: ModuleType) -> None:
    x = sounds.noise(2, 4000)
    y = TimeStretch(8000).apply(x, torch.full((2, 1), 1 - 1e-6))
    torch.testing.assert_close(y, x, atol=1e-3, rtol=0)


@pytest.mark.slow  # librosa compiles itself for 15 s
@pytest.mark.parametrize("rate", [0.6, 0.9, 1.2, 1.5])
def test_sounds_like_librosa(rate: float, sounds: ModuleType) -> None:
    x = sounds.harmonic(220.0, 16000, 16000) * torch.linspace(1, 0.2, 16000)
    ours = TimeStretch(16000).apply(x[None], torch.tensor([[rate]]))[0]
    theirs = torch.tensor(librosa.effects.time_stretch(x.numpy(), rate=rate, n_fft=1024))
    inside = slice(2000, 9000)
    assert sounds.spectral_similarity(ours[inside], theirs[inside], 1024) > 0.98
