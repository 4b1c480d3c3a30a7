"""audioinv embed: features of every clip of a pack at one descriptor, as a Parquet table.

Of a clip longer than the encoder's window the first window counts.

Made in pieces, which an interrupted run leaves behind for the next and workers share among them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path
from audioinv.base.lock import locked
from audioinv.conf.schema import Config
from audioinv.core.encoder import AmortisedEncoder, PlainEncoder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.parallel import SERIAL, Engine, map_all
from audioinv.runs.build import load_run, run_of
from audioinv.runs.folder import encoder_key
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.features import embed
from audioinv.tasks.settings.features import FeatureConfig

BATCH = 256
PIECE_CLIPS = 16 * BATCH  # a worker holds the features of so many
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Source:
    """What features are made of; `encoder` is the SHA-256 of its files."""

    run: str
    pack: str
    encoder: str
    descriptor: str
    layers: str
    trusted_modules: tuple[str, ...]


@dataclass(frozen=True)
class _Piece:
    """Features to be made: those of the clips from `first` to before `last`."""

    source: _Source
    first: int
    last: int
    file: Path
    key: str


def main(config: Config, descriptor: str, out: Path, engine: Engine = SERIAL) -> None:
    """Writes the pack's manifest columns and a `feature` column (list of d floats) to `out`.

    Whatever the engine, the features are the same bits on machines of one kind: every piece is
    computed by one thread.

    Raises:
        UserError: windows or averaging are asked for.
    """
    check_features(config.features)
    source = _source_of(config, descriptor)
    encoder, _, pack = _loaded(source)
    warn_of_long_clips(encoder, pack)
    key = _key(source, pack)
    if _has_key(out, key):
        log.info("%s: already done", out)
        return
    folder = out.absolute().with_name(f"{out.name}.pieces")
    pieces = _pieces(source, folder, key, len(pack))
    with locked(folder):
        map_all(_make_piece, pieces, engine, "embedding", folder)
        n_features = _join(pieces, pack, out, key)
        shutil.rmtree(folder)
    log.info("%s: %d clips, %d features, descriptor %s", out, len(pack), n_features, descriptor)


def check_features(features: FeatureConfig) -> None:
    """Refuses what the features here are not made of.

    Raises:
        UserError: windows of a clip, or views of it, are asked for.
    """
    for key in ("hop_s", "views"):
        value = getattr(features, key)
        if value:
            raise UserError(
                f"features.{key} is {value} and embed encodes a clip's first window, once; "
                f"give features.{key}=0"
            )


def warn_of_long_clips(encoder: AmortisedEncoder, pack: Pack) -> None:
    """Says how much of the clips lies behind the first window, where there is such."""
    behind = modality_of(pack.corpus.modality).behind(encoder.frontend, pack)
    if behind.any():
        log.warning(
            "%d of %d clips are longer than the encoder's window: what lies behind, %.0f%% of "
            "all, is not used",
            (behind > 0).sum(), len(behind), 100 * behind.sum() / pack.frame["n_samples"].sum(),
        )  # fmt: skip


def _source_of(config: Config, descriptor: str) -> _Source:
    run = run_of(config).absolute()
    pack = str(Path(config.pack).absolute()) if config.pack else ""
    features = config.features
    return _Source(
        str(run),
        pack,
        encoder_key(run),
        descriptor,
        features.layers,
        tuple(config.trusted_modules),
    )


@lru_cache(maxsize=1)
def _loaded(source: _Source) -> tuple[AmortisedEncoder, PlainEncoder, Pack]:
    """The encoder, the same at the descriptor, and the pack: loaded once in every process."""
    features = FeatureConfig(layers=source.layers)
    trusted = list(source.trusted_modules)
    where = source.pack or None
    config = Config(run=source.run, pack=where, features=features, trusted_modules=trusted)
    encoder, _, pack = load_run(config)
    return encoder, encoder.at(source.descriptor), pack


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, so that the bits do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _key(source: _Source, pack: Pack) -> str:
    """SHA-256 of all that decides the features; not of where run and pack lie."""
    parts = (source.encoder, source.descriptor, source.layers)
    return hashlib.sha256(repr((pack.content_key, *parts)).encode()).hexdigest()


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
    if _has_key(piece.file, piece.key):
        return
    encoder, plain, pack = _loaded(piece.source)
    parts = []
    with one_thread():
        for start in range(piece.first, piece.last, BATCH):
            rows = range(start, min(start + BATCH, piece.last))
            parts.append(embed(plain, encoder_clips(encoder, pack, rows), piece.source.layers))
    features = torch.cat(parts)
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(features.numpy().ravel()), features.shape[1]
    )
    table = pa.table({"feature": column}).replace_schema_metadata({"key": piece.key})
    with atomic_path(piece.file) as temporary:
        pq.write_table(table, temporary)


def _has_key(file: Path, key: str) -> bool:
    """Whether the Parquet file is there, whole, and was made from what `key` says."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return bool(metadata.get(b"key") == key.encode())


def _join(pieces: Sequence[_Piece], pack: Pack, out: Path, key: str) -> int:
    """Writes `out`, a piece at a time; returns the number of features of a clip."""
    columns = pa.Schema.from_pandas(pack.frame, preserve_index=False)
    feature = pq.read_schema(pieces[0].file).field("feature")
    schema = columns.append(feature).with_metadata({**(columns.metadata or {}), "key": key})
    with atomic_path(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for piece in pieces:
            frame = pack.frame.iloc[piece.first : piece.last]
            table = pa.Table.from_pandas(frame, schema=columns, preserve_index=False)
            made = pq.read_table(piece.file)["feature"]
            writer.write_table(table.append_column(feature, made))
    return int(feature.type.list_size)
