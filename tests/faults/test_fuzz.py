"""Property-based fuzzing of all that reads what others made: a result or a UserError, nothing else.

A few cases of every target run in `make test`, thousands in `make test-faults`. What has failed
once stands in test_past_failures.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from audioinv.commands.compose import compose_config
from audioinv.core.adapt import Mixture
from audioinv.core.adapted import Adapted, load_adapted, save_adapted
from audioinv.core.checkpoint import load_latest, save_checkpoint
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.probes import fit_readout
from audioinv.core.randomness import generator
from audioinv.data.audio_io import check, probe, read_pcm
from audioinv.data.manifest import read_manifest
from audioinv.data.media import Sounds
from audioinv.data.pack import build_pack, open_pack
from audioinv.data.task import Task
from audioinv.data.validate import validate
from audioinv.modality import build_frontend
from vision.data import image_io

REPOSITORY = Path(__file__).parents[2]
NIGHTLY = {
    "audio": 7000, "image": 2500, "manifest": 2500, "corpus": 1200, "pack": 2500,
    "checkpoint": 1500, "encoder": 400, "adaptation": 1000, "descriptor": 2500, "override": 400,
    "recipe": 200,
}  # fmt: skip
QUICK = 25
Case = tuple[st.SearchStrategy[Any], Callable[[Any], None]]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` after one to four blows, most of them to its head."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        head = min(len(data), 120)
        at = draw(st.one_of(st.integers(0, head), st.integers(0, len(data))))
        blow = draw(st.sampled_from(["set", "cut", "insert", "number", "double"]))
        if blow == "cut":
            del data[at : at + draw(st.sampled_from([1, 2, 7, 100, len(data)]))]
        elif blow == "double":
            data[at:at] = data[at : at + 64]
        else:
            some = st.binary(min_size=1, max_size=8)
            large = st.sampled_from(
                [b"\xff" * 4, b"\x00" * 8, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80"]
            )
            new = draw(large if blow == "number" else some)
            data[at : at + len(new) * (blow != "insert")] = new
    return bytes(data)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 70), st.floats(-1e3, 1e3), st.just(math.nan),
    st.sampled_from(["", "all", "hyper", "resnet18", "../x", "\x00", "a\nb"]),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """JSON in which one node is another, is missing, or has a new neighbour."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        copy = dict(value)
        what = draw(st.integers(0, 7))
        if what == 0:
            del copy[key]
        elif what == 1:
            copy[draw(st.text(max_size=4))] = draw(SCALARS)
        else:
            copy[key] = draw(altered(value[key]))
        return copy
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(altered(value[at])), *value[at + 1 :]]
    return draw(VALUES)


def tone(n: int = 900) -> np.ndarray:
    return 0.3 * np.sin(np.arange(n) / 5)


