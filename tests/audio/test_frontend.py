from __future__ import annotations

import math
import subprocess
import sys

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from torch import Tensor

from audioinv.audio.frontend import Frontend, LogFrequency, LogMel, LogMelStft, Waveform
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data.modality import build_frontend

RATE = 8000


def noise(n: int = 3, seconds: float = 1.0, rate: int = RATE) -> Tensor:
    fade = torch.logspace(-3, 0, round(seconds * rate))
    return 0.3 * torch.randn(n, len(fade), generator=generator(0, "noise")) * fade


def tone(hz: float) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * hz * torch.arange(RATE) / RATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_fft": 512, "hop": 160, "n_bins": 40},
        {"n_fft": 400, "hop": 200, "n_bins": 32, "min_hz": 50.0, "max_hz": 3000.0},
        {"sample_rate": 16000, "n_fft": 1024, "hop": 256, "n_bins": 128},
        {"sample_rate": 44100, "clip_s": 0.5, "n_fft": 2048, "hop": 441, "n_bins": 80},
    ],
)
def test_log_mel_is_librosas(settings: dict[str, float]) -> None:
    frontend = LogMel(**{"sample_rate": RATE, "n_bins": 64, **settings})
    config = frontend.config
    x = noise(seconds=config["clip_s"], rate=config["sample_rate"])
    ours = frontend.decibels(x)
    power = librosa.feature.melspectrogram(
        y=x.numpy(),
        sr=config["sample_rate"],
        n_fft=config["n_fft"],
        hop_length=config["hop"],
        n_mels=config["n_bins"],
        fmin=config["min_hz"],
        fmax=config["max_hz"],
        pad_mode="reflect",
    )
    theirs = librosa.power_to_db(power, top_db=None, amin=1e-10)
    assert ours.shape[1:] == frontend.output_size[1:]
    np.testing.assert_allclose(10 ** (ours / 10), 10 ** (theirs / 10), rtol=1e-4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_power_below_the_floor_counts_as_the_floor() -> None:
    silence = torch.zeros(1, RATE)
    for floor_db in (-100.0, -60.0):
        frontend = LogMel(RATE, n_bins=32, floor_db=floor_db)
        assert torch.allclose(frontend.decibels(silence), torch.tensor(floor_db), atol=1e-3)
        assert float(frontend.decibels(noise()).min()) >= floor_db - 1e-3


def log_frequency(bins_per_semitone: int = 2) -> LogFrequency:
    """`bins_per_semitone` bins a semitone over four octaves from 220 Hz."""
    n_bins = 4 * 12 * bins_per_semitone + 1
    return LogFrequency(RATE, n_fft=2048, n_bins=n_bins, min_hz=220.0, max_hz=3520.0)


@pytest.mark.parametrize("bins_per_semitone", [1, 2])
def test_a_semitone_moves_the_peak_by_its_bins(bins_per_semitone: int) -> None:
    frontend = log_frequency(bins_per_semitone)
    semitones = range(24, 44)
    peaks = [
        int(frontend.decibels(tone(220 * 2 ** (s / 12))[None])[0].mean(1).argmax())
        for s in semitones
    ]
    assert peaks == [s * bins_per_semitone for s in semitones]


def test_a_pitch_shift_is_a_translation() -> None:
    frontend = log_frequency()
    chord = tone(880) + tone(1318.5)
    raised = tone(880 * 2 ** (5 / 12)) + tone(1318.5 * 2 ** (5 / 12))
    low, high = (frontend.decibels(x[None])[0].mean(1) for x in (chord, raised))
    loud = (low[:-10] > low.max() - 10).nonzero().flatten()
    assert len(loud) > 1
    assert float((high[loud + 10] - low[loud]).abs().max()) < 1.5
    assert float((high[loud] - low[loud]).abs().max()) > 10


def test_fitted_maps_have_mean_0_and_deviation_1() -> None:
    frontend = LogMel(RATE, n_bins=32)
    x = noise(6)
    values = frontend.fit_statistics(x.split(2))
    db = frontend.decibels(x)
    assert values["mean"] == pytest.approx(float(db.mean()), abs=1e-3)
    assert values["std"] == pytest.approx(float(db.std(correction=0)), rel=1e-4)
    maps = frontend(x)
    assert maps.shape == (6, *frontend.output_size)
    assert float(maps.mean()) == pytest.approx(0, abs=1e-4)
    assert float(maps.std()) == pytest.approx(1, abs=1e-3)


def test_one_mean_and_deviation_for_all_bins() -> None:
    """Else a shift along the frequency axis would not stay one."""
    frontend = LogMel(RATE, n_bins=32)
    x = noise()
    before = frontend(x)
    frontend.fit([x])
    torch.testing.assert_close(
        frontend(x), (before - before.mean()) / before.std(correction=0), atol=1e-3, rtol=1e-3
    )


def test_statistics_are_part_of_the_state() -> None:
    frontend = LogMel(RATE, n_bins=32)
    frontend.fit([noise()])
    other = build_frontend(frontend.config)
    other.load_state_dict(frontend.state_dict())
    assert torch.equal(other(noise()), frontend(noise()))


def test_silent_audio_has_no_statistics() -> None:
    frontend = LogMel(RATE, n_bins=32)
    with pytest.raises(UserError, match="silent"):
        frontend.fit([torch.zeros(4, RATE)])
    with pytest.raises(UserError, match="silent"):
        frontend.set_statistics(float("nan"), 1.0)
    assert float(frontend.std) == 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 0},
        {"clip_s": 0.0},
        {"hop": 0},
        {"hop": 2000},
        {"n_bins": 0},
        {"min_hz": 3000.0, "max_hz": 2000.0},
        {"max_hz": 5000.0},
        {"min_hz": -1.0},
        {"clip_s": 0.05},
        {"clip_s": 0.064},  # reflection needs more than half a window
    ],
)
def test_values_out_of_range_are_explained(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"must be above|need "):
        LogMel(**{"sample_rate": RATE, **settings})


