"""Pitch shift and time stretch in one pass of the vocoder."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from torch import Tensor

from audioinv.audio.augment import PitchShift, TimeStretch, build_bank
from audioinv.audio.frontend import LogMel
from audioinv.core.bank import AugmentationBank

RATE = 16000
SEMITONES = torch.tensor([-15.0, -7.0, -2.5, 0.7, 4.0, 12.0])
RATES = torch.tensor([0.5, 1.4, 0.8, 1.2, 0.62, 1.5])


def bank(**options: object) -> AugmentationBank:
    return build_bank(RATE, names=["pitch_shift", "time_stretch"], **options)


def parameters() -> dict[str, Tensor]:
    return {"pitch_shift": SEMITONES[:, None], "time_stretch": RATES[:, None]}


def one_after_the_other(x: Tensor) -> Tensor:
    shifted = PitchShift(RATE).apply(x, SEMITONES[:, None])
    return TimeStretch(RATE).apply(shifted, RATES[:, None])


def test_tones_have_pitch_and_level(sounds: ModuleType) -> None:
    for frequency in (197.0, 1003.0):
        x = sounds.tone(frequency, RATE, RATE).expand(6, -1)
        y = bank().apply(x, parameters())
        for row, semitones in zip(y[:, 2000:8000], SEMITONES.tolist(), strict=True):
            found, amplitude = sounds.measure_tone(row, RATE)
            assert sounds.cents(found, frequency * 2 ** (semitones / 12)) < 1
            assert abs(sounds.db(amplitude)) < 0.5


def test_events_move_to_their_time_divided_by_the_rate(sounds: ModuleType) -> None:
    x = torch.zeros(6, RATE)
    x[:, 6000:6800] = sounds.harmonic(300.0, RATE, 800)
    y = bank().apply(x, parameters())
    centre = (y.square() * torch.arange(float(RATE))).sum(1) / y.square().sum(1)
    assert (centre - 6400 / RATES).abs().max() < 480  # 30 ms


def bent(f0: float, semitones: float = 0.0, rate: float = 1.0) -> Tensor:
    """Harmonics that die away, made anew at another pitch and speed."""
    time = torch.arange(RATE, dtype=torch.float64)
    envelope = (1 - 0.8 * time * rate / RATE) * (time * rate < RATE)
    raised = [k * f0 * 2 ** (semitones / 12) for k in range(1, 9)]
    partials = [torch.sin(2 * math.pi * f * time / RATE + 0.3) / k for k, f in enumerate(raised, 1)]
    return (torch.stack(partials).sum(0) * envelope / 3).float()


def test_spectra_are_within_a_decibel_of_the_truth_and_of_one_after_the_other() -> None:
    """And nearer to the truth: the second vocoder is left out."""
    f0 = [110 * 1.3**k for k in range(6)]
    x = torch.stack([bent(f) for f in f0])
    settings = zip(f0, SEMITONES.tolist(), RATES.tolist(), strict=True)
    truth, joint, apart = (
        LogMel(RATE, floor_db=-60.0).decibels(y)
        for y in (
            torch.stack([bent(*row) for row in settings]),
            bank().apply(x, parameters()),
            one_after_the_other(x),
        )
    )
    loud = truth > truth.amax((1, 2), keepdim=True) - 30
    error, error_apart, difference = (
        float((a - b).abs()[loud].mean())
        for a, b in ((joint, truth), (apart, truth), (joint, apart))
    )
    assert error < error_apart < 1.0 and difference < 1.0


def test_only_examples_with_both_take_the_one_pass(sounds: ModuleType) -> None:
    x = sounds.noise(4, 4000)
    params = {
        "pitch_shift": torch.tensor([[0.0], [3.0], [0.0], [3.0]]),
        "time_stretch": torch.tensor([[1.0], [1.0], [0.8], [0.8]]),
    }
    y = bank().apply(x, params)
    assert torch.equal(y[0], x[0])
    torch.testing.assert_close(y[1:2], PitchShift(RATE).apply(x[1:2], params["pitch_shift"][1:2]))
    torch.testing.assert_close(y[2:3], TimeStretch(RATE).apply(x[2:3], params["time_stretch"][2:3]))
    assert (y[3] - y[1]).abs().max() > 0.1 and (y[3] - y[2]).abs().max() > 0.1


def test_gradients_reach_both_parameters_and_the_clips(sounds: ModuleType) -> None:
    x = sounds.harmonic(217.0, RATE, 4000, torch.float64)[None].requires_grad_()
    semitones = torch.tensor([[4.3]], dtype=torch.float64, requires_grad=True)
    rates = torch.tensor([[0.83]], dtype=torch.float64, requires_grad=True)
    weight = sounds.noise(1, 4000, dtype=torch.float64)

    def loss(s: Tensor, r: Tensor) -> Tensor:
        return (bank().apply(x, {"pitch_shift": s, "time_stretch": r}) * weight).sum()

    found = torch.autograd.grad(loss(semitones, rates), (semitones, rates, x))
    assert found[2].abs().max() > 0
    step = 1e-6
    for k, name in enumerate(("pitch_shift", "time_stretch")):
        move = [step * (j == k) for j in range(2)]
        high = loss(semitones + move[0], rates + move[1])
        low = loss(semitones - move[0], rates - move[1])
        expected = float((high - low).detach() / (2 * step))
        assert float(found[k]) == pytest.approx(expected, rel=1e-3), name


def test_a_bank_in_another_order_or_with_one_of_them_has_no_one_pass() -> None:
    assert bank().joint["pitch_shift"][0] == "time_stretch"
    assert not build_bank(RATE, names=["pitch_shift", "fade"]).joint
    assert PitchShift(8000).joined(TimeStretch(RATE)) is None  # windows of other lengths
