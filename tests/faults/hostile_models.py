"""Damaged checkpoints, encoders, adaptations, descriptors and overrides, and what reads them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.conf.compose import compose_config
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import build_frontend
from audioinv.tasks.adapted import Adapted, load_adapted, save_adapted
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.readout import fit_readout
from audioinv.training.state import load_latest, save_checkpoint
from tests.faults.damage import SCALARS, Case, altered, damaged

REPOSITORY = Path(__file__).parents[2]


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


def described(folder: Path, name: str, load: Callable[[], object]) -> Case:
    """What lies in `folder` as NAME.json and NAME.safetensors, one of the two damaged."""
    files = folder / f"{name}.json", folder / f"{name}.safetensors"
    description, tensors = json.loads(files[0].read_text()), files[1].read_bytes()
    cases = st.one_of(
        st.tuples(altered(description), st.just(tensors)),
        st.tuples(st.just(description), damaged(tensors)),
    )

    def run(case: tuple[Any, bytes]) -> None:
        files[0].write_text(json.dumps(case[0]))
        files[1].write_bytes(case[1])
        with contextlib.suppress(UserError):
            load()

    return cases, run


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
    return described(folder, "encoder", lambda: AmortisedEncoder.load(folder, build_frontend))


def of_adaptations(folder: Path) -> Case:
    x = torch.randn(12, 3, generator=generator(0, "x"))
    readout = fit_readout(x, torch.arange(12) % 2, "classification", ["n", "y"], "ridge")
    save_adapted(
        folder, [Adapted(Mixture.single(torch.ones(2)), readout)], {"task": {}, "mode": "m"}
    )
    return described(folder, "adapted", lambda: load_adapted(folder))


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
    (recipe / "conf" / "experiment").mkdir(parents=True)
    (recipe / "conf" / "experiment" / "cpu_quick.yaml").write_text("# @package _global_\n{}\n")
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