def of_audio(folder: Path) -> Case:
    kinds = {
        "a.wav": ("WAV", "PCM_16"), "b.wav": ("WAV", "FLOAT"), "c.flac": ("FLAC", "PCM_16"),
        "d.ogg": ("OGG", "VORBIS"), "e.mp3": ("MP3", "MPEG_LAYER_III"),
        "f.aiff": ("AIFF", "PCM_24"),
        "g.w64": ("W64", "PCM_16"), "h.au": ("AU", "ULAW"), "i.wav": ("WAVEX", "PCM_24"),
        "j.opus": ("OGG", "OPUS"), "k.caf": ("CAF", "ALAC_16"),
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


def of_images(folder: Path) -> Case:
    image = Image.fromarray((np.arange(12 * 10 * 3) % 251).astype(np.uint8).reshape(12, 10, 3))
    whole = {}
    for name in ("a.png", "b.jpg", "c.bmp", "d.gif", "e.tiff", "f.webp", "g.ppm"):
        image.save(folder / name)
        whole[name] = (folder / name).read_bytes()
    cases = st.sampled_from(sorted(whole)).flatmap(
        lambda name: st.tuples(st.just(name), damaged(whole[name]))
    )

    def run(case: tuple[str, bytes]) -> None:
        (folder / case[0]).write_bytes(case[1])
        for read in (image_io.probe, image_io.read):
            with contextlib.suppress(UserError):
                read(folder / case[0])

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


def of_checkpoints(folder: Path) -> Case:
    weights = {"a": torch.arange(40.0), "b": torch.ones(3, dtype=torch.long)}
    path = save_checkpoint(folder, 1, {"step": 1, "model": weights})
    whole = path.read_bytes()

    def run(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            found = load_latest(folder)
            assert found is not None and isinstance(found[1]["step"], int)

    return damaged(whole), run


def of_encoders(folder: Path) -> Case:
    frontend = build_frontend(
        {
            "name": "log_mel",
            "sample_rate": 8000,
            "clip_s": 0.3,
            "n_fft": 256,
            "hop": 128,
            "n_bins": 12,
        }
    )
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 4, "options": options}
    space = DescriptorSpace({"a": ["x"], "b": ["y", "z"]})
    AmortisedEncoder(frontend, backbone, {"name": "hyper", "bases": 2}, space).save(folder)
    described = json.loads((folder / "encoder.json").read_text())
    weights = (folder / "encoder.safetensors").read_bytes()
    cases = st.one_of(
        st.tuples(altered(described), st.just(weights)),
        st.tuples(st.just(described), damaged(weights)),
    )

    def run(case: tuple[Any, bytes]) -> None:
        (folder / "encoder.json").write_text(json.dumps(case[0]))
        (folder / "encoder.safetensors").write_bytes(case[1])
        with contextlib.suppress(UserError):
            AmortisedEncoder.load(folder, build_frontend)

    return cases, run


def of_adaptations(folder: Path) -> Case:
    x = torch.randn(12, 3, generator=generator(0, "x"))
    readout = fit_readout(x, torch.arange(12) % 2, "classification", ["n", "y"], "ridge")
    save_adapted(
        folder, [Adapted(Mixture.single(torch.ones(2)), readout)], {"task": {}, "mode": "m"}
    )
    described = json.loads((folder / "adapted.json").read_text())
    tensors = (folder / "adapted.safetensors").read_bytes()
    cases = st.one_of(
        st.tuples(altered(described), st.just(tensors)),
        st.tuples(st.just(described), damaged(tensors)),
    )

    def run(case: tuple[Any, bytes]) -> None:
        (folder / "adapted.json").write_text(json.dumps(case[0]))
        (folder / "adapted.safetensors").write_bytes(case[1])
        with contextlib.suppress(UserError):
            load_adapted(folder)

    return cases, run


def of_descriptors(folder: Path) -> Case:
    space = DescriptorSpace({"a": ["x"], "b": ["y", "z"]})
    text = st.one_of(
        st.text(max_size=8),
        st.lists(st.sampled_from(["a", "b", "+", "-", "all", "x"])).map("".join),
    )
    number = st.floats(width=32) | st.sampled_from([0.0, 0.5, 1.0])
    tensors = st.recursive(number, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
    cases = st.one_of(
        text, tensors, altered(space.to_json()), st.dictionaries(st.sampled_from("abc"), SCALARS)
    )

    def run(case: Any) -> None:
        with contextlib.suppress(UserError):
            if isinstance(case, str):
                assert space.label(space.parse(case))
            elif isinstance(case, dict):
                with contextlib.suppress(UserError):
                    space.from_dict(case)
                DescriptorSpace.from_json(case)
            else:
                with contextlib.suppress(ValueError, TypeError, RuntimeError):  # no tensor at all
                    case = torch.tensor(case)
                if isinstance(case, torch.Tensor):
                    corner = space.round(case)
                    assert ((corner == 0) | (corner == 1)).all()

    return cases, run


KEYS = [
    "pretrain.steps", "pretrain.lr", "backbone", "bank.names", "tasks", "adapt.modes", "run",
    "method", "bank.groups", "method_pretrain", "frontend", "modality", "seed", "+x", "~pack",
    "a.b.c", "",
]  # fmt: skip
WORDS = [
    "1",
    "-1",
    "1e3",
    "null",
    "[a,b]",
    "{a: 1}",
    "'",
    '"',
    "[",
    "$",
    "${seed}",
    "${",
    "\\",
    "=",
    "a b",
    "é",
    "\x00",
    "/",
    "..",
    "choice(1,2)",
    ",",
]


def of_overrides(folder: Path) -> Case:
    values = st.one_of(
        st.text(max_size=8), st.lists(st.sampled_from(WORDS), max_size=3).map("".join)
    )
    cases = st.lists(
        st.tuples(st.sampled_from(KEYS), values).map("=".join) | st.text(max_size=8), max_size=2
    )

    def run(case: list[str]) -> None:
        with contextlib.suppress(UserError):
            compose_config(case)

    return cases, run


def of_recipes(folder: Path) -> Case:
    """Any path and name survives a dry run: what is printed, bash reads back as what was given."""
    recipe = folder / "a recipe's"
    recipe.mkdir()
    text = st.text(
        st.characters(exclude_characters="\x00$\\", exclude_categories=["Cs"]),
        min_size=1,
        max_size=12,
    )
    ugly = st.lists(
        st.sampled_from([" ", "'", '"', "\n", ";", "`x`", "&", "*", "~", "-", "é", "#"]),
        min_size=1,
        max_size=6,
    ).map("".join)
    bash = shutil.which("bash")
    assert bash is not None

    def run(name: str) -> None:
        driver = REPOSITORY / "recipes" / "TEMPLATE" / "ssl1" / "ssl.sh"
        root = f"/x/{name}"
        given = ["--recipe", str(recipe), "--corpus", "c", "--data_root", root, "--dry_run", "true"]
        done = subprocess.run([bash, str(driver), *given, "--stop_stage", "1"], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"syntax error" not in done.stderr and b"unbound" not in done.stderr
        command = done.stdout[done.stdout.index(b" prepare ") :].decode()
        read = subprocess.run(
            [bash, "-c", f"printf '%s\\0' x{command}"], capture_output=True, check=True
        )  # as bytes: text would make every \r a \n
        assert root.encode() in read.stdout.split(b"\0"), command

    return st.one_of(text, ugly), run


TARGETS: dict[str, Callable[[Path], Case]] = {
    "audio": of_audio, "image": of_images, "manifest": of_manifests, "corpus": of_corpora,
    "pack": of_packs, "checkpoint": of_checkpoints, "encoder": of_encoders,
    "adaptation": of_adaptations, "descriptor": of_descriptors, "override": of_overrides,
    "recipe": of_recipes,
}  # fmt: skip


def fuzz(target: str, folder: Path, most: int, derandomize: bool) -> int:
    """Runs up to `most` cases; how many there were."""
    strategy, run = TARGETS[target](folder)
    done = 0

    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(strategy)
    def cases(case: Any) -> None:
        nonlocal done
        done += 1
        run(case)

    cases()
    return done


@pytest.mark.parametrize("target", TARGETS)
def test_a_few_cases(tmp_path: Path, target: str) -> None:
    few = 5 if target in ("recipe", "encoder", "override") else QUICK
    assert fuzz(target, tmp_path, few, derandomize=True) >= few


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("target", TARGETS)
def test_thousands_of_cases(tmp_path: Path, target: str, counted: Counter[str]) -> None:
    counted["cases fuzzed"] += fuzz(target, tmp_path, NIGHTLY[target], derandomize=False)
