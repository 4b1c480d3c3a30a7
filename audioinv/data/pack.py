"""The pack: a manifest's clips, decoded and brought to one size once, memory-mapped ever after.

A folder of Arrow IPC shards (the manifest's columns, `n_samples`, and `samples`, in the numbers
that its modality keeps them in) and `pack.json`, written last: a folder without it is no pack. Each
shard carries the key of what it was made from, so an interrupted build goes on where it stopped and
a changed clip costs one shard.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import atomic_path, read_json, remove_abandoned, write_json, write_text
from audioinv.base.lock import locked
from audioinv.base.near import meant, unknown
from audioinv.data.manifest import Corpus, Manifest
from audioinv.data.media import Media, Samples, read_all
from audioinv.data.parallel import SERIAL, Engine, map_all
from audioinv.data.paths import path_inside
from audioinv.data.task import PackTask, Task

FORMAT = "audioinv-pack-v2"
SHARD_BYTES = 128 << 20  # a worker holds twice this
ON_ERROR = ("fail", "skip")


@dataclass(frozen=True)
class _Shard:
    """A shard to be made: rows of the manifest, where their files are, and the key of all that."""

    file: Path
    frame: pd.DataFrame
    root: Path
    also: tuple[Path, ...]
    media: Media
    key: str


@dataclass(frozen=True)
class _Clips:
    """The samples of a shard's clips, end to end: clip c is values[offsets[c]:offsets[c + 1]]."""

    values: Samples
    offsets: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Pack:
    """Clips at one size, read by slices of a memory map.

        len(pack), pack.size, pack.samples(0)
        pack.task("digit_unseen_speaker")

    Args:
        directory: of the shards and pack.json.
        frame: the manifest's columns and `n_samples`; row c is clip c.
        size: the number that its clips share, such as a sample rate in Hz.
        corpus: with its tasks.
        content_key: SHA-256 (hex) of what the pack was made from.
        skipped: id -> reason, of the clips that could not be read.
        reused: `build_pack` found it up to date.
    """

    directory: Path
    frame: pd.DataFrame
    size: int
    corpus: Corpus
    content_key: str
    skipped: dict[str, str]
    reused: bool = False
    _shards: Sequence[_Clips] = field(default=(), repr=False)
    _starts: Sequence[int] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.frame)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_pack, (self.directory,)  # a loader's worker maps the files again

    def task(self, task: str | Task) -> PackTask:
        """A task of the corpus by its name, or one of your own, over these clips.

        Raises:
            UserError: the corpus has none of that name, or the pack lacks a column that it reads.
        """
        known = {each.name: each for each in self.corpus.tasks}
        if isinstance(task, str) and task not in known:
            has = f"{', '.join(known) or 'none'}{meant(task, known)}"
            raise UserError(f"unknown task {task}; corpus {self.corpus.name} has {has}")
        found = known[task] if isinstance(task, str) else task
        return PackTask(self, found.over(self.frame))

    def samples(self, index: int) -> Samples:
        """Clip `index`: (n_samples,), a read-only view of the memory map.

        Raises:
            IndexError: there is no such clip.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of a pack of {len(self)}")
        at = int(np.searchsorted(self._starts, index, side="right")) - 1
        shard, clip = self._shards[at], index - self._starts[at]
        return shard.values[shard.offsets[clip] : shard.offsets[clip + 1]]


def build_pack(
    manifest: Manifest,
    out: str | Path,
    media: Media,
    engine: Engine = SERIAL,
    on_error: str = "fail",
    shard_clips: int = 1000,
) -> Pack:
    """Decodes every clip and brings it to one size, into `out`; at once if that is done already.

    Finished shards of an interrupted build are kept; shards of anything else are made again.

    Args:
        manifest: rows in the order the pack will have. out: folder of the pack; made if need be.
        media: how a clip is read, and its size in the pack. engine: what makes the shards.
        on_error: at a clip that cannot be read, "fail" stops; "skip" leaves it out and lists it in
            pack.json and skipped.csv.
        shard_clips: clips in a shard, at most (fewer where they are long).

    Raises:
        UserError: a clip cannot be read (on_error "fail") or none can, the disk is full, another
            process packs into `out`, a bad setting. No pack.json stands then, and whatever shards
            do are whole.
    """
    if on_error not in ON_ERROR:
        raise unknown("on_error", on_error, ON_ERROR)
    if media.size < 1 or shard_clips < 1:
        raise UserError(f"{media.unit} is {media.size}, shard_clips {shard_clips}; give 1 or more")
    out = Path(out)
    shards = _plan(manifest, out, media, shard_clips)
    key = hashlib.sha256(" ".join([manifest.corpus.name, *(s.key for s in shards)]).encode())
    description = {
        "format": FORMAT,
        "key": key.hexdigest(),
        "size": media.size,
        "corpus": manifest.corpus.to_json(),
        "shards": [{"file": shard.file.name, "key": shard.key} for shard in shards],
    }
    reused = _reuse(out, description, on_error)
    if reused is None:
        with locked(out):
            _build(out, description, shards, engine, on_error)
    pack = open_pack(out) if reused is None else reused
    print(
        f"{out}: {len(pack)} clips of {media.unit} {media.size}, {_outcome(pack)}", file=sys.stderr
    )
    return pack


def open_pack(directory: str | Path) -> Pack:
    """Maps a finished pack.

        pack = ai.open_pack("packs/fsdd")

    Raises:
        UserError: there is none, or a shard is missing or damaged.
    """
    directory = Path(directory)
    if not (directory / "pack.json").is_file():
        raise UserError(f"{directory} is not a finished pack; make it with audioinv pack")
    description = _described(directory)
    tables = [_map_shard(directory / s["file"], s["key"]) for s in description["shards"]]
    frames = [table.drop_columns("samples").to_pandas() for table in tables]
    counts = [len(frame) for frame in frames]
    return Pack(
        directory,
        pd.concat(frames, ignore_index=True),
        description["size"],
        Corpus.from_json(description["corpus"]),
        description["key"],
        {clip["id"]: clip["reason"] for clip in description["skipped"]},
        _shards=[_clips(table) for table in tables],
        _starts=list(np.cumsum([0, *counts[:-1]])),
    )


def _described(directory: Path) -> dict[str, Any]:
    """What pack.json tells.

    Raises:
        UserError: it is of another format, or damaged.
    """
    what = f"a pack that {directory}/pack.json describes"
    fields = checked(read_json(directory / "pack.json"), what, format=str)
    if fields["format"] != FORMAT:
        raise UserError(f"{directory}/pack.json is not of format {FORMAT}; pack again")
    checked(fields, what, key=str, size=int, corpus=dict, shards=list, skipped=list)
    for shard in fields["shards"]:
        if Path(checked(shard, what, file=str, key=str)["file"]).name != shard["file"]:
            raise UserError(f"{what} has a shard '{shard['file']}' elsewhere; pack again")
    for clip in fields["skipped"]:
        checked(clip, what, id=str, reason=str)
    if fields["size"] < 1 or not fields["shards"]:
        raise UserError(f"{what} has size {fields['size']}, {len(fields['shards'])} shards")
    return fields


def _plan(manifest: Manifest, out: Path, media: Media, shard_clips: int) -> list[_Shard]:
    """The shards to make: runs of rows of at most `shard_clips` clips and about SHARD_BYTES."""
    out, root = out.absolute(), manifest.root.absolute()  # a worker may run in another folder
    also = tuple(folder.absolute() for folder in manifest.also)
    sizes = media.n_bytes(manifest.frame)
    ends, clips, size = [], 0, 0.0
    for row, extra in enumerate(sizes):
        if clips == shard_clips or (clips and size + extra > SHARD_BYTES):
            ends.append(row)
            clips, size = 0, 0.0
        clips, size = clips + 1, size + extra
    bounds = [0, *ends, len(sizes)]
    shards = []
    for number, (first, last) in enumerate(pairwise(bounds)):
        frame = manifest.frame.iloc[first:last].reset_index(drop=True)
        key = _shard_key(frame, root, media)
        file = out / f"shard-{number:05d}.arrow"
        shards.append(_Shard(file, frame, root, also, media, key))
    return shards


def _shard_key(frame: pd.DataFrame, root: Path, media: Media) -> str:
    """SHA-256 of rows, size, and each file's size and time of change.

    Those two stand for a file's content: hashing that would read all the files at every start.
    """
    digest = hashlib.sha256(f"{FORMAT} {media!r}\n".encode())
    digest.update(frame.to_csv(index=False, quoting=csv.QUOTE_ALL).encode())
    for name in frame["path"].unique():
        try:
            stat = (root / name).stat()
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(b"missing\n")
    return digest.hexdigest()


def _reuse(out: Path, description: dict[str, Any], on_error: str) -> Pack | None:
    """The pack in `out` if this is its description; its corpus (tasks) is brought up to date."""
    try:
        stored = read_json(out / "pack.json")
        if stored["key"] != description["key"] or (stored["skipped"] and on_error == "fail"):
            return None
        if stored["corpus"] != description["corpus"]:
            write_json(out / "pack.json", {**stored, "corpus": description["corpus"]})
        pack = open_pack(out)
    except (UserError, KeyError, TypeError):
        return None
    return Pack(**{**vars(pack), "reused": True})


def _outcome(pack: Pack) -> str:
    skipped = f", {len(pack.skipped)} skipped: see skipped.csv" if pack.skipped else ""
    return ("up to date" if pack.reused else "packed") + skipped


def _build(
    out: Path, description: dict[str, Any], shards: list[_Shard], engine: Engine, on_error: str
) -> None:
    """Makes the shards that are not there, then pack.json."""
    _sweep(out, {shard.file.name for shard in shards})
    make = partial(_make_shard, on_error=on_error)
    made = map_all(make, shards, engine, "packing shards", out)
    remove_abandoned(out)  # by a worker that died, for which another did the work
    skipped = [clip for part in made for clip in part]
    if len(skipped) == sum(len(shard.frame) for shard in shards):
        raise UserError(f"{out}: no clip could be read; the first: {skipped[0]['reason']}")
    if skipped:
        table = io.StringIO()
        writer = csv.DictWriter(table, ["id", "reason"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(skipped)
        write_text(out / "skipped.csv", table.getvalue())
    write_json(out / "pack.json", {**description, "skipped": skipped})


def _sweep(out: Path, keep: set[str]) -> None:
    """Removes what must not be trusted: the old pack.json, surplus shards, temporary files."""
    patterns = ("pack.json", "skipped.csv", ".shard-*.tmp", "shard-*.arrow")
    for old in [file for pattern in patterns for file in out.glob(pattern)]:
        if old.name not in keep:
            try:
                old.unlink()
            except OSError as error:
                raise UserError(f"cannot remove {old}: {error.strerror}") from error


def _make_shard(shard: _Shard, on_error: str) -> list[dict[str, str]]:
    """Writes a shard, unless it stands; returns its skipped clips.

    Raises:
        UserError: a clip cannot be read (on_error "fail"), or the shard cannot be written.
    """
    done = _skipped_in(shard)
    if done is not None and not (done and on_error == "fail"):
        return done
    if _shard_key(shard.frame, shard.root, shard.media) != shard.key:
        raise UserError(
            f"{platform.node()} does not find in {shard.root} what {shard.file.name} was planned "
            "from: files change, or its machine does not share this folder"
        )
    rows: list[Any] = shard.frame.to_dict("records")
    read = _read_rows(shard, rows, on_error)
    bad = [number for number, found in enumerate(read) if isinstance(found, UserError)]
    skipped = [{"id": rows[number]["id"], "reason": str(read[number])} for number in bad]
    whole = [found for found in read if not isinstance(found, UserError)]
    _write_shard(shard, shard.frame.drop(index=bad), whole, skipped)
    return skipped


def _read_rows(shard: _Shard, rows: list[Any], on_error: str) -> list[Samples | UserError]:
    """Every row's samples, or what is wrong with it (unless `on_error` is "fail")."""
    found: list[Any] = [None] * len(rows)
    for name, numbers in shard.frame.groupby("path", sort=False).indices.items():
        try:
            path = path_inside(shard.root, str(name), shard.also)
            read = read_all(shard.media, path, [rows[number] for number in numbers])
        except UserError as error:
            read = [error] * len(numbers)
        for number, found[number] in zip(numbers, read, strict=True):
            if isinstance(found[number], UserError) and on_error == "fail":
                reason = f"clip {rows[number]['id']}: {found[number]}"
                raise UserError(f"{reason}; --on-error skip leaves it out") from None
    return found


