"""audioinv embed: features of files, or of every clip of a pack, as a table.

Those of a pack are made in pieces, which an interrupted run leaves behind for the next and workers
share among them; files are read and encoded one after the other.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

from audioinv.base.errors import UserError
from audioinv.base.lock import locked
from audioinv.base.progress import counted
from audioinv.commands.feature_files import apart, check_ending, features_file, has_key
from audioinv.commands.judging import tell_of_windows
from audioinv.commands.using import Used, used
from audioinv.conf.schema import Config
from audioinv.core.embedding import Rows, followed, sources_of, stream
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack, open_pack
from audioinv.data.parallel import SERIAL, Engine, map_all
from audioinv.runs.build import need
from audioinv.tasks.given import device_named

PIECE_CLIPS = 4096  # a worker holds the features of so many
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the command's own words ask for.

    Args:
        paths: files and folders; none for the pack. encoder: its folder, or "" for run=. task,
            mode: of an adapted task, or "". windows: a row a window.
    """

    paths: tuple[str, ...] = ()
    encoder: str = ""
    task: str = ""
    mode: str = "soft"
    windows: bool = False


@dataclass(frozen=True)
class _Source:
    """What features are made of."""

    used: Used
    pack: str
    windows: bool


@dataclass(frozen=True)
class _Piece:
    """Features to be made: those of the clips from `first` to before `last`."""

    source: _Source
    first: int
    last: int
    file: Path
    key: str


def main(
    config: Config, descriptor: str, out: Path, wanted: Wanted, engine: Engine = SERIAL
) -> None:
    """Writes a row a clip, or a window, and its features to `out`, by its ending.

    Of a pack, whatever the engine, the features are the same bits on machines of one kind: every
    piece is computed by one thread.

    Raises:
        UserError: nothing to embed, another ending, averaging asked for, or what cannot be read.
    """
    check_ending(out)
    check_features(config)
    if wanted.paths and config.pack:
        raise UserError(f"{wanted.paths[0]} and pack={config.pack} are given; give one")
    words = wanted.encoder, wanted.task, wanted.mode
    what = used(config, descriptor, *words)
    if wanted.paths:
        embed_files(what, wanted, out, device_named(config.accelerator))
    else:
        pack = str(need(config.pack, "pack", "packs/fsdd, or files").absolute())
        embed_pack(_Source(what, pack, wanted.windows), out, engine)


def check_features(config: Config) -> None:
    """Raises a UserError where averaging over views is asked for."""
    if config.features.views:
        raise UserError(
            f"features.views is {config.features.views} and embed takes clips as they are; "
            "give features.views=0"
        )


def embed_files(what: Used, wanted: Wanted, out: Path, device: torch.device) -> None:
    """Features of files, straight from them."""
    encoder, descriptor = what.load()
    encoder.to(device)
    own = what.made_of
    sources = sources_of(encoder.frontend, list(wanted.paths), None, own.hop_s, own.drop_last)
    names, n, d = np.array(sources.names, object), 0, 0
    rows = stream(encoder, sources, descriptor, own.pool, own.layers, wanted.windows)
    with counted("embedding", "clips") as progress, features_file(out) as write:
        for part in followed(rows, len(names), progress):
            told = pd.DataFrame({"path": names[part.clip.numpy()], **_times(part, wanted.windows)})
            write(told, part.features.numpy())
            n, d = n + len(told), part.features.shape[1]
    log.info("%s: %d rows of %d clips, %d features", out, n, len(names), d)


def _times(part: Rows, windows: bool) -> dict[str, Any]:
    """Where windows lie, as columns."""
    if not windows:
        return {}
    return {"start_s": part.start_s.numpy(), "end_s": part.end_s.numpy()}


def embed_pack(source: _Source, out: Path, engine: Engine) -> None:
    """Features of a pack's clips, with the columns of its manifest."""
    encoder, _, pack = _loaded(source)
    tell_of_windows(encoder, pack, source.used.made_of)
    key = hashlib.sha256(
        repr((pack.content_key, source.used.key, source.windows)).encode()
    ).hexdigest()
    if has_key(out, key):
        log.info("%s: already done", out)
        return
    folder = out.absolute().with_name(f"{out.name}.pieces")
    pieces = _pieces(source, folder, key, len(pack))
    with locked(folder):
        map_all(_make_piece, pieces, engine, "embedding", folder)
        n_features = _join(pieces, pack, out, key)
        shutil.rmtree(folder)
    what = source.used.task or f"descriptor {source.used.descriptor}"
    log.info("%s: %d clips, %d features, %s", out, len(pack), n_features, what)


@lru_cache(maxsize=1)
def _loaded(source: _Source) -> tuple[AmortisedEncoder, Any, Pack]:
    """The encoder, the descriptor or task, and the pack: loaded once in every process."""
    return *source.used.load(), open_pack(source.pack)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, so that the bits do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _pieces(source: _Source, folder: Path, key: str, n: int) -> list[_Piece]:
    return [
        _Piece(
            source,
            first,
            min(first + PIECE_CLIPS, n),
            folder / f"piece-{first:010d}.parquet",
            f"{key} {first} {min(first + PIECE_CLIPS, n)}",
        )
        for first in range(0, n, PIECE_CLIPS)
    ]


def _make_piece(piece: _Piece) -> None:
    """Writes a piece, unless it stands."""
    if has_key(piece.file, piece.key):
        return
    with one_thread(), features_file(piece.file, piece.key) as write:
        for part in rows_of_piece(piece):
            times = _times(part, piece.source.windows)
            write(pd.DataFrame({"clip": part.clip.numpy(), **times}), part.features.numpy())


def rows_of_piece(piece: _Piece) -> Iterable[Rows]:
    """The features of a piece's clips."""
    encoder, descriptor, pack = _loaded(piece.source)
    own, windows = piece.source.used.made_of, piece.source.windows
    sources = sources_of(encoder.frontend, pack, None, own.hop_s, own.drop_last)
    clips = range(piece.first, piece.last)
    return stream(encoder, sources, descriptor, own.pool, own.layers, windows, clips=clips)


def _join(pieces: Sequence[_Piece], pack: Pack, out: Path, key: str) -> int:
    """Writes `out`, a piece at a time; returns the number of features of a row."""
    d, frame = 0, apart(pack.frame)
    with features_file(out, key) as write:
        for piece in pieces:
            made = pq.read_table(piece.file)
            d = made["feature"].type.list_size
            features = made["feature"].combine_chunks().flatten().to_numpy().reshape(-1, d)
            told = made.drop_columns("feature").to_pandas()
            rows = frame.iloc[told.pop("clip")].reset_index(drop=True)
            write(rows.assign(**told), features)
    return int(d)
