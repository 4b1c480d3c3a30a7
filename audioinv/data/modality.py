"""What clips are made of: a modality is one object, and nothing outside it knows.

`audio`, `sonograph`, `image` and `spirograph` come with the house. A package adds its own by an
entry point of the group `audioinv.modalities`, NAME = "package.module:OBJECT". Modules of that kind
import no torch: commands list modalities in their help, and processes that build packs start fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from audioinv.base.errors import UserError
from audioinv.base.near import check_options, unknown
from audioinv.data.media import Media, Samples
from audioinv.data.rules import Rule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank, ClipSource
    from audioinv.core.embedding import Sources
    from audioinv.core.encoder import AmortisedEncoder
    from audioinv.data.corpus import CorpusModule
    from audioinv.data.pack import Pack

GROUP = "audioinv.modalities"


@dataclass(frozen=True)
class MediaOption:
    """An option of `audioinv pack` beside the size: passed on to `Modality.media`."""

    name: str
    default: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Shown:
    """A clip for a page: a PNG file, and a WAV file, or b"" where there is none of it.

    Args:
        duration_s: how long the sound is.
    """

    picture: bytes = b""
    sound: bytes = b""
    duration_s: float = 0.0


class Modality(ABC):
    """One kind of clips, and all that the house must know of it.

    A clip is an array of any shape. `clips` and `windows` give batches of them, which the bank
    transforms and a front end turns into maps.

    Attributes:
        name: as in `modality=NAME`.
        size: the number that all clips of a pack share, such as "sample_rate": an option of
            `audioinv pack` and a key of the front ends. size_help: what it is, with its unit.
        columns: numbers that a row of a manifest has beside id and path; `rules` says what is wrong
            with them, `whole` names those without fractions.
        endings: of the files that hold clips, in lower case; none where clips have no file.
        whole_file: the numbers of a row that mean all of a file, for shards that have no manifest.
        frontends: name -> "package.module:Class". rivals: the same, of others' networks; `rival`.
        conf: the package of its Hydra groups. defaults: the file in it that chooses among them.
        requires: packages that it cannot do without. extra: what to install audioinv with for them.
        media_options: further options of `media`.
        derived_tasks: names of tasks that its corpora have beside their own `TASKS`.
    """

    name: str
    size: str
    size_help: str
    columns: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    whole: frozenset[str] = frozenset()
    whole_file: ClassVar[Mapping[str, Any]] = {}
    frontends: ClassVar[Mapping[str, str]]
    rivals: ClassVar[Mapping[str, str]] = {}
    conf: str
    defaults: str = "config"
    corpora_in: str = ""
    requires: tuple[str, ...] = ()
    extra: str = ""
    media_options: tuple[MediaOption, ...] = ()
    derived_tasks: tuple[str, ...] = ()

    @property
    def endings(self) -> Collection[str]:
        """Endings of the files that hold clips, in lower case."""
        return ()

    @property
    @abstractmethod
    def schema(self) -> type[Any]:
        """The dataclass of all settings of a run."""

    @abstractmethod
    def media(self, size: int, **options: str) -> Media:
        """How a pack of this size holds clips; `options` are those of `media_options`."""

    @abstractmethod
    def examine(self, path: Path, *numbers: float) -> tuple[str, UserError | None]:
        """Reads what a row promises, for `audioinv validate`.

        Args:
            numbers: the row's `columns`.

        Returns:
            a hash of the content, and what is wrong though it can be read.

        Raises:
            UserError: it cannot be read.
        """

    def examine_all(
        self, path: Path, rows: Sequence[tuple[float, ...]]
    ) -> list[tuple[str, UserError | None]]:
        """`examine` of several rows of one file; one that cannot be read has the hash ""."""
        return [self._examined(path, numbers) for numbers in rows]

    def _examined(self, path: Path, numbers: tuple[float, ...]) -> tuple[str, UserError | None]:
        try:
            return self.examine(path, *numbers)
        except UserError as error:
            return "", error

    @abstractmethod
    def bank(self, *size: Any, **options: Any) -> AugmentationBank:
        """The bank for clips of a pack's size; `options` as in the group `bank`."""

    @abstractmethod
    def task_augmentation(self, name: str, size: int) -> Augmentation:
        """An augmentation that a task is over and the bank may lack, at its default ranges."""

    @abstractmethod
    def crops(self, frontend: Any, pack: Pack, rows: Sequence[int]) -> ClipSource:
        """The clips to pre-train on, of the given rows."""

    @abstractmethod
    def clips(self, frontend: Any, pack: Pack, rows: Sequence[int]) -> Tensor:
        """One clip of each row, (n, ...), the same in every command."""

    @abstractmethod
    def windows(
        self,
        frontend: Any,
        pack: Pack,
        hop_s: float | None = None,
        repeat: bool = True,
        drop_last: bool = False,
        rows: Sequence[int] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of windows (b, ...) of every clip, and the clip of each, (b,), ascending.

        A clip longer than a window has one every `hop_s` seconds, as long as they lie within it,
        and one that ends with it, so that nothing is left out. A shorter one is filled up.

        Args:
            hop_s: None sets windows side by side; 0 takes the first of each clip alone.
            repeat: whether short clips may be filled up by repetition.
            drop_last: leave out the window that ends with the clip, where the hop does not lead to
                it, and it is not the only one.
            rows: of the pack, ascending, whose clips are cut; None takes all.
        """

    def sources(
        self, frontend: Any, x: Any, sample_rate: int | None, hop_s: float | None, drop_last: bool
    ) -> Sources | None:
        """Whatever a user gives as clips, as windows; the arguments are those of
        `AmortisedEncoder.embed`.

        None leaves it to `data.sources`, which reads files by `media` and cuts them by `windows`;
        a modality says more where it knows when a window is, or how to read long files in parts.

        Raises:
            UserError: what cannot be read, with its name.
        """
        return None

    def behind(self, frontend: Any, pack: Pack) -> NDArray[Any]:
        """How many of a clip's `n_samples` lie behind its first window, (n,); 0 where clips are all
        of one length."""
        return np.zeros(len(pack), int)

    @abstractmethod
    def write_example(
        self, augmentation: Augmentation, frontend: Any, pack: Pack, folder: Path
    ) -> dict[str, Any]:
        """Shows one augmentation by files in `folder`: pictures, sounds, or both.

        Returns:
            what examples.json says of it: "augmentation", "parameters" (name -> value), "before"
            and "after" (names of files), and in words "shown", what a picture shows, and "note",
            how to read it. {} if there is nothing to show.
        """

    def show(self, frontend: Any, samples: Samples) -> Shown:
        """One clip of a pack, `samples` (n,), to be seen and heard; nothing unless it says how."""
        return Shown()

    def read_stranger(self, path: Path, size: int) -> Samples:
        """A file from somebody unknown, (n,), as a pack of this size would hold it.

        Raises:
            UserError: it cannot be read, or this modality has no files.
        """
        if not self.endings:
            raise UserError(f"clips of modality {self.name} have no files; choose one of the pack")
        return self.media(size).read(path, self.whole_file)

    def frontend(self, name: str, **options: Any) -> nn.Module:
        """The front end `name` with keyword arguments of its class.

        Raises:
            UserError: an unknown one, or options that it does not take.
        """
        if name not in self.frontends:
            raise unknown("frontend", name, self.frontends)
        kind = resolve_name(self.frontends[name])
        check_options(f"front end {name}", kind, options)
        made: Any = kind(**options)
        made.modality = self.name  # a saved encoder tells it
        return cast("nn.Module", made)

    def rival(self, name: str) -> type[Any]:
        """The class of the rival `name`, or of somebody's own, PACKAGE.MODULE:CLASS.

        Made without arguments it is a frozen network with `frontend`, the options of its front end;
        the class itself tells `title` and the size of packs that it wants.

        Raises:
            UserError: there is none.
        """
        if ":" not in name and name not in self.rivals:
            raise unknown("a rival", name, [*self.rivals, "PACKAGE.MODULE:CLASS"])
        try:
            return cast("type[Any]", resolve_name(self.rivals.get(name, name)))
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(f"rival {name} cannot be imported: {error}") from error

    def check(self, pack: Pack, frontend: Any) -> None:
        """Raises a UserError unless a pack has the size that the front end wants."""
        options = frontend.config
        if pack.size != options[self.size]:
            raise UserError(
                f"the pack is at {self.size} {pack.size} and the front end wants "
                f"{options[self.size]}; pack again with --{self.size} {options[self.size]}"
            )

    def corpora(self) -> dict[str, CorpusModule]:
        """The corpora of this modality that `audioinv prepare` knows, by name."""
        from audioinv.data.corpus import find_corpora

        return find_corpora(self.corpora_in) if self.corpora_in else {}


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def known_modalities() -> list[Modality]:
    """Every modality that is registered and whose module is there, in the order of their names.

    What its `requires` names may still be missing.
    """
    found = []
    for entry in _entries().values():
        try:
            found.append(entry.load())
        except ModuleNotFoundError:  # a part of the house that was left out
            continue
    return found


def modality_of(name: str) -> Modality:
    """The modality `name`, with all that it needs.

        audio = ai.modality("audio")
        bank = audio.bank(sample_rate=8000, inactive="shared")
        front = audio.frontend("log_mel", sample_rate=8000, clip_s=0.5)

    Raises:
        UserError: an unknown one, or packages that it needs are not installed.
    """
    modality = registered(name)
    missing = [package for package in modality.requires if find_spec(package) is None]
    if missing:
        raise UserError(
            f"modality {name} needs {', '.join(missing)}; install audioinv with its extra: "
            f"pip install 'audioinv[{modality.extra}]'"
        )
    return modality


def registered(name: str) -> Modality:
    """The modality `name`, whose packages may be missing: enough for its manifests.

    Raises:
        UserError: an unknown one.
    """
    if not _entries():
        raise UserError(
            "no modality is registered: this audioinv was installed before it had any, or not at "
            "all; install it again (make install, or pip install -e .)"
        )
    if name not in _entries():
        raise unknown("modality", name, _entries())
    try:
        modality: Modality = _entries()[name].load()
    except ModuleNotFoundError as error:
        raise UserError(f"modality {name} needs {error.name}, which is not installed") from error
    return modality


def media_of(name: str, given: Mapping[str, Any]) -> Media:
    """How the clips of a modality are packed.

    Args:
        given: option -> value, None where it was not given; sizes and `media_options` of any
            modality.

    Raises:
        UserError: the size that this modality needs was not given, or an option of another was.
    """
    modality = modality_of(name)
    own = [option.name for option in modality.media_options]
    others = [o for o, v in given.items() if v is not None and o not in (modality.size, *own)]
    size = given.get(modality.size)
    if size is None or others:
        instead = f", not --{', --'.join(others)}" if others else ""
        raise UserError(f"the manifest is of modality {name}; give --{modality.size}{instead}")
    return modality.media(size, **{o: given[o] for o in own if given.get(o) is not None})


def modality_of_frontend(name: str) -> Modality:
    """The modality that has a front end `name`: encoders of format 1 do not tell theirs.

    Raises:
        UserError: none has it.
    """
    modalities = known_modalities()
    for modality in modalities:
        if name in modality.frontends:
            return modality_of(modality.name)
    raise unknown("frontend", name, [known for each in modalities for known in each.frontends])


def build_frontend(config: Mapping[str, Any]) -> nn.Module:
    """The front end described by `config`: "name" and its keyword arguments, and its "modality".

    Without the last, as in encoders of format 1, it is looked for in all modalities.

    Raises:
        UserError: unknown name.
    """
    options = dict(config)
    name, modality = str(options.pop("name", None)), options.pop("modality", None)
    found = modality_of(modality) if modality else modality_of_frontend(name)
    return found.frontend(name, **options)


def load_encoder(
    folder: str | Path, backbone: nn.Module | None = None, revision: str | None = None
) -> AmortisedEncoder:
    """The encoder in a run's `encoder/` folder, in evaluation mode; runs no code from the files.

        encoder = ai.load_encoder("exp/fsdd/encoder")

    Args:
        folder: or the name of one that comes with audioinv ("audioinv/notes-and-noises"), or
            OWNER/NAME on the Hugging Face hub ("me/my-encoder"), where there is no such path here.
        backbone: the network, of an encoder that was made with one of your own.
        revision: on the hub: a branch, tag or commit; None takes the newest.

    Raises:
        UserError: a file is missing, damaged, or of an unknown format; no such encoder on the hub.
    """
    from audioinv.core.encoder import AmortisedEncoder
    from audioinv.data.hub import encoder_folder

    found = encoder_folder(folder, revision=revision)
    return AmortisedEncoder.load(found, build_frontend, backbone)
