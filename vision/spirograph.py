"""The modality `spirograph`: clips are factors of Spirograph images, which the front end draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.conf.schema import BankConfig
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.data import factors
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, test_rows
from vision.drawing import DRAWING, FACTORS, render
from vision.frontend import Pixels
from vision.modality import SHOWN, write_strips


class Spirograph(Pixels):
    """Factors (B, 10) -> normalised images (B, 3, image_size, image_size).

    Args:
        image_size: height and width in pixels.
        drawing: which generator the images are of. Encoders and settings that do not say are of
            before there was a second: 1.

    Raises:
        UserError: `image_size` below 1, or a generator that is not there any more.
    """

    name = "spirograph"

    def __init__(self, image_size: int = 32, drawing: int = 1) -> None:
        super().__init__(image_size)
        if drawing != DRAWING:
            raise UserError(
                f"frontend.drawing is {drawing}; give {DRAWING}, the published generator. Encoders "
                "of an earlier one saw other images: pre-train anew"
            )
        self.config["drawing"] = drawing

    def forward(self, x: Tensor) -> Tensor:
        """Draws factors `x` (B, 10) and takes the statistics away; differentiable in `x`."""
        return super().forward(render(x, self.output_size[1]))

    def fit(self, batches: Iterable[Tensor]) -> dict[str, list[float]]:
        """Statistics of the images that `batches` of factors draw."""
        return super().fit(render(x, self.output_size[1]) for x in batches)


FRONTENDS: dict[str, type[nn.Module]] = {"spirograph": Spirograph}


def bank(config: BankConfig, pack: Pack) -> AugmentationBank:
    """Redraws the factors that the settings name."""
    return factors.build_bank(FACTORS, asdict(config))


def task_augmentation(name: str, pack: Pack) -> Augmentation:
    """The augmentation that redraws the factor `name` over its own range."""
    return factors.task_augmentation(FACTORS, name)


def check(pack: Pack, frontend: Spirograph) -> None:
    """Raises a UserError unless the pack was made for the front end's image size."""
    factors.check_size(pack, frontend, "image_size")


def crops(frontend: Spirograph, pack: Pack, rows: Sequence[int]) -> factors.TrainingVectors:
    """Factors: there is nothing to crop."""
    return factors.TrainingVectors(pack, rows)


def clips(frontend: Spirograph, pack: Pack, rows: Sequence[int]) -> Tensor:
    """Factors (n, 10)."""
    return factors.vectors(pack, rows)


def windows(
    frontend: Spirograph, pack: Pack, hop_s: float, repeat: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every clip once, in batches, and the row of each; an image has one window."""
    return factors.batches(pack)


def write_example(
    augmentation: Augmentation, frontend: Spirograph, pack: Pack, folder: Path
) -> dict[str, Any]:
    """Test images before and after a factor is redrawn, as PNG files in `folder`."""
    rows = test_rows(pack) or list(range(len(pack)))
    x = factors.vectors(pack, sample_rows(rows, SHOWN, 0, "examples"))
    params = augmentation.sample(len(x), generator(0, "examples", augmentation.name))
    with torch.no_grad():
        size = frontend.output_size[1]
        before, after = render(x, size), render(augmentation.apply(x, params), size)
    return write_strips(augmentation, before, after, folder)
