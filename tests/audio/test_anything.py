"""Sounds of the synthesiser: the same wherever they are drawn, of every kind, and as labelled."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioinv.audio.anything import KINDS, Clock, draw_sound

RATE = 16000


@given(number=st.integers(0, 10**9), seconds=st.sampled_from([0.25, 1.0]))
@settings(max_examples=40, deadline=None)
def test_every_sound_can_be_written_and_is_heard(number: int, seconds: float) -> None:
    n = round(seconds * RATE)
    sound = draw_sound(0, number, n, RATE)

    assert sound.samples.shape == (n,)
    assert np.isfinite(sound.samples).all()
    assert 1e-3 < np.abs(sound.samples).max() < 1
    assert sound.kind in KINDS
    assert np.isnan(sound.hz) or 20 < sound.hz < RATE / 2


def test_a_sound_depends_on_seed_and_number_alone() -> None:
    first = draw_sound(3, 17, 4000, RATE)
    draw_sound(3, 18, 4000, RATE)

    np.testing.assert_array_equal(first.samples, draw_sound(3, 17, 4000, RATE).samples)
    for other in (draw_sound(3, 18, 4000, RATE), draw_sound(4, 17, 4000, RATE)):
        assert np.abs(np.corrcoef(first.samples, other.samples)[0, 1]) < 0.5


def test_all_kinds_are_drawn_about_alike_and_those_with_a_pitch_tell_it() -> None:
    sounds = [draw_sound(0, number, 4000, RATE) for number in range(300)]
    counts = Counter(sound.kind for sound in sounds)

    assert set(counts) == set(KINDS)
    assert min(counts.values()) > 0.5 * len(sounds) / len(KINDS)
    pitched = {sound.kind for sound in sounds if not np.isnan(sound.hz)}
    assert pitched == {"harmonic", "struck", "modulated"}


@pytest.mark.parametrize("seed", range(12))
def test_a_harmonic_layer_repeats_at_the_fundamental_that_it_tells(seed: int) -> None:
    rate = 6 * RATE  # a lag in samples is then fine enough for any fundamental
    clock = Clock(rate, rate)
    wave, hz = KINDS["harmonic"](np.random.default_rng(seed), clock)

    window = round(3 * rate / hz)  # three periods: before any glide has gone far
    lags = np.arange(round(0.5 * rate / hz), round(1.5 * rate / hz) + 1)
    start = wave[:window]
    alike = [np.corrcoef(start, wave[lag : lag + window])[0, 1] for lag in lags]
    period = lags[int(np.argmax(alike))]

    assert max(alike) > 0.75
    assert abs(np.log2(period * hz / rate)) < 0.08
