"""The fused route against augmenting waveforms and looking at their spectra."""

from __future__ import annotations

from types import ModuleType

import audiomentations
import pytest
import torch
from torch import Tensor

from audioinv.audio.augment import AudiomentationsAugmentation, build_bank
from audioinv.audio.augment.fused import FusedBank
from audioinv.audio.frontend import LogFrequency, LogMel, LogMelStft, Waveform
from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank

RATE = 8000
EDGE = 3  # frames at either end that see beyond it, or next to it
ALL = "all"


def frontend(n: int = RATE, **options: object) -> LogMel:
    sizes = {"n_fft": 512, "hop": 128, "n_bins": 40, "floor_db": -80.0, **options}
    return LogMel(RATE, n / RATE, **sizes)


def parameters(bank: AugmentationBank, n: int, name: str) -> dict[str, Tensor]:
    """Of `n` examples: one augmentation, the others at their identity, or all."""
    drawn = bank.sample(n, bank.space.all_on(), torch.Generator().manual_seed(1))
    if name == ALL:
        return drawn
    idle = {other: a.identity(n) for other, a in bank.augmentations.items()}
    return {**idle, name: drawn[name]}


def clips(kind: str, sounds: ModuleType, n: int = RATE) -> Tensor:
    """Eight notes that die away, or eight noises."""
    if kind == "noise":
        return 0.1 * sounds.noise(8, n)
    notes = [sounds.harmonic(110.0 * 1.25**k, RATE, n) for k in range(8)]
    return torch.stack(notes) * torch.linspace(1, 0.2, n)


def differences(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """dB between both routes in bins within 30 dB of the loudest: all of them, and at the edges."""
    front, bank = frontend(x.shape[-1]), build_bank(RATE)
    params = parameters(bank, len(x), name)
    fused = FusedBank(bank, front).apply(x, params)
    truth = front(bank.apply(x, params))
    assert fused.shape == truth.shape == (len(x), *front.output_size)
    loud = truth > truth.amax((1, 2, 3), keepdim=True) - 30
    difference = (fused - truth).abs()
    edges = [difference[..., part][loud[..., part]] for part in (slice(EDGE), slice(-EDGE, None))]
    return difference[loud], torch.cat(edges)


@pytest.mark.parametrize("n", [8000, 7003])
@pytest.mark.parametrize("name", ["fade", "time_mask", "white_noise", "coloured_noise"])
@pytest.mark.parametrize("kind", ["notes", "noise"])
def test_what_is_affine_is_exact(kind: str, name: str, n: int, sounds: ModuleType) -> None:
    everywhere, _ = differences(name, clips(kind, sounds, n))
    assert everywhere.max() < 0.05


# mean over all bins, 95th percentile, mean over the edge frames; dB
BOUNDS = {
    ("notes", "pitch_shift"): (0.1, 0.3, 1.0),
    ("notes", "time_stretch"): (0.1, 0.3, 1.0),
    ("notes", "time_shift"): (0.05, 0.1, 0.3),
    ("notes", ALL): (0.8, 3.0, 1.0),
    ("noise", "pitch_shift"): (1.5, 4.0, 1.5),
    ("noise", "time_stretch"): (2.0, 5.0, 2.0),
    ("noise", "time_shift"): (0.05, 0.1, 0.3),
    ("noise", ALL): (2.2, 6.0, 2.2),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), BOUNDS)
@pytest.mark.parametrize("n", [8000, 7003])
def test_the_rest_is_within_bounds_at_the_edges_too(
    kind: str, name: str, n: int, sounds: ModuleType
) -> None:
    """Noise differs more: a vocoder takes about a decibel from it, and the fused route nothing."""
    everywhere, edges = differences(name, clips(kind, sounds, n))
    mean, most, at_edges = BOUNDS[kind, name]
    assert everywhere.mean() < mean
    assert everywhere.quantile(0.95) < most
    assert edges.mean() < at_edges


