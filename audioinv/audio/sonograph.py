"""The modality `sonograph`: clips are factors of tones, which the front end synthesises.

The audio counterpart of Spirograph: what InvCLR does to an image, rendering it again with other
nuisances, is done to a sound. Phases and noise are a nuisance, too: a place in a fixed noise bank.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audioinv.data.media import Samples
from audioinv.data.modality import Shown
from audioinv.data.rendered import Rendered

if TYPE_CHECKING:
    from audioinv.audio.synthesis import Sonograph
    from audioinv.core.augmentation import Augmentation
    from audioinv.data.pack import Pack


class SonographTones(Rendered):
    """Factors of tones."""

    name = "sonograph"
    size = "sample_rate"
    size_help = "of a pack of sounds, in Hz"
    columns = (
        *("pitch", "tilt", "even_level", "emphasis", "emphasised_harmonic", "vibrato_depth"),
        *("vibrato_rate", "pulse_rate", "pulse_depth", "attack", "decay", "onset", "level", "snr"),
        "place",
    )
    frontends: ClassVar[Mapping[str, str]] = {"sonograph": "audioinv.audio.synthesis:Sonograph"}
    conf = "audioinv.audio.conf"
    defaults = "sonograph"
    factors_in = "audioinv.audio.synthesis:PLACED"

    @property
    def schema(self) -> type[Any]:
        """`audioinv.audio.schema.SonographConfig`."""
        from audioinv.audio.schema import SonographConfig

        return SonographConfig

    def write_example(
        self, augmentation: Augmentation, frontend: Sonograph, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """A test tone before and after a factor is redrawn, to hear and to see."""
        from audioinv.audio.pictures import write_tone

        return write_tone(augmentation, frontend, pack, folder)

    def show(self, frontend: Sonograph, samples: Samples) -> Shown:
        """A mel spectrogram, and the sound."""
        from audioinv.audio.pictures import shown_tone

        return shown_tone(samples, frontend)


SONOGRAPH = SonographTones()
