"""The main table and its Markdown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.report import results_table, write_report
from audioinv.report.tables import BEGIN, END, write_results


def _values(experiment: Path, label: str, task: str) -> list[float]:
    """The values of a row, read straight from the files."""
    results = [json.loads(p.read_text()) for p in experiment.glob("*/tasks/*/*/result.json")]
    return [r["value"] for r in results if (r["label"], r["task"]) == (label, task)]


def _cells(markdown: str, label: str) -> list[str]:
    """The cells of the row whose first cell is `label`."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines()]
    return next(cells[1:] for cells in lines if cells[0].strip("*") == label)


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_cells_are_mean_and_sample_deviation_over_seeds(experiment: Path) -> None:
    table = results_table(experiment)
    for label in ("amortised, all invariant", "SimCLR", "log-mel statistics"):
        duration, digit = np.array(
            [_values(experiment, label, task) for task in ("clip_duration", "digit")]
        )
        assert _cells(table, label) == [
            f"{duration.mean():.2f} ± {duration.std(ddof=1):.2f}",
            f"{100 * digit.mean():.1f} ± {100 * digit.std(ddof=1):.1f}",
            "3",
        ]


def test_best_of_each_column_is_bold_and_no_other(experiment: Path) -> None:
    table = results_table(experiment)
    assert all(cell.startswith("**") for cell in _cells(table, "amortised, soft descriptor")[:2])
    assert table.count("**") == 4


def test_of_errors_the_lowest_is_best(experiment: Path) -> None:
    for path in experiment.glob("*/tasks/**/result.json"):
        _edit(path, metric="mse")
    told = results_table(experiment)
    assert "digit (MSE, 10⁻³)" in told and "Bold: best of its column" in told
    means = {
        label: float(np.mean(_values(experiment, label, "digit")))
        for label in ("amortised, all invariant", "SimCLR", "log-mel statistics")
    }
    lowest = min(means, key=lambda label: means[label])
    cell = _cells(told, lowest)[1]
    assert cell.startswith(f"**{1000 * means[lowest]:.2f} ± ") and told.count("**") == 4


def test_single_seed_shows_its_interval(experiment: Path) -> None:
    for seed in (1, 2):
        for path in experiment.glob(f"*_s{seed}/tasks/*/*/result.json"):
            path.unlink()
    assert _cells(results_table(experiment), "SimCLR") == [
        "0.60 [0.58, 0.62]",
        "70.0 [68.0, 72.0]",
        "1",
    ]


def test_fewer_seeds_than_the_row_are_told(experiment: Path) -> None:
    (experiment / "simclr_s2/tasks/digit/fixed/result.json").unlink()
    assert _cells(results_table(experiment), "SimCLR")[1].endswith("(n = 2)")


def test_sceptics_chance_and_test_clips_stand_last(experiment: Path) -> None:
    lines = results_table(experiment).split("\n\n")[0].splitlines()
    firsts = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("|")]
    assert firsts[2:] == [
        "amortised, all invariant",
        "amortised, soft descriptor",
        "SimCLR",
        "*log-mel statistics*",
        "*chance*",
        "*test clips*",
    ]
    assert _cells("\n".join(lines), "chance")[:2] == ["0.00", "10.0"]
    assert _cells("\n".join(lines), "test clips")[:2] == ["120", "120"]


def test_weights_of_the_levels_are_told(experiment: Path) -> None:
    table = results_table(experiment)
    head = next(line for line in table.splitlines() if "weights of the levels" in line)
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == ["level 0", "level 1"]
    assert table.count("0.75 ± 0.00 | 0.25 ± 0.00") == 2  # digit and speaker


def test_protocol_seeds_hardware_and_command_are_told(experiment: Path) -> None:
    table = results_table(experiment)
    assert "linear-v1" in table and "seeds 0, 1, 2" in table and "two cores" in table
    assert "`audioinv report digits`" in table


def test_no_deviation_rounds_to_minus_zero(experiment: Path) -> None:
    for path in experiment.glob("logmel_s*/tasks/clip_duration/fixed/result.json"):
        _edit(path, value=-0.001)
    assert _cells(results_table(experiment), "log-mel statistics")[0] == "0.00 ± 0.00"


def test_label_cannot_break_the_table(experiment: Path) -> None:
    for path in experiment.glob("simclr_s*/tasks/*/fixed/result.json"):
        _edit(path, label=f"a | b\n{END} *c*")
    table = results_table(experiment)
    assert END not in table
    row = next(line for line in table.splitlines() if line.startswith(r"| a \| b"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_two_results_of_one_row_task_and_seed_are_an_error(experiment: Path) -> None:
    _edit(
        experiment / "amortised_s0/tasks/digit/fixed/result.json",
        label="amortised, soft descriptor",
    )
    with pytest.raises(UserError, match=r"fixed.result\.json.*soft.result\.json|soft.*fixed"):
        results_table(experiment)


def test_experiment_without_results_is_an_error(experiment: Path) -> None:
    for path in experiment.glob("*/tasks/*/*/result.json"):
        path.unlink()
    with pytest.raises(UserError, match="audioinv evaluate"):
        results_table(experiment)


def test_markdown_file_is_made_and_written_again_without_change(
    without_figures: Path, tmp_path: Path
) -> None:
    experiment, path = without_figures, tmp_path / "RESULTS.md"
    write_report(experiment, path)
    first = path.read_text()
    write_report(experiment, path)
    assert path.read_text() == first
    between = first.partition(BEGIN)[2].partition(END)[0]
    assert between.strip() == results_table(experiment).strip()


def test_only_the_text_between_the_markers_changes(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(f"# Mine\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    write_results(path, "new")
    assert path.read_text() == f"# Mine\n\nbefore\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_file_without_markers_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Mine\n\ntext\n")
    write_results(path, "new")
    assert path.read_text() == f"# Mine\n\ntext\n\n{BEGIN}\n\nnew\n\n{END}\n"


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_broken_markers_are_an_error_and_change_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(text)
    with pytest.raises(UserError, match=r"RESULTS\.md"):
        write_results(path, "new")
    assert path.read_text() == text
