"""The examples of pre-training run as they are, in a few steps, and are short."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.halves import of_sounds

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("pretrain", "own_network", "own_augmentation")


def load(name: str) -> ModuleType:
    spec = util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_a_page(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60


@of_sounds
def test_pretrain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("pretrain")
    example.main(tmp_path, steps=3)
    once = capsys.readouterr().out
    assert "all: cosine" in once and "-pitch_shift: cosine" in once
    example.main(tmp_path, steps=3)  # done already
    assert capsys.readouterr().out == once


@of_sounds
def test_own_network(tmp_path: Path) -> None:
    encoder = load("own_network").main(tmp_path, steps=3)
    assert encoder(torch.zeros(2, 2000), torch.ones(2)).shape == (2, 32)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] == pytest.approx(rows[-1]["alike"] + rows[-1]["redundancy"])


def test_own_augmentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("own_augmentation").main(tmp_path, steps=3)
    assert "[4, 64]" in capsys.readouterr().out
