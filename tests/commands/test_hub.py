"""audioinv hub: a run's model card, from what the run holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import audioinv as ai
from audioinv.cli import main


def card_of(run: Path, out: Path) -> str:
    words = ["hub", "push", str(run), "me/mine", "--licence", "cc0-1.0", "--card_only", str(out)]
    assert main(words) == 0
    return out.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_card_tells_data_making_results_and_gaps(finished: Any, tmp_path: Path) -> None:
    card = card_of(finished.run, tmp_path / "card.md")
    heads = ["What it is", "Use", "Components", "Data", "Training", "Results", "Intended use"]
    found = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert found == [*heads, "Limits"]
    assert card.startswith("---\nlicense: cc0-1.0\n")
    assert "Licence of the data: as its owner says" in card and "- steps: 6" in card
    assert "statistics of 8 corners" in card and "sample_rate 8000" in card
    measured = json.loads((finished.run / "measure.json").read_text())
    assert f"{measured['on']['time_shift']:.3f}" in card and "| label (accuracy, %)" in card
    lines = (finished.run / "metrics.jsonl").read_text().splitlines()
    seconds = sum(json.loads(line)["seconds"] for line in lines)
    assert f"time in steps: {seconds:,.1f} s" in card


@pytest.mark.slow
def test_a_run_whose_pack_is_gone_claims_no_data(finished: Any, tmp_path: Path) -> None:
    run = tmp_path / "amortised_s0"
    shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("checkpoints", "tasks"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(finished.pack), "gone"))
    assert "not at hand" in card_of(run, tmp_path / "card.md")
    ai.load_encoder(run / "encoder").save(run / "encoder")  # of no pack that it names
    (run / "config.yaml").write_text(config)
    assert "not at hand" in card_of(run, tmp_path / "card.md")


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path, refuse: Callable[..., str]) -> None:
    words = ["hub", "push", str(tmp_path), "me/mine", "--licence", "mit"]
    assert "holds no encoder" in refuse(words)
