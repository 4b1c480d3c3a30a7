"""The modality `audio`: recorded sounds. Nothing here imports torch before it is called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.data.media import Media, Samples, read_all
from audioinv.data.modality import Modality, Shown
from audioinv.data.rules import number_rule, whole

if TYPE_CHECKING:
    from torch import Tensor

    from audioinv.audio.clips import RandomCrops
    from audioinv.audio.frontend import Frontend
    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank
    from audioinv.core.embedding import Sources
    from audioinv.data.pack import Pack

FRONTEND = "audioinv.audio.frontend"
STRANGER_S = 30.0  # of a file from somebody unknown; what follows is not read


class Audio(Modality):
    """Sounds in files, packed as 16-bit mono at one sample rate."""

    name = "audio"
    size = "sample_rate"
    size_help = "of a pack of sounds, in Hz"
    columns = ("start", "duration", "sample_rate")
    rules = (
        number_rule("start", "give seconds, 0 or more", lambda v: v >= 0),
        number_rule("duration", "give seconds, more than 0", lambda v: v > 0),
        number_rule("sample_rate", "give a whole number of Hz", lambda v: v > 0 and whole(v)),
    )
    whole = frozenset({"sample_rate"})
    whole_file: ClassVar[Mapping[str, Any]] = {"start": 0.0, "duration": None}
    frontends: ClassVar[Mapping[str, str]] = {
        "log_mel": f"{FRONTEND}:LogMel",
        "log_frequency": f"{FRONTEND}:LogFrequency",
        "log_mel_stft": f"{FRONTEND}:LogMelStft",
        "waveform": f"{FRONTEND}:Waveform",
    }
    rivals: ClassVar[Mapping[str, str]] = {
        "resemblyzer": "audioinv.audio.rivals.resemblyzer:Resemblyzer",
        "pesto": "audioinv.audio.rivals.pesto:Pesto",
    }
    conf = "audioinv.audio.conf"
    corpora_in = "audioinv.audio.corpora"
    requires = ("soundfile",)

    @property
    def endings(self) -> Collection[str]:
        """Of every file that soundfile opens."""
        from audioinv.audio.io import ENDINGS

        return ENDINGS

    @property
    def schema(self) -> type[Any]:
        """`audioinv.audio.schema.AudioConfig`."""
        from audioinv.audio.schema import AudioConfig

        return AudioConfig

    def media(self, size: int, **options: str) -> Media:
        """16-bit mono at `size` Hz."""
        from audioinv.audio.media import Sounds

        return Sounds(size)

    def examine(self, path: Path, *numbers: float) -> tuple[str, UserError | None]:
        """Reads start, duration and sample rate that a row promises."""
        from audioinv.audio.io import check

        return check(path, *numbers)

    def examine_all(
        self, path: Path, rows: Sequence[tuple[float, ...]]
    ) -> list[tuple[str, UserError | None]]:
        """`examine` of several rows, of which a child process decodes the file once, in order."""
        from audioinv.audio.decoder import check_parts
        from audioinv.audio.faults import content_error

        try:
            found = check_parts(path, [(start, duration) for start, duration, _ in rows])
        except UserError as error:
            return [("", error) for _ in rows]
        return [
            ("", each)
            if isinstance(each, UserError)
            else (each[0], content_error(path, *each, rate))
            for each, (_, _, rate) in zip(found, rows, strict=True)
        ]

    def bank(self, sample_rate: int, **options: Any) -> AugmentationBank:
        """The bank at a rate in Hz; `options` as of `audioinv.audio.augment.build_bank`."""
        from audioinv.audio.augment import build_bank

        return build_bank(sample_rate, **options)

    def task_augmentation(self, name: str, size: int) -> Augmentation:
        """The augmentation `name` at its default ranges, for sounds at `size` Hz."""
        from audioinv.audio.augment import AUGMENTATIONS
        from audioinv.core import augmenting

        return augmenting.default(AUGMENTATIONS, name, {"sample_rate": size})

    def crops(self, frontend: Frontend, pack: Pack, rows: Sequence[int]) -> RandomCrops:
        """Random stretches of the clips, of each as many as it has windows."""
        from audioinv.audio.clips import RandomCrops

        return RandomCrops(pack, rows, frontend.n_samples, frontend.repeats)

    def clips(self, frontend: Frontend, pack: Pack, rows: Sequence[int]) -> Tensor:
        """The first stretch of each clip, (n, n_samples)."""
        from audioinv.audio.clips import fixed_clips

        return fixed_clips(pack, rows, frontend.n_samples, frontend.repeats)

    def windows(
        self,
        frontend: Frontend,
        pack: Pack,
        hop_s: float | None = None,
        repeat: bool = True,
        drop_last: bool = False,
        rows: Sequence[int] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Windows (b, n_samples) of every clip, `hop_s` seconds apart, and the clip of each, (b,).

        Args:
            repeat: False fills short clips up with zeros even if the front end repeats them.
        """
        from audioinv.audio.clips import windows_of

        n, hop = frontend.n_samples, self._hop(frontend, hop_s)
        return windows_of(pack, n, hop, frontend.repeats and repeat, drop_last, rows)

    def sources(
        self,
        frontend: Frontend,
        x: Any,
        sample_rate: int | None,
        hop_s: float | None,
        drop_last: bool,
    ) -> Sources:
        """A pack, files of any length and rate, or arrays (T,), (B, T) or (B, C, T), as windows."""
        from audioinv.audio.sources import from_arrays, from_files, from_pack
        from audioinv.data.sources import files_of, pack_of

        hop = self._hop(frontend, hop_s)
        pack = pack_of(x, self, frontend)
        files = files_of(x, self) if pack is None else None
        if pack is None and files is None:
            return from_arrays(frontend, x, sample_rate, hop, drop_last)
        if sample_rate is not None:
            raise UserError("packs and files tell their sample rate; leave sample_rate out")
        if pack is None:
            return from_files(frontend, files or [], hop, drop_last)
        return from_pack(frontend, pack, hop, drop_last)

    @staticmethod
    def _hop(frontend: Frontend, hop_s: float | None) -> int:
        """Samples from one window to the next; 0 for the first alone."""
        if hop_s is None:
            return frontend.n_samples
        return max(round(hop_s * frontend.config["sample_rate"]), int(hop_s > 0))

    def behind(self, frontend: Frontend, pack: Pack) -> NDArray[Any]:
        """Samples of each clip behind its first window, (n,)."""
        lengths: NDArray[Any] = pack.frame["n_samples"].to_numpy()
        return (lengths - frontend.n_samples).clip(0)

    def write_example(
        self, augmentation: Augmentation, frontend: Frontend, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """A loud one of the test clips before and after, to hear and to see."""
        from audioinv.audio.pictures import write_loud_clip

        return write_loud_clip(augmentation, self.clips, frontend, pack, folder)

    def show(self, frontend: Frontend, samples: Samples) -> Shown:
        """A mel spectrogram, and the sound."""
        from audioinv.audio.pictures import shown

        return shown(samples, frontend.config["sample_rate"])

    def read_stranger(self, path: Path, size: int) -> Samples:
        """Its first STRANGER_S seconds, which a child process decodes."""
        first: Mapping[str, Any] = {"start": 0.0, "duration": STRANGER_S}
        (found,) = read_all(self.media(size), path, [first])
        if isinstance(found, UserError):  # perhaps it is shorter
            (found,) = read_all(self.media(size), path, [self.whole_file])
        if isinstance(found, UserError):
            raise found
        return found


AUDIO = Audio()