def _write_shard(
    shard: _Shard, frame: pd.DataFrame, read: list[Samples], skipped: list[dict[str, str]]
) -> None:
    """One record batch: the rows, `n_samples`, `samples`; key and skipped clips in the schema."""
    lengths = np.array([len(samples) for samples in read], np.int64)
    values = np.concatenate([np.empty(0, shard.media.dtype), *read])
    rows = pa.RecordBatch.from_pandas(frame.assign(n_samples=lengths), preserve_index=False)
    column = pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]), values)
    metadata = {"key": shard.key, "skipped": json.dumps(skipped)}
    batch = rows.append_column("samples", column).replace_schema_metadata(metadata)
    with (
        atomic_path(shard.file) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, batch.schema) as writer,
    ):
        writer.write_batch(batch)


def _skipped_in(shard: _Shard) -> list[dict[str, str]] | None:
    """The skipped clips of a shard that stands finished; None if it does not."""
    try:
        table = _map_shard(shard.file, shard.key)
    except UserError:
        return None
    skipped: list[dict[str, str]] = json.loads(table.schema.metadata[b"skipped"])
    return skipped


def _map_shard(file: Path, key: str) -> pa.Table:
    """The shard as a table over the memory map.

    Raises:
        UserError: it is missing, damaged, or was made from something else.
    """
    try:
        with pa.memory_map(str(file)) as source:  # closing frees the descriptor, not the map
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)  # offsets and texts: no file may lead outside its memory
        samples, counts = table["samples"], table["n_samples"]
        if samples.num_chunks != 1 or not pa.types.is_large_list(samples.type):
            raise pa.ArrowInvalid("not one record batch with samples")
        if not pa.types.is_primitive(samples.type.value_type) or counts.type != pa.int64():
            raise pa.ArrowInvalid("samples or their counts are no numbers")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{file}: missing or damaged ({error}); pack again") from error
    if (table.schema.metadata or {}).get(b"key") != key.encode():
        raise UserError(f"{file}: belongs to another pack; pack again")
    return table


def _clips(table: pa.Table) -> _Clips:
    column = table["samples"].chunk(0)
    return _Clips(
        column.values.to_numpy(zero_copy_only=True), column.offsets.to_numpy(zero_copy_only=True)
    )
