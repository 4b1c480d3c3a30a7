"""What a user may give as clips: a pack, files, folders of them, or arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from audioinv.base.errors import UserError
from audioinv.core.embedding import Sources, Windows, whole_clips
from audioinv.data.later import pandas as pd
from audioinv.data.media import Samples
from audioinv.data.modality import Modality, modality_of, modality_of_frontend
from audioinv.data.pack import Pack, open_pack
from audioinv.data.walk import find_files

FILES = 64  # that are held at once


def pack_of(x: Any, modality: Modality, frontend: Any) -> Pack | None:
    """The pack that `x` is, or is the folder of; None if it is none.

    Raises:
        UserError: one of another modality, or of another size than the front end's.
    """
    named = isinstance(x, str | Path) and (Path(x) / "pack.json").is_file()
    pack = open_pack(x) if named else x
    if not isinstance(pack, Pack):
        return None
    if pack.corpus.modality != modality.name:
        raise UserError(
            f"{pack.directory} is of modality {pack.corpus.modality} and the encoder of "
            f"{modality.name}; give a pack of {modality.name}"
        )
    modality.check(pack, frontend)
    return pack


def files_of(x: Any, modality: Modality) -> list[Path] | None:
    """The files that `x` names, those of a folder in order; None if it names none.

    Raises:
        UserError: there is no such file, or a folder without any.
    """
    named = [x] if isinstance(x, str | Path) else x
    if not isinstance(named, Sequence) or not all(isinstance(n, str | Path) for n in named):
        return None
    if not named:
        raise UserError("there are no clips; give files, folders, a pack or arrays")
    if not modality.endings:
        raise UserError(f"clips of modality {modality.name} have no files; give a pack or arrays")
    return [file for name in named for file in _files(Path(name), modality.endings, modality.name)]


def _files(path: Path, endings: Collection[str], kind: str) -> list[Path]:
    if path.is_dir():
        return [path / name for name in find_files(path, endings, f"{kind} files")]
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    return [path]


def sources_of(
    frontend: Any,
    x: Any,
    sample_rate: int | None = None,
    hop_s: float | None = None,
    drop_last: bool = False,
) -> Sources:
    """What the modality of a front end can read, as windows; see `AmortisedEncoder.embed`.

    Raises:
        UserError: neither a pack, nor files, nor clips as the front end takes them; or a file that
            cannot be read.
    """
    name = getattr(frontend, "modality", None)
    modality = modality_of(name) if name else modality_of_frontend(frontend.config["name"])
    own = modality.sources(frontend, x, sample_rate, hop_s, drop_last)
    if own is not None:
        return own
    if sample_rate is not None:
        raise UserError(f"clips of modality {modality.name} have no rate; leave sample_rate out")
    if (pack := pack_of(x, modality, frontend)) is not None:
        names = [str(name) for name in pack.frame["id"]]
        return Cut(modality, frontend, hop_s, drop_last, names, pack)
    if (files := files_of(x, modality)) is not None:
        return Cut(modality, frontend, hop_s, drop_last, [str(file) for file in files])
    return whole_clips(frontend, x)


@dataclass(frozen=True)
class Read:
    """Files that were read, with what `Modality.windows` asks of a pack."""

    values: Sequence[Samples]
    size: int

    def __len__(self) -> int:
        return len(self.values)

    @property
    def frame(self) -> pd.DataFrame:
        """`n_samples` of each."""
        return pd.DataFrame({"n_samples": [len(values) for values in self.values]})

    def samples(self, index: int) -> Samples:
        """Clip `index`, (n_samples,)."""
        return self.values[index]


@dataclass(frozen=True)
class Cut:
    """Clips of a pack, or of the files `names`, cut by the windows of their modality.

    Where in a clip a window lies is not known here.
    """

    modality: Modality
    frontend: Any
    hop_s: float | None
    drop_last: bool
    names: Sequence[str]
    pack: Pack | None = None

    def batches(self, batch_size: int, clips: Sequence[int] | None = None) -> Iterator[Windows]:
        """As `core.embedding.Sources` says."""
        rows = range(len(self.names)) if clips is None else clips
        step = len(rows) if self.pack is not None else FILES
        for first in range(0, len(rows), max(step, 1)):
            yield from self._windows(rows[first : first + step], batch_size)

    def _windows(self, rows: Sequence[int], batch_size: int) -> Iterator[Windows]:
        held, inside = self.pack, list(rows)
        if held is None:
            held, inside = cast(Pack, self._read(rows)), list(range(len(rows)))
        cut = self.modality.windows(
            self.frontend, held, self.hop_s, drop_last=self.drop_last, rows=inside
        )
        place = torch.tensor(list(rows))
        if self.pack is not None:
            place = torch.arange(len(self.pack))
        for x, owner in cut:
            nowhere = torch.full((len(x),), torch.nan, dtype=torch.float64)
            for part in torch.arange(len(x)).split(batch_size):
                yield Windows(x[part], place[owner[part]], nowhere[part], nowhere[part])

    def _read(self, rows: Sequence[int]) -> Read:
        size = self.frontend.config[self.modality.size]
        media, whole = self.modality.media(size), self.modality.whole_file
        values = [media.read(Path(self.names[row]), whole) for row in rows]
        return Read([np.asarray(each) for each in values], size)
