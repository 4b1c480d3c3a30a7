"""Damaged audio, manifests, corpora and packs, and what reads them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from hypothesis import strategies as st

from audioinv.audio.io import check, probe, read_pcm
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data.manifest import read_manifest
from audioinv.data.pack import build_pack, open_pack
from audioinv.data.task import Task
from audioinv.data.validate import validate
from tests.faults.damage import Case, altered, damaged


def tone(n: int = 900) -> np.ndarray:
    return 0.3 * np.sin(np.arange(n) / 5)


def of_audio(folder: Path) -> Case:
    kinds = {
        "a.wav": ("WAV", "PCM_16"), "b.wav": ("WAV", "FLOAT"), "c.flac": ("FLAC", "PCM_16"),
        "d.ogg": ("OGG", "VORBIS"), "e.mp3": ("MP3", "MPEG_LAYER_III"),
        "f.aiff": ("AIFF", "PCM_24"),
        "g.w64": ("W64", "PCM_16"), "h.au": ("AU", "ULAW"), "i.wav": ("WAVEX", "PCM_24"),
        "j.opus": ("OGG", "OPUS"), "k.caf": ("CAF", "ALAC_16"), "l.sph": ("NIST", "PCM_16"),
        "m.voc": ("VOC", "PCM_16"), "n.mat": ("MAT5", "FLOAT"), "o.mat": ("MAT4", "DOUBLE"),
        "p.avr": ("AVR", "PCM_16"), "q.rf64": ("RF64", "PCM_16"),
    }  # fmt: skip
    whole = {}
    for name, (kind, subtype) in kinds.items():
        soundfile.write(folder / name, np.stack([tone(), -tone()], 1), 8000, subtype, format=kind)
        whole[name] = (folder / name).read_bytes()
    cases = st.sampled_from(sorted(whole)).flatmap(
        lambda name: st.tuples(st.just(name), damaged(whole[name]), st.floats(0, 0.2))
    )

    def run(case: tuple[str, bytes, float]) -> None:
        name, content, start = case
        (folder / name).write_bytes(content)
        info = samples = None
        with contextlib.suppress(UserError):
            info = probe(folder / name)
        with contextlib.suppress(UserError):
            samples = read_pcm(folder / name, 4000)
        with contextlib.suppress(UserError):
            check(folder / name, start, 0.05, 8000)
        assert samples is None or (info is not None and len(samples) > 0)

    return cases, run


def write_corpus(folder: Path) -> Path:
    """Six clips in two files, and tasks of all kinds."""
    for name in "ab":
        soundfile.write(folder / f"{name}.wav", tone(8000), 8000, "PCM_16")
    rows = ["id,path,start,duration,sample_rate,split,label,pitch,tags"]
    for k in range(6):
        split = ("train", "valid", "test")[k % 3]
        rows.append(f"c{k},{'ab'[k % 2]}.wav,0.{k},0.2,8000,{split},t{k % 2},{k}.5,x;y")
    tasks = [
        Task("t", "label").to_json(),
        Task("p", "pitch", "regression").to_json(),
        Task("m", "tags", "multilabel").to_json(),
    ]
    corpus = {
        "name": "n", "title": "t", "source": "s", "licence": "l", "root": ".", "sample_rate": 8000,
        "tasks": tasks, "modality": "audio",
    }  # fmt: skip
    (folder / "corpus.json").write_text(json.dumps(corpus))
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


CELLS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["../a.wav", "/etc/passwd", "a.wav", "nan", "-1", "1e400", "inf", '"', "x;y", "1;2", "é"]
    ),
)


@st.composite
def tables(draw: st.DrawFn, content: str) -> bytes:
    """A manifest with some cells replaced, or its bytes damaged."""
    if draw(st.booleans()):
        return draw(damaged(content.encode()))
    cells = [line.split(",") for line in content.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.integers(0, len(cells) - 1))
        cells[row][draw(st.integers(0, len(cells[row]) - 1))] = draw(CELLS)
    return "\n".join(",".join(row) for row in cells).encode("utf-8", "surrogatepass")


def of_manifests(folder: Path) -> Case:
    path = write_corpus(folder)

    def run(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            read_manifest(path)
        with contextlib.suppress(UserError):
            validate(read_manifest(path, strict=False))

    return tables(path.read_text()), run


def of_corpora(folder: Path) -> Case:
    path = write_corpus(folder)
    described = json.loads((folder / "corpus.json").read_text())

    def run(value: Any) -> None:
        (folder / "corpus.json").write_text(json.dumps(value))
        with contextlib.suppress(UserError):
            read_manifest(path)

    return altered(described), run


def of_packs(folder: Path) -> Case:
    manifest = read_manifest(write_corpus(folder))
    build_pack(manifest, folder / "pack", Sounds(8000), shard_clips=3)
    files = {p.name: p.read_bytes() for p in (folder / "pack").iterdir()}
    described = json.loads(files["pack.json"])
    shards = st.sampled_from(sorted(set(files) - {"pack.json"}))
    cases = st.one_of(
        shards.flatmap(lambda name: st.tuples(st.just(name), damaged(files[name]))),
        st.tuples(st.just("pack.json"), altered(described).map(lambda v: json.dumps(v).encode())),
        st.tuples(st.just("pack.json"), damaged(files["pack.json"])),
    )

    def run(case: tuple[str, bytes]) -> None:
        for name, content in files.items():
            if (folder / "pack" / name).stat().st_size != len(content) or name in touched:
                (folder / "pack" / name).write_bytes(content)
        (folder / "pack" / case[0]).write_bytes(case[1])
        touched.add(case[0])
        with contextlib.suppress(UserError):
            pack = open_pack(folder / "pack")
            for index in range(len(pack)):
                assert pack.samples(index).sum() is not None

    touched: set[str] = set()
    return cases, run
