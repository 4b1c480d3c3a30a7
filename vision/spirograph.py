"""The modality `spirograph`: clips are factors of Spirograph images, which the front end draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audioinv.data.media import Samples
from audioinv.data.modality import Shown
from audioinv.data.rendered import Rendered

if TYPE_CHECKING:
    from audioinv.core.augmentation import Augmentation
    from audioinv.data.pack import Pack
    from vision.drawing import Spirograph


class SpirographImages(Rendered):
    """Factors of hypotrochoids."""

    name = "spirograph"
    size = "image_size"
    size_help = "of a pack of images, in pixels a side"
    columns = (
        *("m", "b", "h", "sigma", "foreground_red", "foreground_green", "foreground_blue"),
        *("background_red", "background_green", "background_blue"),
    )
    frontends: ClassVar[Mapping[str, str]] = {"spirograph": "vision.drawing:Spirograph"}
    conf = "vision.conf"
    defaults = "spirograph"
    factors_in = "vision.drawing:FACTORS"

    @property
    def schema(self) -> type[Any]:
        """`vision.conf.schema.SpirographConfig`."""
        from vision.conf.schema import SpirographConfig

        return SpirographConfig

    def write_example(
        self, augmentation: Augmentation, frontend: Spirograph, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """Test images before and after a factor is redrawn, as PNG files in `folder`."""
        from vision.pictures import write_drawings

        return write_drawings(augmentation, frontend, pack, folder)

    def show(self, frontend: Spirograph, samples: Samples) -> Shown:
        """The drawing."""
        from vision.pictures import shown_drawing

        return shown_drawing(samples, frontend)


SPIROGRAPH = SpirographImages()
