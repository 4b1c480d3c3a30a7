"""audioinv table, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from audioinv.cli import main

Refuse = Callable[[Sequence[str]], str]


def experiment(folder: Path, corpus: str, values: dict[str, float]) -> Path:
    """An experiment of one corpus: each row on two tasks, with scores of eight clips."""
    for label, value in values.items():
        for task in ("class", "speaker"):
            place = folder / f"{label}_s0" / "tasks" / task / "fixed_all" / "linear"
            place.mkdir(parents=True)
            row = {"protocol": "linear-v1", "task": task, "method": label, "mode": "fixed:all"}
            row |= {"label": label, "metric": "accuracy", "value": value, "seed": 0}
            row |= {"corpus": corpus, "interval": [value - 0.1, value + 0.1], "n_test": 8}
            (place / "result.json").write_text(json.dumps(row))
            scores = (np.arange(8) < 8 * value).astype(np.float32)
            save_file({"clips": np.arange(8), "score": scores}, place / "per_clip.safetensors")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """Two experiments, of two corpora."""
    first = experiment(tmp_path / "one", "fsdd", {"amortised": 0.875, "simclr": 0.5})
    second = experiment(tmp_path / "two", "esc|10", {"amortised": 0.625, "simclr": 0.75})
    return [str(first), str(second)]


def test_one_table_of_two_corpora_with_ranks(
    two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", *two]) == 0
    text = capsys.readouterr().out
    assert "fsdd: class (accuracy, %)" in text and "esc\\|10: speaker (accuracy, %)" in text
    assert "| 62.5 [52.5, 72.5]" in text
    assert "**Mean ranks**" in text
    assert "| linear-v1 | amortised | 1.50 |" in text and "| linear-v1 | simclr | 1.50 |" in text


def test_files_hold_what_was_printed(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, results = tmp_path / "tables" / "at_0.5", tmp_path / "RESULTS.md"
    out.parent.mkdir()
    assert main(["table", *two, "--out", str(out), "--results", str(results)]) == 0
    text = capsys.readouterr().out
    assert {path.name for path in out.parent.iterdir()} == {
        "at_0.5.csv", "at_0.5.html", "at_0.5.md",
    }  # fmt: skip
    assert Path(f"{out}.md").read_text() == text[:-1]
    assert text.strip() in results.read_text()
    table = pd.read_csv(f"{out}.csv")
    assert len(table) == 8
    assert set(table["task"]) == {
        "fsdd: class",
        "fsdd: speaker",
        "esc|10: class",
        "esc|10: speaker",
    }
    assert table[table["label"] == "simclr"]["mean"].tolist() == [0.5, 0.5, 0.75, 0.75]
    page = Path(f"{out}.html").read_text()
    assert "Mean ranks" in page and "fsdd: class" in page and "http" not in page.split("<style>")[0]


def test_every_row_against_one(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", *two, "--against", "simclr"]) == 0
    text = capsys.readouterr().out
    assert "**Difference to simclr**" in text
    # three clips of eight better, none worse: two of the eight ways to flip them are as extreme
    line = next(line for line in text.splitlines() if "| fsdd: class | +0.3750" in line)
    cells = line.strip("| ").split(" | ")
    assert cells[1] == "amortised" and cells[-1] == "8"
    assert float(cells[-2]) == pytest.approx(0.25, abs=0.02)


def test_published_figures_stand_apart_with_their_source(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "published.csv"
    rows.write_text(
        "row,corpus,task,protocol,metric,value,source\n"
        'M2D,esc50,,linear,"accuracy, %",89.7,"Niizumi et al., 2023"\n'
        'SimCLR,fsdd,class,fewshot_published-v1 5-way 1-shot,"accuracy, %",63.40,Heggan\n'
    )
    out = tmp_path / "table"
    assert main(["table", two[0], "--published", str(rows), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.index("**Mean ranks**") < text.index("**Published, not ours**")
    assert "| M2D | Niizumi et al., 2023 | esc50 | – | linear | accuracy, % | 89.7 |" in text
    assert "Niizumi et al., 2023" in Path(f"{out}.html").read_text()
    assert "Heggan" not in text and "Left out: 1 published figures" in text


def test_published_episodes_stand_beside_ours_of_that_protocol_and_no_other(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = "fewshot_published-v1 5-way 1-shot"
    rows = tmp_path / "published.csv"
    head = "row,corpus,task,protocol,metric,value,source\n"
    rows.write_text(f'{head}SimCLR,fsdd,class,{protocol},"accuracy, %",63.40,Heggan\n')
    result = next(Path(two[0]).glob("simclr_s0/tasks/class/*/linear/result.json"))
    logistic = json.loads(result.read_text()) | {"protocol": "fewshot-v1 5-way 1-shot"}
    result.write_text(json.dumps(logistic))
    assert main(["table", *two, "--published", str(rows)]) == 0
    assert "Heggan" not in capsys.readouterr().out, "logistic readouts are not theirs"
    result.write_text(json.dumps(logistic | {"protocol": protocol}))
    assert main(["table", *two, "--published", str(rows)]) == 0
    text = capsys.readouterr().out
    below = text[text.index("**Published, beside ours**") :]
    assert f"| {protocol} | fsdd | class | simclr | here | 50.0 |" in below
    assert f"| {protocol} | fsdd | class | SimCLR | Heggan | 63.40 |" in below
    assert "amortised" not in below


def test_the_last_line_names_the_command_itself(
    two: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the one that made the runs, where that is recorded; of one experiment as of two."""
    words = ["table", two[0], "--against", "simclr"]
    monkeypatch.setattr("sys.argv", ["audioinv", *words])
    assert main(words) == 0
    assert f"Command: `audioinv table {two[0]} --against simclr`\n" in capsys.readouterr().out
    (Path(two[0]) / "experiment.json").write_text(json.dumps({"command": "run.sh --seeds 0"}))
    assert main(words) == 0
    assert f"Command: `run.sh --seeds 0; audioinv table {two[0]} --ag" in capsys.readouterr().out


def test_what_cannot_be_tabulated(two: list[str], tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / "bare" / "run_s0").mkdir(parents=True)
    (tmp_path / "bare" / "run_s0" / "config.yaml").write_text("method: simclr\n")
    assert "has a result yet" in refuse(["table", str(tmp_path / "bare")])
    assert "is not a folder" in refuse(["table", str(tmp_path / "absent")])
    assert "there are: amortised; simclr" in refuse(["table", *two, "--against", "SimCLR"])
    assert "cannot read" in refuse(["table", *two, "--published", str(tmp_path / "absent.csv")])
    assert "seed 0" in refuse(["table", two[0], two[0]])
