"""Reads an experiment folder: its runs with results, measurements and losses, and its examples."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.report.names import SCEPTICS, SHORT_NAMES

T = TypeVar("T")

MEDIA_TYPES = {".wav": "audio/wav", ".ogg": "audio/ogg", ".png": "image/png"}
_RUN_FOLDER = (
    "a run folder is what `audioinv pretrain`, `evaluate` and `measure` write: "
    "it holds config.yaml, metrics.jsonl, measure.json or tasks/TASK/MODE/PROTOCOL/result.json"
)


@dataclass(frozen=True)
class Curve:
    """Scores against what a protocol varies: `name` is "" or what was varied alone, such as an
    augmentation; `x` ascends."""

    name: str
    x: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """One result.json: one row of one task, of one seed. Fractions are 0..1, R^2 is at most 1."""

    path: Path
    protocol: str
    task: str
    kind: str
    method: str
    mode: str
    label: str
    metric: str
    value: float
    seed: int
    interval: tuple[float, float] | None
    balanced_accuracy: float | None
    chance: float | None
    n_train: int | None
    n_test: int | None
    seconds: float | None
    descriptor: dict[str, float] | None
    versions: dict[str, str]
    command: str
    corpus: str = ""
    x_name: str = ""
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """One measure.json: cosine between the embeddings of a clip and of its augmented self.

    `on` and `off` map an augmentation to the mean cosine with its component at 1 and at 0;
    `matrix` is (descriptors `rows`, augmentations `columns`), NaN where unknown.
    """

    names: tuple[str, ...]
    n_clips: int | None
    on: dict[str, float]
    off: dict[str, float]
    gap: dict[str, float]
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()

    @property
    def cosines(self) -> dict[tuple[str, str], float]:
        """(row, column) -> cosine of the matrix, without unknown entries."""
        return {
            (row, column): value
            for row, line in zip(self.rows, self.matrix, strict=True)
            for column, value in zip(self.columns, line, strict=True)
            if math.isfinite(value)
        }


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
    """A clip before and after one augmentation."""

    augmentation: str
    parameters: dict[str, Any]
    before: Path
    after: Path


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
    runs = sorted((_read_run(path) for path in folders), key=_run_order)
    check_distinct([result for run in runs for result in run.results])
    about = _read_mapping(expdir / "experiment.json") if _has(expdir, "experiment.json") else {}
    return Experiment(expdir, tuple(runs), _read_examples(expdir / "examples"), about)


def method_order(method: str) -> tuple[bool, int, str]:
    """Sort key: known methods in their order, then others by name, the sceptic's rows last."""
    known = list(SHORT_NAMES).index(method) if method in SHORT_NAMES else len(SHORT_NAMES)
    return method in SCEPTICS, known, method


def method_name(method: str) -> str:
    """The method's name for people."""
    return SHORT_NAMES.get(method, method.replace("_", " "))


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
    results = tuple(_read_result(file) for file in sorted(path.glob("tasks/**/result.json")))
    config = _read_config(path / "config.yaml") if _has(path, "config.yaml") else {}
    method, seed = _identity(path, config, results)
    config = _with_own_settings(config, method)
    loss = _read_loss(path / "metrics.jsonl") if _has(path, "metrics.jsonl") else ()
    measured = _read_measurement(path / "measure.json") if _has(path, "measure.json") else None
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
    return _mapping({} if value is None else value, path)


def _read_result(path: Path) -> Result:
    value = _read_mapping(path)
    try:
        return Result(
            path=path,
            protocol=str(value.get("protocol") or "not recorded"),
            task=str(value["task"]),
            kind=str(value.get("kind") or ""),
            method=str(value["method"]),
            mode=str(value["mode"]),
            label=str(value["label"]),
            metric=str(value["metric"]),
            value=_finite(value["value"]),
            seed=int(value["seed"]),
            interval=_interval(value.get("interval")),
            balanced_accuracy=_optional(value, "balanced_accuracy"),
            chance=_optional(value, "chance"),
            n_train=_count(value, "n_train"),
            n_test=_count(value, "n_test"),
            seconds=_optional(value, "seconds"),
            descriptor=_numbers(value["descriptor"]) if value.get("descriptor") else None,
            versions={str(k): str(v) for k, v in (value.get("versions") or {}).items()},
            command=str(value.get("command") or ""),
            corpus=str(value.get("corpus") or ""),
            x_name=str(value.get("x_name") or ""),
            curves=_curves(value.get("curves") or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, error) from error


def _read_measurement(path: Path) -> Measurement:
    value = _read_mapping(path)
    try:
        on, off = _numbers(value.get("on") or {}), _numbers(value.get("off") or {})
        gap = _numbers(value.get("gap") or {k: on[k] - off[k] for k in on if k in off})
        matrix = value.get("matrix") or {"rows": (), "columns": (), "cosine": ()}
        measured = Measurement(
            names=tuple(map(str, value.get("names") or on)),
            n_clips=_count(value, "n_clips"),
            on=on,
            off=off,
            gap=gap,
            rows=tuple(map(str, matrix["rows"])),
            columns=tuple(map(str, matrix["columns"])),
            matrix=tuple(tuple(_or_nan(x) for x in row) for row in matrix["cosine"]),
        )
        lengths = [len(row) for row in measured.matrix]
        if lengths != [len(measured.columns)] * len(measured.rows):
            raise ValueError("the matrix does not fit its rows and columns")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, error) from error
    return measured


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
                _clip(folder, str(value["before"])),
                _clip(folder, str(value["after"])),
            )
            for value in read_json(path)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, error) from error


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
                f"seed {result.seed}; give one another label by evaluating its run again with "
                "label=NAME, or remove one"
            )
        seen[key] = result.path


def _read_mapping(path: Path) -> dict[str, Any]:
    return _mapping(read_json(path), path)


def _mapping(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; it must hold named values")
    return value


def _broken(path: Path, error: Exception) -> UserError:
    reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return UserError(f"cannot use {path}: {reason}; write it again with the command that made it")


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a value is {number}; it must be finite")
    return number


def _optional(value: Mapping[str, Any], key: str) -> float | None:
    return None if value.get(key) is None else _finite(value[key])


def _count(value: Mapping[str, Any], key: str) -> int | None:
    return None if value.get(key) is None else int(value[key])


def _curves(value: Mapping[str, Any]) -> tuple[Curve, ...]:
    curves = tuple(
        Curve(str(name), tuple(map(_finite, c["x"])), tuple(map(_finite, c["value"])))
        for name, c in value.items()
    )
    if any(len(curve.x) != len(curve.values) or not curve.x for curve in curves):
        raise ValueError("a curve needs as many values as x, one or more")
    return curves


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = value
    return _finite(low), _finite(high)


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def _numbers(value: Mapping[str, Any]) -> dict[str, float]:
    """The named numbers, without those that are null or not finite."""
    numbers = {str(name): _or_nan(number) for name, number in value.items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}
