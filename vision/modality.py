"""The modality `image`: what `audioinv.data.modality.Modality` asks for, for images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.base.randomness import generator
from audioinv.conf.schema import BankConfig
from audioinv.core import augmenting
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, test_rows
from vision.augment import AUGMENTATIONS, build_bank
from vision.clips import TrainingImages, batches, pixels
from vision.frontend import FRONTENDS, Pixels

__all__ = ["FRONTENDS"]
SHOWN = 8  # images of an example


def bank(config: BankConfig, pack: Pack) -> AugmentationBank:
    """The image bank; it is the same for every size of image."""
    return build_bank(**asdict(config))


def task_augmentation(name: str, pack: Pack) -> Augmentation:
    """The augmentation `name` at its default ranges.

    Raises:
        UserError: there is none of that name.
    """
    return augmenting.default(AUGMENTATIONS, name)


def check(pack: Pack, frontend: Pixels) -> None:
    """Raises a UserError unless the pack has the front end's image size."""
    wanted = frontend.config["image_size"]
    if pack.size != wanted:
        raise UserError(
            f"the pack's images have {pack.size} pixels a side and the front end wants {wanted}; "
            f"pack again with --image_size {wanted}"
        )


def crops(frontend: Pixels, pack: Pack, rows: Sequence[int]) -> TrainingImages:
    """Whole images: the bank crops them."""
    return TrainingImages(pack, rows)


def clips(frontend: Pixels, pack: Pack, rows: Sequence[int]) -> Tensor:
    """The images (n, 3, size, size)."""
    return pixels(pack, rows)


def windows(
    frontend: Pixels, pack: Pack, hop_s: float, repeat: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in batches, and the row of each; an image has one window."""
    return batches(pack)


def write_example(
    augmentation: Augmentation, frontend: Pixels, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A row of test images before and after, as PNG files in `folder`."""
    rows = test_rows(pack) or list(range(len(pack)))
    x = pixels(pack, sample_rows(rows, SHOWN, 0, "examples"))
    name = augmentation.name
    with torch.no_grad():
        changed = augmentation.apply(x, augmentation.sample(len(x), generator(0, "examples", name)))
    return write_strips(augmentation, x, changed, folder)


def write_strips(
    augmentation: Augmentation, before: Tensor, after: Tensor, folder: Path
) -> dict[str, Any]:
    """Images (n, 3, H, W) before and after an augmentation as two PNG files in `folder`, and what
    examples.json says of them."""
    name = augmentation.name
    files = {"before": f"{name}_before.png", "after": f"{name}_after.png"}
    for file, images in zip(files.values(), (before, after), strict=True):
        with atomic_path(folder / file) as temporary:
            _strip(images).save(temporary, format="PNG")
    ranges = {p.name: f"{p.low:g} to {p.high:g} {p.unit}" for p in augmentation.parameters}
    return {"augmentation": name, "parameters": ranges, **files}


def _strip(images: Tensor, gap: int = 2) -> Image.Image:
    """Images (n, 3, H, W) side by side, small ones enlarged to 64 pixels or a little more."""
    scale = max(1, -(-64 // images.shape[2]))
    padded = torch.nn.functional.pad(images, (0, gap, 0, 0), value=1.0)
    row = padded.permute(1, 2, 0, 3).flatten(2)[..., :-gap]
    values = (row.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(values.repeat(scale, 0).repeat(scale, 1)))