def test_without_augmentations_it_is_the_front_end(sounds: ModuleType) -> None:
    x, front, bank = clips("notes", sounds), frontend(), build_bank(RATE)
    idle = {name: a.identity(8) for name, a in bank.augmentations.items()}
    torch.testing.assert_close(FusedBank(bank, front).apply(x, idle), front(x))
    htk = frontend(mel_scale="htk", mel_norm="none")
    torch.testing.assert_close(FusedBank(bank, htk).apply(x, idle), htk(x))


def test_an_example_does_not_depend_on_its_batch(sounds: ModuleType) -> None:
    front, bank = frontend(), build_bank(RATE, probability=0.5)
    x, fused = torch.cat([clips(kind, sounds) for kind in ("notes", "noise")] * 3), None
    fused = FusedBank(bank, front)
    params = parameters(bank, len(x), ALL)
    together = fused.apply(x, params)
    for b in (0, 17, 47):
        alone = fused.apply(x[b : b + 1], {n: p[b : b + 1] for n, p in params.items()})
        torch.testing.assert_close(together[b : b + 1], alone, atol=2e-3, rtol=0)


@pytest.mark.parametrize("acting", [{"probability": 0.6}, {"acting": "shared_uniform"}])
def test_views_are_drawn_as_the_banks_own(acting: dict, sounds: ModuleType) -> None:
    bank = build_bank(RATE, inactive="shared", **acting)
    front = frontend()
    front.set_statistics(-40.0, 12.0)
    corner = bank.space.parse("pitch_shift+fade")
    draws = [torch.Generator().manual_seed(3) for _ in range(2)]
    (first, second), made = FusedBank(bank, front).views(clips("notes", sounds), corner, draws[0])
    _, expected = bank.views(clips("notes", sounds), corner, draws[1])
    for mine, theirs in zip(made, expected, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert torch.equal(front(first), first) and not torch.equal(first, second)


def test_any_of_the_augmentations_and_any_spectra_will_do(sounds: ModuleType) -> None:
    x = clips("notes", sounds)
    bank = build_bank(RATE, names=["white_noise", "time_stretch"])
    front = LogFrequency(RATE, 1.0, 1024, 256, 60, 55.0, 3520.0)
    params = parameters(bank, 8, ALL)
    fused = FusedBank(bank, front).apply(x, params)
    assert (fused - front(bank.apply(x, params))).abs().mean() < 1.5


def test_what_it_cannot_do_is_explained() -> None:
    gain = AudiomentationsAugmentation(audiomentations.Gain(), RATE)
    with pytest.raises(UserError, match=r"knows \['PitchShift'.*views=waveform"):
        FusedBank(build_bank(RATE, extra=[gain]), frontend())
    bank = FusedBank(build_bank(RATE), frontend())
    with pytest.raises(UserError, match="no gradients"):
        bank.views(torch.zeros(2, RATE), bank.space.all_on(), torch.Generator(), ["fade"])
    with pytest.raises(UserError, match="give waveform or fused"):
        frontend(views="frames")
    with pytest.raises(UserError, match="no spectra"):
        Waveform(sample_rate=RATE, views="fused")
    with pytest.raises(UserError, match=r"normalise=clip could normalise; give .*views=waveform"):
        FusedBank(build_bank(RATE), frontend(normalise="clip"))
    with pytest.raises(UserError, match=r"log_mel_stft has 3: give frontend\.views=waveform"):
        FusedBank(build_bank(RATE), LogMelStft(sample_rate=RATE))
    with pytest.raises(UserError, match=r"bank\.order is random; .*bank\.order=bank"):
        FusedBank(build_bank(RATE, order="random"), frontend())


def test_a_front_end_chooses_the_route() -> None:
    bank = build_bank(RATE)
    assert frontend().training_bank(bank) is bank
    assert isinstance(frontend(views="fused").training_bank(bank), FusedBank)
