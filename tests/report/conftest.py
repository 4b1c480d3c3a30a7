"""An experiment folder made by code, as the command line would leave it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audioinv.report import write_report

COMPONENTS = ("pitch_shift", "time_shift", "white_noise")
METRICS = {"digit": "accuracy", "clip_duration": "r2"}
ROWS = (
    ("amortised", "soft", "amortised, soft descriptor", 0.9),
    ("amortised", "fixed", "amortised, all invariant", 0.8),
    ("simclr", "fixed", "SimCLR", 0.7),
    ("logmel", "fixed", "log-mel statistics", 0.5),
)
SEEDS = (0, 1, 2)


def write(path: Path, value: Any) -> None:
    """Writes JSON, making the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Three methods, four rows, three seeds, two tasks, and an example."""
    return make_experiment(tmp_path / "digits")


@pytest.fixture
def without_figures(experiment: Path) -> Path:
    """The same without examples, losses, measurements and learned descriptors: fast to render."""
    (experiment / "examples" / "examples.json").unlink()
    for pattern in ("*/metrics.jsonl", "*/measure.json", "*/tasks/*/soft/result.json"):
        for path in experiment.glob(pattern):
            path.unlink()
    return experiment


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of such an experiment, for tests that only read it."""
    return write_report(make_experiment(tmp_path_factory.mktemp("report") / "digits"))


def make_experiment(folder: Path) -> Path:
    """Writes the experiment that the fixtures give."""
    for seed in SEEDS:
        for row in ROWS:
            for task in METRICS:
                _write_result(folder, row, task, seed)
        for method in ("amortised", "simclr"):
            _write_pretraining(folder / f"{method}_s{seed}", method, seed)
    _write_examples(folder / "examples")
    write(folder / "experiment.json", {"title": "Made by code", "hardware": "two cores"})
    return folder


def _write_result(folder: Path, row: tuple[str, str, str, float], task: str, seed: int) -> None:
    method, mode, label, base = row
    value = base - 0.1 * list(METRICS).index(task) + 0.013 * seed**2
    result = {
        "protocol": "linear-v1",
        "task": task,
        "kind": "regression" if METRICS[task] == "r2" else "classification",
        "method": method,
        "mode": mode,
        "label": label,
        "metric": METRICS[task],
        "value": value,
        "interval": [value - 0.02, value + 0.02],
        "n_train": 200,
        "n_test": 120,
        "chance": 0.0 if METRICS[task] == "r2" else 0.1,
        "descriptor": dict.fromkeys(COMPONENTS, 0.25 * seed) if mode == "soft" else None,
        "depth": {"level 0": 0.75, "level 1": 0.25} if mode == "soft" else None,
        "seed": seed,
        "versions": {"audioinv": "0.1.0"},
        "command": f"audioinv evaluate run=exp/{method}_s{seed}",
        "seconds": 1.5,
    }
    write(folder / f"{method}_s{seed}" / "tasks" / task / mode / "result.json", result)


def _write_pretraining(run: Path, method: str, seed: int) -> None:
    (run / "config.yaml").write_text(
        f"method: {method}\nseed: {seed}\nbackbone: {{name: resnet18}}\n"
    )
    lines = [json.dumps({"step": 10 * i, "loss": 5 - 0.01 * i, "lr": 1e-3}) for i in range(100)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    on = {name: 0.9 + 0.01 * seed for name in COMPONENTS}
    off = {name: 0.6 - 0.01 * seed for name in COMPONENTS}
    cosine = [list(on.values()), list(off.values())]
    matrix = {"rows": ["all on", "none on"], "columns": list(COMPONENTS), "cosine": cosine}
    gap = {name: on[name] - off[name] for name in COMPONENTS}
    measured = {"names": list(COMPONENTS), "n_clips": 64, "seed": seed, "on": on, "off": off}
    write(run / "measure.json", {**measured, "gap": gap, "matrix": matrix})


def _write_examples(folder: Path) -> None:
    """As a modality of pictures and sounds writes them; what is in a sound is no matter."""
    entry: dict[str, Any] = {"augmentation": "pitch_shift", "parameters": {"semitones": 12.0}}
    for side in ("before", "after"):
        entry[side] = [f"pitch_shift_{side}.svg", f"pitch_shift_{side}.wav"]
        write(folder / entry[side][1], "sound")
        (folder / entry[side][0]).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    told = {"shown": "Mel spectrogram of a clip", "note": "Mind the volume."}
    write(folder / "examples.json", [{**entry, **told}])
