"""The modality `audio`: what `audioinv.data.modality.Modality` asks for, for sounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from torch import Tensor

import audioinv.audio.hear  # noqa: F401  # makes the backbone known
from audioinv.audio.augment import AUGMENTATIONS, AudiomentationsAugmentation, build_bank
from audioinv.audio.clips import RandomCrops, fixed_clips, windows_of
from audioinv.audio.frontend import FRONTENDS, Frontend
from audioinv.audio.io import write_wav
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.conf.schema import AudioBankConfig
from audioinv.core import augmenting
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.data.pack import Pack
from audioinv.data.rows import test_rows

__all__ = ["FRONTENDS"]


def bank(config: AudioBankConfig, pack: Pack) -> AugmentationBank:
    """The audio bank at the pack's rate, with any audiomentations transforms at its end."""
    options = asdict(config)
    transforms = [transform_of(entry) for entry in options.pop("audiomentations")]
    extra = [AudiomentationsAugmentation(transform, pack.size) for transform in transforms]
    return build_bank(pack.size, extra=extra, **options)


def transform_of(entry: dict[str, Any]) -> Any:
    """The audiomentations transform that a Hydra entry describes.

    Raises:
        UserError: a target that is no audiomentations transform (a saved run's settings must not
            run other code), or arguments that it refuses.
    """
    for target in _targets(entry) or [""]:
        if not re.fullmatch(r"audiomentations\.[A-Z]\w*", target):
            raise UserError(
                f"bank.audiomentations takes _target_: audiomentations.X, got '{target}'"
            )
    try:
        return instantiate(entry)
    except HydraException as error:
        raise UserError(f"bank.audiomentations: {error}") from error


def _targets(value: Any) -> list[str]:
    """Every `_target_` in a nested entry."""
    if isinstance(value, dict):
        own = [str(value["_target_"])] if "_target_" in value else []
        return own + [target for part in value.values() for target in _targets(part)]
    return [t for part in value for t in _targets(part)] if isinstance(value, list) else []


def task_augmentation(name: str, pack: Pack) -> Augmentation:
    """The augmentation `name` at its default ranges.

    Raises:
        UserError: there is none of that name.
    """
    return augmenting.default(AUGMENTATIONS, name, {"sample_rate": pack.size})


def check(pack: Pack, frontend: Frontend) -> None:
    """Raises a UserError unless the pack has the front end's sample rate."""
    wanted = frontend.config["sample_rate"]
    if pack.size != wanted:
        raise UserError(
            f"the pack is at {pack.size} Hz and the front end wants {wanted} Hz; "
            f"pack again with --sample_rate {wanted}"
        )


def crops(frontend: Frontend, pack: Pack, rows: Sequence[int]) -> RandomCrops:
    """A random stretch of each clip."""
    return RandomCrops(pack, rows, frontend.n_samples, frontend.repeats)


def clips(frontend: Frontend, pack: Pack, rows: Sequence[int]) -> Tensor:
    """The first stretch of each clip, (n, n_samples)."""
    return fixed_clips(pack, rows, frontend.n_samples, frontend.repeats)


def windows(
    frontend: Frontend, pack: Pack, hop_s: float, repeat: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows (b, n_samples) of every clip, `hop_s` seconds apart, and the clip of each, (b,).

    Args:
        repeat: False fills short clips up with zeros even if the front end repeats them.
    """
    hop = round(hop_s * pack.size)
    return windows_of(pack, frontend.n_samples, hop, frontend.repeats and repeat)


def write_example(
    augmentation: Augmentation, frontend: Frontend, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A loud one of the test clips before and after, as wav files in `folder`."""
    rows = (test_rows(pack) or list(range(len(pack))))[:64]
    candidates = clips(frontend, pack, rows)
    clip = candidates[candidates.square().mean(1).argmax()][None]
    name = augmentation.name
    params = augmentation.sample(8, generator(0, "examples", name))
    strongest = params[(params - augmentation.identity(8)).abs()[:, 0].argsort()[4]][None]
    with torch.no_grad():
        changed = augmentation.apply(clip, strongest)
    peak = max(float(changed.abs().max()), float(clip.abs().max()), 1e-6)
    files = {"before": f"{name}_before.wav", "after": f"{name}_after.wav"}
    for file, x in zip(files.values(), (clip, changed), strict=True):
        write_wav(folder / file, (x[0] / peak).numpy(), pack.size)
    named = zip(augmentation.parameters, strongest[0].tolist(), strict=True)
    shown = {p.name: v for p, v in named if p.quantity}
    return {"augmentation": name, "parameters": shown, **files}
