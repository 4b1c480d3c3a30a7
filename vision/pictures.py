"""What an augmentation does to images: the same ones before and after, as PNG files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from audioinv.base.files import atomic_path
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.data.factors import vectors
from audioinv.data.modality import Shown
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, test_rows
from vision.clips import pixels
from vision.drawing import Spirograph, render

SHOWN = 8  # images of an example
NOTE = "The same test images, each with parameters of its own."


def write_images(augmentation: Augmentation, pack: Pack, folder: Path) -> dict[str, Any]:
    """A row of test images before and after."""
    x = pixels(pack, _shown(pack))
    with torch.no_grad():
        changed = augmentation.apply(x, _draw(augmentation, len(x)))
    return write_strips(augmentation, x, changed, folder)


def write_drawings(
    augmentation: Augmentation, frontend: Spirograph, pack: Pack, folder: Path
) -> dict[str, Any]:
    """A row of test images before and after a factor is redrawn."""
    x, size = vectors(pack, _shown(pack)), frontend.output_size[1]
    with torch.no_grad():
        before = render(x, size)
        after = render(augmentation.apply(x, _draw(augmentation, len(x))), size)
    return write_strips(augmentation, before, after, folder)


def shown(pixels: NDArray[np.uint8]) -> Shown:
    """An image (3, H, W)."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG")
    return Shown(file.getvalue())


def shown_drawing(factors: NDArray[np.float32], frontend: Spirograph) -> Shown:
    """The drawing of factors (F,)."""
    with torch.no_grad():
        image = render(torch.from_numpy(factors.copy())[None], frontend.output_size[1])[0]
    return shown((image.clamp(0, 1) * 255).round().byte().numpy())


def _shown(pack: Pack) -> list[int]:
    return sample_rows(test_rows(pack) or list(range(len(pack))), SHOWN, 0, "examples")


def _draw(augmentation: Augmentation, n: int) -> Tensor:
    return augmentation.sample(n, generator(0, "examples", augmentation.name))


def write_strips(
    augmentation: Augmentation, before: Tensor, after: Tensor, folder: Path
) -> dict[str, Any]:
    """Images (n, 3, H, W) before and after an augmentation as two PNG files in `folder`, and what
    examples.json says of them."""
    name = augmentation.name
    files = {side: [f"{name}_{side}.png"] for side in ("before", "after")}
    for (file,), images in zip(files.values(), (before, after), strict=True):
        with atomic_path(folder / file) as temporary:
            _strip(images).save(temporary, format="PNG")
    ranges = {p.name: f"{p.low:g} to {p.high:g} {p.unit}" for p in augmentation.parameters}
    told = {"augmentation": name, "parameters": ranges, "shown": "Images", "note": NOTE}
    return {**told, **files}


def _strip(images: Tensor, gap: int = 2) -> Image.Image:
    """Images (n, 3, H, W) side by side, small ones enlarged to 64 pixels or a little more."""
    scale = max(1, -(-64 // images.shape[2]))
    padded = torch.nn.functional.pad(images, (0, gap, 0, 0), value=1.0)
    row = padded.permute(1, 2, 0, 3).flatten(2)[..., :-gap]
    values = (row.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(values.repeat(scale, 0).repeat(scale, 1)))
