"""An encoder and clips as a user gives them: frozen, checked, and as features."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.base.tensors import device_of
from audioinv.core.bank import AugmentationBank
from audioinv.core.embedding import arrays, maps_for
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import load_encoder
from audioinv.data.pack import Pack
from audioinv.tasks.averaging import TransformedMaps
from audioinv.tasks.clips import check_names
from audioinv.tasks.features import Batch, FeatureCache, maps_of
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.storage import Storage

BATCH = 256


def frozen(encoder: AmortisedEncoder | str | Path, device: str = "auto") -> AmortisedEncoder:
    """A copy in evaluation mode on a device; loaded, if it is a folder. Features stay on the CPU.

    Args:
        device: as of `device_named`; "auto" takes a GPU where there is one.

    Raises:
        UserError: no such device.
    """
    if not isinstance(encoder, AmortisedEncoder):
        own = load_encoder(encoder)
    else:
        own = copy.deepcopy(encoder)
    return own.to(device_named(device)).eval().requires_grad_(False)


def device_named(name: str) -> torch.device:
    """The device of a name: "auto" (a GPU where there is one), "gpu", "cpu", "cuda" or "mps".

    Raises:
        UserError: there is none.
    """
    # Without Fabric, which takes 275 MB: whoever only embeds need not have it.
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there = [*(kind for kind, found in kinds.items() if found), "cpu"]
    gpu = there[0] if len(there) > 1 else None
    wanted = {"auto": there[0], "gpu": gpu}.get(name, name)
    if wanted not in there:
        raise UserError(
            f"device is '{name}'; give one of auto, cpu, cuda or mps that is there: "
            f"{', '.join(there)}{meant(name, ('auto', 'gpu', *there))}"
        )
    return torch.device(wanted)


def clips_for(encoder: AmortisedEncoder, x: Any) -> Tensor:
    """Clips as float32 (n, ...) on the CPU.

    Raises:
        UserError: no clips, no finite numbers, or not of the size that the front end wants.
    """
    if isinstance(x, Pack):
        known = ", ".join(task.name for task in x.corpus.tasks) or "none of its own"
        raise UserError(f"a pack is given by a task of it, pack.task(NAME); it has {known}")
    clips = arrays(x)
    if clips.ndim < 2 or len(clips) == 0 or not bool(clips.isfinite().all()):
        shape = tuple(clips.shape)
        raise UserError(f"clips are finite numbers (n, ...) with n above 0, got {shape}")
    with torch.no_grad():
        maps_for(encoder.frontend, clips[:1].to(device_of(encoder.frontend)))
    return clips


def cache_of(
    encoder: AmortisedEncoder,
    x: Tensor,
    made_of: FeatureConfig,
    bank: AugmentationBank | None = None,
) -> FeatureCache:
    """Features of clips (n, ...), one window each, at any descriptor.

    Raises:
        UserError: no such layers or pool; views are asked for and there is no bank.
    """
    check_names(made_of)
    views = None
    if made_of.views:
        if bank is None:
            raise UserError(f"views={made_of.views} averages over a bank; give bank=BANK")
        maps_at, parts = partial(maps_of, encoder), x.split(BATCH)
        views = TransformedMaps(
            bank, maps_at, lambda: zip(parts, parts, strict=True), made_of.views, made_of.strength
        )
    storage = Storage(made_of.memory_gb)
    return FeatureCache(
        encoder, MapsOf(encoder, x), made_of.layers, None, made_of.pool, views, storage
    )


class MapsOf:
    """`Maps` of clips (n, ...) in memory, of one window each."""

    def __init__(self, encoder: AmortisedEncoder, x: Tensor) -> None:
        self.encoder = encoder
        self.x = x
        self.n = len(x)

    def __call__(self, rows: Tensor | None = None) -> Iterator[Batch]:
        """Batches of some clips."""
        for part in (torch.arange(self.n) if rows is None else rows).split(BATCH):
            yield maps_of(self.encoder, self.x[part]), part