def test_the_shortest_clip_allowed_works() -> None:
    frontend = LogMel(RATE, clip_s=0.07, n_bins=32)
    assert frontend(noise(2, 0.07)).shape == (2, *frontend.output_size)


def test_log_frequency_needs_a_lowest_frequency_and_two_bins() -> None:
    with pytest.raises(UserError, match=r"min_hz.*above 0.*0\.0"):
        LogFrequency(RATE)
    with pytest.raises(UserError, match=r"at least 2.*1"):
        LogFrequency(RATE, min_hz=100.0, n_bins=1)


def test_channels_last_is_a_layout_that_convolutions_take_over() -> None:
    """And the same values, features and gradients but for rounding."""
    plain, last = LogMel(RATE, n_bins=32), LogMel(RATE, n_bins=32, channels_last=True)
    x, convolution = noise(), torch.nn.Conv2d(1, 8, 3)
    assert torch.equal(plain(x), last(x))
    expected, found = convolution(plain(x)), convolution(last(x))
    assert expected.is_contiguous() and not found.is_contiguous()
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)
    gradients = [
        torch.autograd.grad(convolution(f(y)).square().mean(), y)[0]
        for f in (plain, last)
        for y in [x.clone().requires_grad_()]
    ]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_unknown_frontend_is_explained() -> None:
    with pytest.raises(UserError, match="log_mel, log_frequency"):
        build_frontend({"name": "mfcc"})


def test_the_waveform_front_end_hands_samples_through() -> None:
    frontend = build_frontend({"name": "waveform", "sample_rate": RATE, "clip_s": 0.5})
    x = noise(seconds=0.5)
    maps = frontend(x)
    assert maps.shape == (3, *frontend.output_size) == (3, 1, 1, 4000)
    assert torch.equal(maps[:, 0, 0], x)
    assert frontend.fit_statistics([x]) == {"mean": 0.0, "std": 1.0}
    assert torch.equal(frontend(x), maps)
    assert frontend.fit_statistics([torch.zeros(1, 4000)])["std"] == 1.0, "silence is no fault here"


