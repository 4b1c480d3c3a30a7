"""Sonograph: what is measured in a sound is what its factors say; the corpus is as promised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import butter, hilbert, sosfiltfilt
from torch import Tensor

from audioinv.audio import synthesis as sonograph_synthesis
from audioinv.audio.corpora import sonograph
from audioinv.audio.io import read
from audioinv.audio.synthesis import FACTORS, draw, synthesise
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data.manifest import read_manifest
from audioinv.data.validate import validate

SAMPLE_RATE = 16000
# A bare tone: no vibrato, no pulsing, sounding nearly steadily from the start, hardly any noise.
STEADY = {
    "vibrato_depth": 0.0,
    "pulse_depth": 0.0,
    "attack": 0.005,
    "decay": 1e6,
    "onset": -1.0,
    "snr": 200.0,
}


def sound(**fixed: float) -> np.ndarray:
    """One sound with some factors fixed and the others at their defaults."""
    factors = draw(1, generator(0), varied=(), fixed=fixed)
    factors = {name: values.double() for name, values in factors.items()}
    return synthesise(factors, SAMPLE_RATE, SAMPLE_RATE, generator(1))[0].numpy()


def peaks_db(samples: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """The level of a spectral peak near each frequency, in dB."""
    spectrum = np.abs(np.fft.rfft(samples * np.blackman(len(samples))))
    bins = np.round(frequencies * len(samples) / SAMPLE_RATE).astype(int)
    return np.array([20 * np.log10(spectrum[b - 4 : b + 5].max()) for b in bins])


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples**2)))


def amplitude(samples: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """The smoothed amplitude over time: the magnitude of the analytic signal, low-passed."""
    low_pass = butter(4, cutoff_hz, fs=SAMPLE_RATE, output="sos")
    return np.asarray(sosfiltfilt(low_pass, np.abs(hilbert(samples))))


def test_same_seed_same_audio_whatever_the_chunk_size_and_the_rows_after() -> None:
    factors = draw(7, generator(3))
    whole = synthesise(factors, 4000, SAMPLE_RATE, generator(4))
    for chunk_size in (1, 3, 7):
        again = synthesise(factors, 4000, SAMPLE_RATE, generator(4), chunk_size)
        torch.testing.assert_close(again, whole, atol=1e-6, rtol=0)
    fewer = {name: values[:4] for name, values in factors.items()}
    start = synthesise(fewer, 4000, SAMPLE_RATE, generator(4))
    torch.testing.assert_close(start, whole[:4], atol=1e-6, rtol=0)
    assert not torch.allclose(
        synthesise(factors, 4000, SAMPLE_RATE, generator(5)), whole, atol=1e-3
    )


def test_single_precision_is_accurate() -> None:
    factors = draw(8, generator(0), fixed={"pitch": 80.0, "tilt": 0.0})
    double = {name: values.double() for name, values in factors.items()}
    single = synthesise(factors, SAMPLE_RATE, SAMPLE_RATE, generator(1))
    error = single - synthesise(double, SAMPLE_RATE, SAMPLE_RATE, generator(1))
    assert rms_db(error.numpy()) < rms_db(single.numpy()) - 90


@pytest.mark.parametrize("pitch", [45.0, 57.3, 80.0])
def test_fundamental_frequency_is_the_pitch(pitch: float) -> None:
    samples = sound(**STEADY, pitch=pitch)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16 * len(samples)))
    expected = 440 * 2 ** ((pitch - 69) / 12)
    near = slice(int(16 * expected * 0.8), int(16 * expected * 1.2))  # bins are 1/16 Hz
    measured = (np.argmax(spectrum[near]) + near.start) / 16
    assert measured == pytest.approx(expected, abs=0.2)
    assert spectrum[: near.start].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize("tilt", [-14.0, -6.0, 0.0])
def test_tilt_is_the_slope_of_the_harmonics(tilt: float) -> None:
    samples = sound(**STEADY, tilt=tilt)
    numbers = np.arange(1, 17)
    levels = peaks_db(samples, numbers * 261.6256)
    slope = np.polyfit(np.log2(numbers), levels, 1)[0]
    assert slope == pytest.approx(tilt, abs=0.1)


def test_even_level_is_the_level_of_even_harmonics() -> None:
    levels = peaks_db(sound(**STEADY, tilt=0.0, even_level=-18.0), np.arange(1, 11) * 261.6256)
    assert levels[1::2].mean() - levels[::2].mean() == pytest.approx(-18, abs=0.2)


def test_emphasis_raises_the_emphasised_harmonic_at_any_pitch() -> None:
    for pitch in (48.0, 72.0):
        frequencies = np.arange(1, 9) * 440 * 2 ** ((pitch - 69) / 12)
        samples = sound(**STEADY, pitch=pitch, tilt=0.0, emphasis=15.0, emphasised_harmonic=5.0)
        levels = peaks_db(samples, frequencies)
        assert np.argmax(levels) == 4
        assert levels[4] - levels[0] == pytest.approx(15, abs=0.2)


def test_harmonics_fade_out_before_nyquist_without_aliases() -> None:
    samples = sound(**STEADY, pitch=80.0, tilt=0.0)
    fundamental = 440 * 2 ** (11 / 12)
    alias = SAMPLE_RATE - fundamental * np.arange(11, 15)
    levels = peaks_db(samples, np.concatenate([[fundamental], alias]))
    assert (levels[1:] < levels[0] - 60).all()


def test_vibrato_swings_the_frequency_by_its_depth_at_its_rate() -> None:
    vibrato = {"vibrato_depth": 0.5, "vibrato_rate": 5.0}
    samples = sound(**STEADY | vibrato, pitch=69.0, tilt=-60.0)  # practically a sine
    frequency = np.diff(np.unwrap(np.angle(hilbert(samples)))) * SAMPLE_RATE / (2 * np.pi)
    frequency = frequency[800:-800]
    assert frequency.max() == pytest.approx(440 * 2 ** (0.5 / 12), abs=0.5)
    spectrum = np.abs(np.fft.rfft((frequency - 440) * np.hanning(len(frequency)), 160000))
    assert np.argmax(spectrum) / 10 == pytest.approx(5, abs=0.15)  # bins are 0.1 Hz


@pytest.mark.parametrize("rate", [4.0, 9.0, 16.0])
def test_pulse_rate_and_depth(rate: float) -> None:
    samples = sound(**STEADY | {"pulse_depth": 0.8}, pulse_rate=rate, tilt=-60.0)
    envelope = amplitude(samples, 60)[800:-800]
    assert envelope.min() / envelope.max() == pytest.approx(0.2, abs=0.02)
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)), 160000))
    assert np.argmax(spectrum) / 10 == pytest.approx(rate, abs=0.15)  # bins are 0.1 Hz


@pytest.mark.parametrize("onset", [0.1, 0.37])
def test_onset_is_where_the_amplitude_passes_one_half(onset: float) -> None:
    envelope = amplitude(sound(**STEADY | {"onset": onset, "attack": 0.03}, tilt=-60.0), 200)
    half = np.argmax(envelope > envelope[-4000:-1000].mean() / 2) / SAMPLE_RATE
    assert half == pytest.approx(onset, abs=0.002)


def test_attack_and_decay_times() -> None:
    shape = {"onset": 0.2, "attack": 0.05}
    rising = amplitude(sound(**STEADY | shape, tilt=-60.0), 200)
    rising = rising / rising[-4000:-1000].mean()
    rise_s = (np.argmax(rising > 0.9) - np.argmax(rising > 0.1)) / SAMPLE_RATE
    assert rise_s == pytest.approx(0.05 * np.log(81) / 4, abs=0.003)
    falling = amplitude(sound(**STEADY | {"onset": 0.1, "decay": 0.3}, tilt=-60.0), 200)
    assert falling[6400] / falling[11200] == pytest.approx(np.e, rel=0.02)  # 0.3 s apart


@pytest.mark.parametrize("level", [-40.0, -20.0])
def test_level_is_the_rms_of_the_steady_tone(level: float) -> None:
    for shape in ({"tilt": -12.0}, {"tilt": 0.0, "even_level": -20.0}, {"emphasis": 20.0}):
        samples = sound(**STEADY, **shape, level=level, pitch=60.0)
        assert rms_db(samples) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("snr", [10.0, 30.0])
def test_snr_is_the_steady_tone_over_the_noise_before_it(snr: float) -> None:
    samples = sound(**STEADY | {"onset": 0.5, "snr": snr})
    noise, mixture = rms_db(samples[:7500]), rms_db(samples[-7500:])
    tone = 10 * np.log10(10 ** (mixture / 10) - 10 ** (noise / 10))
    assert tone - noise == pytest.approx(snr, abs=0.3)


@pytest.mark.parametrize("name", FACTORS)
def test_gradient_of_every_factor_matches_finite_differences(name: str) -> None:
    fixed = {
        "pulse_depth": 0.7,
        "vibrato_depth": 0.3,
        "emphasis": 9.0,
        "even_level": -6.0,
        "level": 0.0,
    }
    base = draw(2, generator(0), fixed=fixed | {"onset": 0.03, "pitch": 81.0})
    base = {key: values.double() for key, values in base.items()}

    def render(values: Tensor) -> Tensor:
        return synthesise(base | {name: values}, 1600, SAMPLE_RATE, generator(1))

    values = base[name].clone().requires_grad_()
    weights = torch.randn(2, 1600, generator=generator(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((render(values) * weights).sum(), values)
    step = 1e-6 * values.detach().abs() + 1e-7
    ahead, behind = render(values.detach() + step), render(values.detach() - step)
    expected = ((ahead - behind) * weights).sum(1) / (2 * step)
    assert (expected.abs() > 1e-6).all()
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_second_order_gradients_exist() -> None:
    """The gradient penalty of InvCLR differentiates twice."""
    factors = {k: v.double().requires_grad_() for k, v in draw(1, generator(0)).items()}
    loss = synthesise(factors, 400, SAMPLE_RATE, generator(1)).square().sum()
    (gradient,) = torch.autograd.grad(loss, factors["tilt"], create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), factors["tilt"])
    assert torch.isfinite(second).all() and second.ne(0).all()


def test_draws_fill_their_ranges_along_their_scale() -> None:
    for name, values in draw(4000, generator(0)).items():
        factor = FACTORS[name]
        assert factor.low <= values.min() and values.max() <= factor.high
        middle = (factor.low + factor.high) / 2
        if factor.scale == "log":
            middle = (factor.low * factor.high) ** 0.5
        assert (values < middle).double().mean() == pytest.approx(0.5, abs=0.04)


def test_what_is_not_varied_is_fixed_or_at_its_default_and_moves_nothing_else() -> None:
    onsets = torch.linspace(0, 1, 5)
    everything = draw(5, generator(0))
    some = draw(5, generator(0), varied=["pitch", "level"], fixed={"onset": onsets, "level": -30.0})
    assert torch.equal(some["pitch"], everything["pitch"])
    assert torch.equal(some["onset"], onsets)
    assert some["level"].tolist() == [-30.0] * 5
    assert some["tilt"].tolist() == [FACTORS["tilt"].default] * 5


def test_wrong_factors_are_refused() -> None:
    with pytest.raises(UserError, match="loudness"):
        draw(2, generator(0), varied=["loudness"])
    factors = draw(2, generator(0))
    with pytest.raises(UserError, match="tilt"):
        synthesise({k: v for k, v in factors.items() if k != "tilt"}, 9, 8000, generator(0))
    with pytest.raises(UserError, match="one length"):
        synthesise(factors | {"tilt": torch.zeros(3)}, 9, 8000, generator(0))


def test_classes_are_balanced_independent_and_what_the_factors_say() -> None:
    factors, labels = sonograph.draw_labelled(1000, generator(0))
    for name, n_classes in (("pitch_class", 12), ("timbre", 8)):
        _, counts = np.unique(labels[name], return_counts=True)
        assert len(counts) == n_classes and counts.max() - counts.min() <= 1
    note = factors["pitch"].round().int()
    assert [sonograph.PITCH_CLASSES[i] for i in (note % 12).tolist()] == labels["pitch_class"]
    assert note.min() == 45 and note.max() == 68
    for index, timbre in enumerate(labels["timbre"]):
        words = timbre.split("-")
        for word, (name, choices) in zip(words, sonograph.TIMBRE.items(), strict=True):
            low, high = choices[word]
            assert low - 1e-4 <= factors[name][index] <= high + 1e-4
    bright = np.array([t.startswith("bright") for t in labels["timbre"]])
    assert abs(np.corrcoef(bright, factors["pitch"])[0, 1]) < 0.1
    assert np.allclose(2 ** np.array(labels["pulse"]), factors["pulse_rate"])


SIZES = {"n_train": 24, "n_valid": 12, "n_test": 12}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sonograph")
    return folder / "root", sonograph.prepare(folder / "root", folder / "out", **SIZES)


def test_the_manifest_is_valid_and_its_splits_are_disjoint(prepared: tuple[Path, Path]) -> None:
    root, path = prepared
    manifest = read_manifest(path)
    assert manifest.root.samefile(root)
    assert validate(manifest) == []  # also finds audio that two splits share
    assert manifest.frame["split"].value_counts().to_dict() == {
        "train": 24,
        "valid": 12,
        "test": 12,
    }
    assert manifest.frame["path"].is_unique
    assert manifest.frame["onset"].is_unique  # no sound is drawn twice, under other noise
    assert [task.name for task in manifest.corpus.tasks] == [
        "pitch_class", "timbre", "pulse", "onset", "level",
    ]  # fmt: skip


def test_the_files_hold_what_the_manifest_says(prepared: tuple[Path, Path]) -> None:
    manifest = read_manifest(prepared[1])
    for _, row in manifest.frame[:12].iterrows():
        samples, rate = read(manifest.path(row))
        assert (samples.shape, rate) == ((SAMPLE_RATE, 1), SAMPLE_RATE)
        before = round((row["onset"] - 2 * float(row["attack"])) * rate)
        noise = rms_db(samples[: max(before, 400), 0])
        assert noise == pytest.approx(row["level"] - float(row["snr"]), abs=1.5)
        assert np.abs(samples).max() < 0.99


def test_preparing_again_reuses_files_and_restores_missing_ones(
    prepared: tuple[Path, Path],
) -> None:
    root, path = prepared
    files = sorted(root.rglob("*.wav"))
    lost, kept = files[0], files[1]
    content, table, written = lost.read_bytes(), path.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    sonograph.prepare(root, path.parent, **SIZES)
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == written
    assert path.read_bytes() == table


def test_preparing_again_renders_nothing(
    prepared: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sonograph_synthesis, "synthesise", None)
    sonograph.prepare(prepared[0], prepared[1].parent, **SIZES)


def test_files_of_another_make_are_never_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="did not make it"):
        sonograph.prepare(tmp_path, tmp_path / "out", **SIZES)


def test_other_settings_do_not_mix_with_what_is_there(prepared: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="other settings"):
        sonograph.prepare(prepared[0], prepared[1].parent, seed=1, **SIZES)


@pytest.mark.parametrize(
    ("option", "value"), [("n_test", 0), ("sample_rate", 100), ("duration_s", 0.1)]
)
def test_bad_options_are_refused(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(UserError, match=option):
        sonograph.prepare(tmp_path, tmp_path, **{option: value})
