from __future__ import annotations

from types import ModuleType

import librosa
import pytest
import torch

from audioinv.audio.augment import PitchShift


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_tones_move_by_the_cent_and_keep_their_level(sample_rate: int, sounds: ModuleType) -> None:
    semitones = torch.arange(-15.0, 15.1, 2.5)[:, None]
    for frequency in (197.0, 440.0, 1003.0):
        x = sounds.tone(frequency, sample_rate, sample_rate).expand(len(semitones), -1)
        y = PitchShift(sample_rate).apply(x, semitones)
        middle = y[:, sample_rate // 4 : 3 * sample_rate // 4]
        for row, shift in zip(middle, semitones[:, 0].tolist(), strict=True):
            found, amplitude = sounds.measure_tone(row, sample_rate)
            assert sounds.cents(found, frequency * 2 ** (shift / 12)) < 1
            assert abs(sounds.db(amplitude)) < 0.5


def test_tones_high_up_keep_their_level(sounds: ModuleType) -> None:
    semitones = torch.tensor([[-15.0], [-7.0], [-0.5], [0.5], [2.0]])
    y = PitchShift(8000).apply(sounds.tone(3200.0, 8000, 8000).expand(5, -1), semitones)
    for row in y[:, 2000:6000]:
        _, amplitude = sounds.measure_tone(row, 8000)
        assert abs(sounds.db(amplitude)) < 0.5


def test_nothing_folds_back_from_beyond_nyquist(sounds: ModuleType) -> None:
    x = sounds.tone(3000.0, 8000, 8000)[None]  # an octave up there is no room for it
    y = PitchShift(8000).apply(x, torch.tensor([[12.0]]))
    assert y[0, 2000:6000].square().mean() < 1e-5 * x.square().mean()


def test_events_keep_their_time(sounds: ModuleType) -> None:
    x = torch.zeros(2, 16000)
    x[:, 8000:9600] = sounds.harmonic(300.0, 16000, 1600)
    y = PitchShift(16000).apply(x, torch.tensor([[-7.0], [7.0]]))
    time = torch.arange(16000.0)
    centre = (y.square() * time).sum(1) / y.square().sum(1)
    assert (centre - 8800).abs().max() < 320  # 20 ms


@pytest.mark.slow  # librosa compiles itself for 15 s
@pytest.mark.parametrize("semitones", [-12.0, -5.0, 4.0, 9.0])
def test_sounds_like_librosa(semitones: float, sounds: ModuleType) -> None:
    x = sounds.harmonic(220.0, 16000, 16000) * torch.linspace(1, 0.2, 16000)
    ours = PitchShift(16000).apply(x[None], torch.tensor([[semitones]]))[0]
    theirs = librosa.effects.pitch_shift(x.numpy(), sr=16000, n_steps=semitones, n_fft=1024)
    inside = slice(2000, 14000)
    assert sounds.spectral_similarity(ours[inside], torch.tensor(theirs)[inside], 1024) > 0.98


def test_long_clips_keep_their_precision(sounds: ModuleType) -> None:
    n = 30 * 16000
    y = PitchShift(16000).apply(sounds.tone(5000.0, 16000, n)[None], torch.tensor([[3.3]]))[0]
    end = y[-32000:-8000].double()
    found, amplitude = sounds.measure_tone(end, 16000)
    residue = end.square().mean() - amplitude**2 / 2
    assert sounds.cents(found, 5000 * 2 ** (3.3 / 12)) < 1
    assert residue < 1e-4 * amplitude**2  # positions in single precision leave 1e-2 of it