@pytest.mark.parametrize("kind", [LogMel, LogFrequency])
def test_spectra_are_torchaudios_whatever_the_batch(kind: type[Frontend]) -> None:
    """A batch is worked through in parts, and filters are applied where they are not zero."""
    frontend = kind(RATE, n_fft=512, hop=128, n_bins=50, min_hz=40.0)
    x = noise(40)  # more than one part
    spectra = torchaudio.transforms.Spectrogram(512, hop_length=128)(x)
    power = torch.einsum("bft,fm->bmt", spectra, frontend.filters)
    expected = 10 * power.clamp_min(1e-10).log10()
    torch.testing.assert_close(frontend.decibels(x), expected, atol=1e-4, rtol=0)


def test_spectra_have_gradients_in_the_waveform() -> None:
    frontend = LogMel(RATE, n_bins=32)
    x, along = noise(2).requires_grad_(), 1e-4 * noise(2).flip(1)
    (gradient,) = torch.autograd.grad(frontend.decibels(x).sum(), x)
    high, low = frontend.decibels(x + along).double(), frontend.decibels(x - along).double()
    expected = float((high - low).detach().sum() / 2)
    assert float((gradient * along).sum()) == pytest.approx(expected, rel=0.01)


HTK = {"mel_scale": "htk", "mel_norm": "none"}


@pytest.mark.parametrize("norm", ["slaney", "none"])
@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scales_and_norms_are_librosas(scale: str, norm: str) -> None:
    frontend = LogMel(RATE, n_bins=64, mel_scale=scale, mel_norm=norm)
    x = noise()
    power = librosa.feature.melspectrogram(
        y=x.numpy(), sr=RATE, n_fft=1024, hop_length=512, n_mels=64, htk=scale == "htk",
        norm=None if norm == "none" else norm, pad_mode="reflect",
    )  # fmt: skip
    theirs = librosa.power_to_db(power, top_db=None, amin=1e-10)
    np.testing.assert_allclose(frontend.decibels(x), theirs, rtol=1e-4, atol=1e-3)


