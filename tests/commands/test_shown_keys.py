"""Every KEY=VALUE that a reader is shown can be given."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from audioinv.base.errors import UserError
from audioinv.conf.compose import compose_config, sweep
from tests.halves import of_images

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "recipes" / "TEMPLATE" / "ssl1" / "ssl.sh"
PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted(REPOSITORY.glob("recipes/*/ssl1/RESULTS.md")),
]
WORD = re.compile(r"(?<![\w./$+~{-])(\+?[a-z_]+(?:\.[a-z_0-9]+)*)=([^\s`|;]*)")
CODE = re.compile(
    r"```sh.*?```|^ {4}(?:[^\n]*audioinv |[a-z_.]+=)[^\n]*|`[^`\n]+`", re.DOTALL | re.M
)
"""Shell in fences, indented commands and their continuations, and code within a line."""
PYTHON = re.compile(r"^```(?!sh$)\w+$.*?^```$|`[\w.]+\([^`\n]*`", re.DOTALL | re.M)
"""Fences of other languages than the shell's, and calls within a line."""
PLACEHOLDER = re.compile(r"[A-Z]{2,}|^[A-Zs]$|\.\.\.|[*$]|^$")
OTHERS = {"groups", "num_cpus", "status"}
"""Words before a = that are arguments of something else than a Hydra command."""
WORLDS = [
    (modality, REPOSITORY / "recipes" / recipe / "ssl1" / "conf")
    for modality, recipe in (
        ("audio", "demo"),
        ("audio", "notes_and_noises"),
        ("image", "cifar10"),
        ("spirograph", "spirograph"),
        ("sonograph", "sonograph"),
    )
]


def shown(text: str) -> Iterator[tuple[str, str]]:
    """Every key and value, without what ends a sentence or a quotation begun before the key."""
    for key, value in WORD.findall(text):
        value = value.rstrip(",.):")
        for quote in "'\"":
            value = value.removesuffix(quote) if value.count(quote) % 2 else value
        yield key, value


@lru_cache
def composes(word: str) -> bool:
    """Whether an override is accepted for sounds, or else for any other modality."""
    for modality, conf in WORLDS:
        try:
            compose_config([f"modality={modality}", word], str(conf))
        except UserError:
            continue
        return True
    return False


def problems(text: str) -> list[str]:
    """The words that no modality accepts; placeholders are left out, of sweeps one job is tried."""
    words = {
        f"{key}={value}"
        for key, value in shown(text)
        if key not in OTHERS and not PLACEHOLDER.search(value)
    }
    return [word for word in sorted(words) if not composes(sweep([word])[0][0])]


@of_images
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_keys_of_the_pages_can_be_given(page: Path) -> None:
    told = PYTHON.sub("", page.read_text(encoding="utf-8"))
    text = "\n".join(CODE.findall(told))
    assert not problems(text)


def test_keys_of_the_drivers_help_can_be_given() -> None:
    told = subprocess.run(["bash", TEMPLATE, "--help"], capture_output=True, text=True).stdout
    text = "\n".join(line for line in told.splitlines() if line.startswith("  --audioinv_opts"))
    assert [key for key, _ in shown(text)] == ["pretrain.steps"]
    assert not problems(text)


def test_a_key_that_is_not_there_is_found() -> None:
    assert problems("train.steps=10 pretrain.steps=10 seed=many") == ["seed=many", "train.steps=10"]
