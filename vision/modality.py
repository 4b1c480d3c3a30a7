"""The modality `image`. Nothing here imports torch before it is called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audioinv.base.errors import UserError
from audioinv.data.media import Media, Samples
from audioinv.data.modality import MediaOption, Modality, Shown
from audioinv.data.rules import number_rule, whole

if TYPE_CHECKING:
    from torch import Tensor

    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank
    from audioinv.data.pack import Pack
    from vision.clips import TrainingImages
    from vision.frontend import Pixels

FIT = MediaOption(
    "image_fit",
    "crop",
    ("crop", "squash"),
    "of images that are not square: their centre, or the whole in other proportions, "
    "which leaves positions as fractions of width and height true (default crop)",
)


class Images(Modality):
    """Images in files, packed as 8-bit RGB squares of one size."""

    name = "image"
    size = "image_size"
    size_help = "of a pack of images, in pixels a side"
    columns = ("index",)
    rules = (number_rule("index", "give a whole number, 0 or more", lambda v: v >= 0 and whole(v)),)
    whole = frozenset({"index"})
    whole_file: ClassVar[Mapping[str, Any]] = {"index": 0}
    frontends: ClassVar[Mapping[str, str]] = {"pixels": "vision.frontend:Pixels"}
    conf = "vision.conf"
    corpora_in = "vision.corpora"
    requires = ("kornia", "torchvision", "PIL")
    extra = "vision"
    media_options = (FIT,)
    derived_tasks = ("rotation", "hue", "crop_position", "blur")

    @property
    def endings(self) -> Collection[str]:
        """Of every image file that is read."""
        from vision.io import ENDINGS

        return ENDINGS

    @property
    def schema(self) -> type[Any]:
        """`vision.conf.schema.Config`."""
        from vision.conf.schema import Config

        return Config

    def media(self, size: int, **options: str) -> Media:
        """Squares of `size` pixels a side; `image_fit` as in `vision.media.Images`."""
        from vision.media import Images as Squares

        return Squares(size, options.get(FIT.name, FIT.default))

    def examine(self, path: Path, *numbers: float) -> tuple[str, UserError | None]:
        """Reads the record that a row promises."""
        from vision.io import check

        return check(path, *numbers)

    def bank(self, image_size: int = 0, **options: Any) -> AugmentationBank:
        """The image bank, the same for every size; `options` as of `vision.augment.build_bank`."""
        from vision.augment import build_bank

        return build_bank(**options)

    def task_augmentation(self, name: str, size: int) -> Augmentation:
        """The augmentation `name` at its default ranges."""
        from audioinv.core import augmenting
        from vision.augment import AUGMENTATIONS

        return augmenting.default(AUGMENTATIONS, name)

    def crops(self, frontend: Pixels, pack: Pack, rows: Sequence[int]) -> TrainingImages:
        """Whole images: the bank crops them."""
        from vision.clips import TrainingImages

        return TrainingImages(pack, rows)

    def clips(self, frontend: Pixels, pack: Pack, rows: Sequence[int]) -> Tensor:
        """The images (n, 3, size, size)."""
        from vision.clips import pixels

        return pixels(pack, rows)

    def windows(
        self,
        frontend: Pixels,
        pack: Pack,
        hop_s: float | None = None,
        repeat: bool = True,
        drop_last: bool = False,
        rows: Sequence[int] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in batches, and the row of each; an image has one window."""
        from vision.clips import batches

        return batches(pack, rows)

    def write_example(
        self, augmentation: Augmentation, frontend: Pixels, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """A row of test images before and after, as PNG files in `folder`."""
        from vision.pictures import write_images

        return write_images(augmentation, pack, folder)

    def show(self, frontend: Pixels, samples: Samples) -> Shown:
        """The image."""
        from vision.pictures import shown

        size = frontend.config["image_size"]
        return shown(samples.reshape(3, size, size))


IMAGE = Images()