def test_normalised_clips_have_mean_0_and_deviation_1_each() -> None:
    x = noise() * torch.tensor([[1.0], [0.01], [3.0]]) + 0.2
    plain, front = LogMel(RATE, n_bins=32), LogMel(RATE, n_bins=32, normalise="clip")
    expected = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(front.decibels(x), plain.decibels(expected), atol=1e-3, rtol=1e-4)
    waveform = Waveform(sample_rate=RATE, normalise="clip")
    torch.testing.assert_close(waveform(x)[:, 0, 0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_silence_stays_silent(level: float) -> None:
    """Nothing is divided by a deviation of zero, or of rounding."""
    front = LogMel(RATE, n_bins=32, normalise="clip")
    silence = torch.full((1, RATE), level)
    assert front.levelled(silence).abs().max() < 0.1
    assert front.decibels(silence).max() == pytest.approx(-100) or level > 0


def stft() -> LogMelStft:
    return LogMelStft(sample_rate=RATE, n_fft=512, hop=128, n_bins=40, **HTK)


def test_magnitude_and_phase_are_of_a_transform_through_the_mel_filters() -> None:
    """One frame after the other, in NumPy: without a window, real and imaginary part apart."""
    front, x = stft(), noise(2)
    maps = front.decibels(x)
    filters = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=40, htk=True, norm=None)
    for clip, found in zip(x.double().numpy(), maps.double().numpy(), strict=True):
        padded = np.pad(clip, 256, mode="reflect")
        frames = [padded[k : k + 512] for k in range(0, RATE + 1, 128)]
        through = np.stack([filters @ np.fft.rfft(frame) for frame in frames], 1)
        loud = np.abs(through) > 1e-2
        np.testing.assert_allclose(found[1], 10 * np.log10(np.abs(through)), atol=0.01)
        turned = np.abs(np.exp(1j * (found[2] - np.angle(through))) - 1)
        assert loud.mean() > 0.5 and turned[loud].max() < 1e-2
    assert torch.equal(maps[:, 0], LogMel(RATE, 1.0, 512, 128, 40, **HTK).decibels(x))


def test_three_channels_have_a_mean_and_a_deviation_each() -> None:
    front, x = stft(), noise(6)
    values = front.fit_statistics(x.split(2))
    assert len(values["mean"]) == len(values["std"]) == 3
    maps = front(x)
    assert maps.shape == (6, *front.output_size) == (6, 3, 40, 63)
    torch.testing.assert_close(maps.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(maps.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    other = build_frontend({**front.config, "channels_last": True})
    other.load_state_dict(front.state_dict())
    assert torch.equal(other(x), maps) and torch.equal(front(maps), maps)
    assert other(x).is_contiguous(memory_format=torch.channels_last)


def test_three_channels_have_gradients_in_silence_too() -> None:
    x = torch.cat([noise(1), torch.zeros(1, RATE)]).requires_grad_()
    (gradient,) = torch.autograd.grad(stft()(x).square().sum(), x)
    assert bool(gradient.isfinite().all()) and float(gradient[0].abs().sum()) > 0


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (LogMel, {"mel_scale": "bark"}, r"mel_scale.*'bark'.*slaney.*htk"),
        (LogMel, {"mel_norm": "area"}, r"mel_norm.*'area'.*slaney.*none"),
        (LogMel, {"normalise": "batch"}, r"normalise.*'batch'.*none.*clip"),
        (
            LogFrequency,
            {"mel_scale": "htk", "min_hz": 60.0},
            r"mel_scale.*htk.*frontend\.mel_scale.*slaney.*frontend=log_mel",
        ),
        (
            Waveform,
            {"mel_norm": "none"},
            r"mel_norm.*none.*frontend\.mel_norm.*slaney.*frontend=log_mel",
        ),
        (LogMelStft, {"views": "fused"}, r"frontend\.views=waveform"),
    ],
)
def test_options_that_a_front_end_does_not_take_are_refused(
    kind: type[Frontend], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        kind(sample_rate=RATE, **settings)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (0.0, 1.0, r"3 means.*0\.0.*1\.0.*audioinv statistics"),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 0.0], "silent"),
        ([0.0, 0.0, float("nan")], [1.0, 1.0, 1.0], "silent"),
    ],
)
def test_statistics_of_three_channels_are_three(mean: object, std: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stft().set_statistics(mean, std)


def test_an_encoder_saved_with_torchaudios_window_is_loaded() -> None:
    front = LogMel(RATE, n_fft=400, hop=200, n_bins=32)
    theirs = torchaudio.transforms.Spectrogram(400, hop_length=200).state_dict()
    assert set(front.spectrogram.state_dict()) == set(theirs) == {"window"}
    assert torch.equal(front.spectrogram.window, theirs["window"])


WITHOUT = """
import sys
class Broken:  # as torchaudio is beside a torch that it was not built for
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torchaudio":
            raise RuntimeError("torchaudio is imported")
sys.meta_path.insert(0, Broken())
import torch
from audioinv.cli import main
from audioinv.data.modality import build_frontend, known_modalities, modality_of
from audioinv.audio.augment import build_bank
from audioinv.audio.frontend import LogMel, LogMelStft
modality_of("audio"), modality_of("sonograph"), build_bank(8000)
print(LogMel(8000, n_bins=32)(torch.randn(2, 8000)).shape[2])
"""


@pytest.mark.slow
def test_nothing_of_ours_needs_torchaudio() -> None:
    """It caps torch: where it cannot be imported, front ends and banks work all the same."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("32\n", 0), done.stderr
