"""What is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "hydra": "hydra-core",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Package -> the distribution that brings it, where their names differ."""
OWN_EXTRA = {
    "huggingface_hub": "hub",
    "onnxruntime": "onnx",
    "ray": "ray",
    "webdataset": "webdataset",
}
"""Package -> the extra that alone needs it."""


def imported(folder: str) -> dict[str, Path]:
    """Top-level package -> a file that imports it, of all that a folder imports anywhere."""
    return {
        name.partition(".")[0]: path
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for name in modules(path)
    }


def modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def declared(requirements: list[str]) -> dict[str, str]:
    """Distribution -> its bounds."""
    matches = [re.match(r"[\w.-]+", requirement) for requirement in requirements]
    return {
        match[0].lower(): requirement[match.end() :]
        for match, requirement in zip(matches, requirements, strict=True)
        if match
    }


@pytest.mark.parametrize(("folder", "extra"), [("audioinv", None), ("vision", "vision")])
def test_every_package_that_is_imported_is_declared(folder: str, extra: str | None) -> None:
    pytest.importorskip(folder, reason="this half was left out")
    extras = PROJECT["optional-dependencies"]
    known = declared(PROJECT["dependencies"] + (extras[extra] if extra else []))
    found = imported(folder)
    assert {"torch", "numpy"} <= found.keys()
    for name in OWN_EXTRA.keys() & found.keys():
        assert name in declared(extras[OWN_EXTRA[name]])
    ours = {"audioinv", "vision", *sys.stdlib_module_names, *OWN_EXTRA}
    wanted = {DISTRIBUTIONS.get(name, name): path for name, path in found.items()}
    missing = {name: path.name for name, path in wanted.items() if name not in {*known, *ours}}
    assert not missing


def test_every_dependency_says_which_versions_will_do() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for requirements in (PROJECT["dependencies"], *extras):
        assert all(">=" in bound or "==" in bound for bound in declared(requirements).values())
