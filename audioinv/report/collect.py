"""Reads an experiment folder: its runs with results, measurements and losses, and its examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.base.progress import shown
from audioinv.report.names import SCEPTICS, SHORT_NAMES
from audioinv.tasks.result import Measurement, Result, broken

T = TypeVar("T")

MEDIA_TYPES = {
    **{".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"},
    **{".wav": "audio/wav", ".ogg": "audio/ogg"},
}
"""Files that a page can embed."""
_RUN_FOLDER = (
    "a run folder is what `audioinv pretrain`, `evaluate` and `measure` write: "
    "it holds config.yaml, metrics.jsonl, measure.json or tasks/TASK/MODE/PROTOCOL/result.json"
)


@dataclass(frozen=True)
class Run:
    """One run folder. `loss` is (step, loss) in the order of steps."""

    path: Path
    method: str
    seed: int | None
    config: dict[str, Any]
    loss: tuple[tuple[int, float], ...]
    measurement: Measurement | None
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Example:
    """Clips before and after one augmentation: files to be seen or heard.

    `shown` says what a picture shows, `note` how to read it.
    """

    augmentation: str
    parameters: dict[str, Any]
    before: tuple[Path, ...]
    after: tuple[Path, ...]
    shown: str = "A clip"
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """Everything a report tells. `about` is experiment.json (title, description, hardware, ...)."""

    path: Path
    runs: tuple[Run, ...]
    examples: tuple[Example, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def results(self) -> list[Result]:
        """The results of all runs."""
        return [result for run in self.runs for result in run.results]

    @property
    def methods(self) -> list[str]:
        """The methods present, in the order of the table: pre-trained ones, then the sceptic's."""
        return sorted(unique(run.method for run in self.runs), key=method_order)


def read_experiment(expdir: str | Path) -> Experiment:
    """Reads every run folder under `expdir` (or `expdir` itself, if it is one run folder).

    Raises:
        UserError: no such folder, no run folder in it, or a file in it that is broken.
    """
    expdir = Path(expdir)
    if not expdir.is_dir():
        raise UserError(f"{expdir} is not a folder; give the folder that holds run folders")
    folders = [path for path in sorted(expdir.iterdir()) if _is_run(path)]
    if not folders and _is_run(expdir):
        folders = [expdir]
    if not folders:
        raise UserError(f"{expdir} holds no run folder; {_RUN_FOLDER}")
    runs = sorted((_read_run(path) for path in shown(folders, "reading", "runs")), key=_run_order)
    check_distinct([result for run in runs for result in run.results])
    about = _read_about(expdir / "experiment.json")
    return Experiment(expdir, tuple(runs), _read_examples(expdir / "examples"), about)


def method_order(method: str) -> tuple[bool, int, str]:
    """Sort key: known methods in their order, then others by name, the sceptic's rows last."""
    known = list(SHORT_NAMES).index(method) if method in SHORT_NAMES else len(SHORT_NAMES)
    return method in SCEPTICS, known, method


def unique(values: Iterable[T]) -> list[T]:
    """The distinct values in order of first appearance."""
    return list(dict.fromkeys(values))


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _is_run(path: Path) -> bool:
    if not path.is_dir() or path.name.startswith("."):
        return False
    files = ("config.yaml", "metrics.jsonl", "measure.json")
    return any(_has(path, name) for name in files) or any(path.glob("tasks/**/result.json"))


def _run_order(run: Run) -> tuple[tuple[bool, int, str], int, str]:
    return method_order(run.method), -1 if run.seed is None else run.seed, run.path.name


def _read_run(path: Path) -> Run:
    found = sorted(path.glob("tasks/**/result.json"))
    results = tuple(Result.from_json(read_json(file), file) for file in found)
    config = _read_config(path / "config.yaml") if _has(path, "config.yaml") else {}
    method, seed = _identity(path, config, results)
    config = _with_own_settings(config, method)
    loss = _read_loss(path / "metrics.jsonl") if _has(path, "metrics.jsonl") else ()
    measure = path / "measure.json"
    measured = Measurement.from_json(read_json(measure), measure) if measure.is_file() else None
    return Run(path, method, seed, config, loss, measured, results)


def _with_own_settings(config: dict[str, Any], method: str) -> dict[str, Any]:
    """The configuration with the `pretrain` keys in which the method differs, as it was run."""
    own = (config.get("method_pretrain") or {}).get(method) or {}
    return {**config, "pretrain": {**config["pretrain"], **own}} if own else config


def _identity(
    path: Path, config: dict[str, Any], results: tuple[Result, ...]
) -> tuple[str, int | None]:
    """Method and seed, from the results, else the name `<method>_s<seed>`, else the config."""
    if results:
        return results[0].method, results[0].seed
    method, _, seed = path.resolve().name.rpartition("_s")
    if method and seed.isdecimal():
        return method, int(seed)
    named, drawn = config.get("method"), config.get("seed")
    named = named.get("name") if isinstance(named, Mapping) else named
    return str(named or path.resolve().name), drawn if isinstance(drawn, int) else None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    return checked({} if value is None else value, f"what {path} should hold")


def _read_about(path: Path) -> dict[str, Any]:
    return checked(read_json(path), f"what {path} should hold") if path.is_file() else {}


def _read_loss(path: Path) -> tuple[tuple[int, float], ...]:
    """(step, loss) of every step; a resumed run's later line wins, a torn last line is dropped."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    loss: dict[int, float] = {}
    for number, line in enumerate(lines, 1):
        try:
            logged = json.loads(line)
            if "loss" in logged:
                loss[int(logged["step"])] = float(logged["loss"])
        except (KeyError, TypeError, ValueError) as error:
            if number < len(lines):
                raise UserError(f"{path}, line {number}: not a logged step: {error}") from error
    return tuple(sorted(loss.items()))


def _read_examples(folder: Path) -> tuple[Example, ...]:
    path = folder / "examples.json"
    if not path.is_file():
        return ()
    try:
        return tuple(
            Example(
                str(value["augmentation"]),
                dict(value.get("parameters") or {}),
                _clips(folder, value["before"]),
                _clips(folder, value["after"]),
                str(value.get("shown") or "A clip"),
                str(value.get("note") or ""),
            )
            for value in read_json(path)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, error) from error


def _clips(folder: Path, names: Any) -> tuple[Path, ...]:
    """The files of one side of an example: names, or the one that older experiments tell."""
    several = [names] if isinstance(names, str) else names
    return tuple(_clip(folder, str(name)) for name in several)


def _clip(folder: Path, name: str) -> Path:
    """The clip's path; it must lie in `folder`, so that a report embeds nothing else."""
    path = folder / Path(name).name
    if path.suffix.lower() not in MEDIA_TYPES:
        raise ValueError(f"clip '{name}' is not one of {', '.join(MEDIA_TYPES)}")
    if not path.is_file() or path.resolve().parent != folder.resolve():
        raise ValueError(f"clip '{name}' is not a file in {folder}")
    return path


def check_distinct(results: list[Result]) -> None:
    """One result per protocol, method, row, task and seed: two would be averaged like seeds."""
    seen: dict[tuple[str, str, str, str, int], Path] = {}
    for result in results:
        key = (result.protocol, result.method, result.label, result.task, result.seed)
        if key in seen:
            raise UserError(
                f"{result.path} and {seen[key]} are both '{result.label}' on {result.task} with "
                f"seed {result.seed}; give one another label by evaluating its run again, all its "
                "tasks by every protocol that it has results of, with label=NAME, or remove one"
            )
        seen[key] = result.path
