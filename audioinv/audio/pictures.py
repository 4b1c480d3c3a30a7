"""What an augmentation does to a sound: the same clip before and after, as wav files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.audio.frontend import Frontend
from audioinv.audio.io import write_wav
from audioinv.audio.synthesis import Sonograph
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.data.factors import vectors
from audioinv.data.pack import Pack
from audioinv.data.rows import test_rows

CANDIDATES = 64
DRAWS = 8


def write_loud_clip(
    augmentation: Augmentation,
    clips_of: Callable[[Frontend, Pack, Sequence[int]], Tensor],
    frontend: Frontend,
    pack: Pack,
    folder: Path,
) -> dict[str, Any]:
    """A loud one of the test clips, changed by one of the stronger draws."""
    rows = (test_rows(pack) or list(range(len(pack))))[:CANDIDATES]
    candidates = clips_of(frontend, pack, rows)
    clip = candidates[candidates.square().mean(1).argmax()][None]
    params = augmentation.sample(DRAWS, generator(0, "examples", augmentation.name))
    distance = (params - augmentation.identity(DRAWS)).abs()[:, 0]
    strong = params[distance.argsort()[DRAWS // 2]][None]
    with torch.no_grad():
        changed = augmentation.apply(clip, strong)
    named = zip(augmentation.parameters, strong[0].tolist(), strict=True)
    shown = {p.name: v for p, v in named if p.quantity}
    return _write_pair(augmentation.name, shown, clip[0], changed[0], pack.size, folder)


def write_tone(
    augmentation: Augmentation, frontend: Sonograph, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A test tone before and after a factor is redrawn."""
    rows = test_rows(pack) or list(range(len(pack)))
    x, name = vectors(pack, rows[:1]), augmentation.name
    params = augmentation.sample(1, generator(0, "examples", name))
    with torch.no_grad():
        before, after = frontend.synthesise(torch.cat([x, augmentation.apply(x, params)]))
    rate = frontend.config["sample_rate"]
    return _write_pair(name, {name: float(params[0, 0])}, before, after, rate, folder)


def _write_pair(
    name: str,
    parameters: Mapping[str, float],
    before: Tensor,
    after: Tensor,
    sample_rate: int,
    folder: Path,
) -> dict[str, Any]:
    """Two sounds (n,), as loud as they are to one another; what examples.json says of them."""
    peak = max(float(before.abs().max()), float(after.abs().max()), 1e-6)
    files = {"before": f"{name}_before.wav", "after": f"{name}_after.wav"}
    for file, sound in zip(files.values(), (before, after), strict=True):
        write_wav(folder / file, (sound / peak).numpy(), sample_rate)
    return {"augmentation": name, "parameters": dict(parameters), **files}
