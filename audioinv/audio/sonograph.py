"""The modality `sonograph`: clips are factors of tones, which the front end synthesises.

The audio counterpart of Spirograph: what InvCLR does to an image, rendering it again with other
nuisances, is done to a sound. Phases and noise are a nuisance, too: a place in a fixed noise bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.audio import synthesis as sonograph_synthesis
from audioinv.audio.augment.noise_bank import OFFSETS, read_noise
from audioinv.audio.frontend import LogFrequency
from audioinv.audio.io import write_wav
from audioinv.audio.synthesis import N_HARMONICS, render
from audioinv.base.randomness import generator
from audioinv.conf.schema import BankConfig
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.data import factors
from audioinv.data.factors import Factor
from audioinv.data.pack import Pack
from audioinv.data.rows import test_rows

PLACE = Factor(
    "place", "place in the noise bank", 0.0, OFFSETS - 1.0, 0.0,
    differentiable=False, quantity=False,
)  # fmt: skip
FACTORS: dict[str, Factor] = {**sonograph_synthesis.FACTORS, "place": PLACE}


class Sonograph(LogFrequency):
    """Factors (B, 15) -> normalised log spectra (B, 1, bins, frames) of the tones."""

    name = "sonograph"

    def synthesise(self, x: Tensor) -> Tensor:
        """Tones (B, n_samples) of factors `x` (B, 15); differentiable in all but the place."""
        place, width = x[:, -1], 1 + N_HARMONICS
        drawn = read_noise(place, width + self.n_samples, x.dtype)
        phases, noise = torch.special.ndtr(drawn[:, :width]), drawn[:, width:]
        return render(x[:, :-1], phases, noise, self.config["sample_rate"])

    def decibels(self, x: Tensor) -> Tensor:
        """Log spectra in dB before normalisation: factors (B, 15) -> (B, bins, frames)."""
        return super().decibels(self.synthesise(x))


FRONTENDS: dict[str, type[nn.Module]] = {"sonograph": Sonograph}


def bank(config: BankConfig, pack: Pack) -> AugmentationBank:
    """Redraws the factors that the settings name."""
    return factors.build_bank(FACTORS, asdict(config))


def task_augmentation(name: str, pack: Pack) -> Augmentation:
    """The augmentation that redraws the factor `name` over its own range."""
    return factors.task_augmentation(FACTORS, name)


def check(pack: Pack, frontend: Sonograph) -> None:
    """Raises a UserError unless the pack was made for the front end's sample rate."""
    factors.check_size(pack, frontend, "sample_rate")


def crops(frontend: Sonograph, pack: Pack, rows: Sequence[int]) -> factors.TrainingVectors:
    """Factors: there is nothing to crop."""
    return factors.TrainingVectors(pack, rows)


def clips(frontend: Sonograph, pack: Pack, rows: Sequence[int]) -> Tensor:
    """Factors (n, 15)."""
    return factors.vectors(pack, rows)


def windows(
    frontend: Sonograph, pack: Pack, hop_s: float, repeat: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every clip once, in batches, and the row of each; a tone has one window."""
    return factors.batches(pack)


def write_example(
    augmentation: Augmentation, frontend: Sonograph, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A test tone before and after a factor is redrawn, as wav files in `folder`."""
    rows = test_rows(pack) or list(range(len(pack)))
    x, name = factors.vectors(pack, rows[:1]), augmentation.name
    params = augmentation.sample(1, generator(0, "examples", name))
    with torch.no_grad():
        tones = torch.cat([x, augmentation.apply(x, params)])
        before, after = frontend.synthesise(tones)
    peak = max(float(before.abs().max()), float(after.abs().max()), 1e-6)
    files = {"before": f"{name}_before.wav", "after": f"{name}_after.wav"}
    for file, tone in zip(files.values(), (before, after), strict=True):
        write_wav(folder / file, (tone / peak).numpy(), frontend.config["sample_rate"])
    return {"augmentation": name, "parameters": {name: float(params[0, 0])}, **files}
