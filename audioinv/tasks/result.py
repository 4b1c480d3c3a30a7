"""One row of a table: what a protocol found, as it is written to and read from result.json.

Nothing heavy is imported: a report reads results and needs no network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError

NOT_WRITTEN = ("path", "per_clip", "detail")


@dataclass(frozen=True)
class Curve:
    """Scores against what a protocol varies: `name` is "" or what was varied alone, such as an
    augmentation; `x` ascends."""

    name: str
    x: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """One row of one task, of one seed. Fractions are 0..1, R^2 is at most 1.

    Args:
        protocol: its id, such as "linear-v1". task, kind: as in `data.task.Task`.
        metric: of `value`. mode: by which the descriptor was learnt. seed: of every draw.
        interval: 95%, of `value`. draws: of its bootstrap, where they are not 1,000.
        chance: what guessing scores.
        n_test, n_train: clips tested and learnt from; episodes, and clips of one's support.
        n_features: that the readout reads, the mean over folds.
        balanced_accuracy, macro_f1, r2, mse, mae: companions of `value`, by kind.
        descriptor: component -> value. depth: level of the network -> weight, where the task chose
            among levels. layers, readout: of the features, and what reads them.
        seconds: to learn the descriptor and the readout. episodes_seconds: to judge the episodes.
        x_name, curves: what a protocol varied, and the scores along it.
        unit: of a regression's label. test_classes: of few-shot episodes.
        method, named, label: of the run: its method, what it is called, and what the row is.
        corpus, encoder: whose clips, and the SHA-256 of the encoder's files.
        command, versions: that made it. settings: dotted key -> value, of all that its protocol
            read beside what the task had learnt.
        path: of the file it was read from.
        per_clip: two tensors (n,), `clips` and `score`, kept in a file of their own.
        detail: what the row's label says in place of the mode.
    """

    protocol: str
    task: str
    kind: str
    metric: str
    value: float
    mode: str
    seed: int
    interval: tuple[float, float] | None = None
    draws: int | None = None
    chance: float | None = None
    n_test: int | None = None
    n_train: int | None = None
    n_features: int | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    r2: float | None = None
    mse: float | None = None
    mae: float | None = None
    descriptor: dict[str, float] | None = None
    depth: dict[str, float] | None = None
    layers: str = ""
    readout: str = ""
    seconds: float | None = None
    episodes_seconds: float | None = None
    x_name: str = ""
    curves: tuple[Curve, ...] = ()
    unit: str = ""
    test_classes: tuple[str, ...] = ()
    method: str = ""
    named: str = ""
    label: str = ""
    corpus: str = ""
    encoder: str = ""
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    path: Path = Path()
    per_clip: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """What result.json holds: all that is known; neither `path`, `per_clip` nor `detail`."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_WRITTEN}
        known["curves"] = {c.name: {"x": c.x, "value": c.values} for c in self.curves}
        return {name: v for name, v in known.items() if v is not None and v not in ("", (), {})}

    @classmethod
    def from_json(cls, value: Any, path: Path = Path()) -> Result:
        """The result that `to_json` described; files of earlier versions lack some fields.

        Args:
            path: of the file, for messages.

        Raises:
            UserError: it is no such description; says which field and why.
        """
        if not isinstance(value, dict):
            raise UserError(f"{path} holds a {type(value).__name__}; it must hold named values")
        given = {"protocol": "not recorded", "kind": "", **without_nulls(value)}
        try:
            for name in ("task", "method", "mode", "label", "metric", "value", "seed"):
                if name not in given:
                    raise ValueError(f"it lacks '{name}'")
            known = [f for f in fields(cls) if f.name in given and f.name not in NOT_WRITTEN]
            return cls(**{f.name: _read(f.name, f.type, given[f.name]) for f in known}, path=path)
        except ValueError as error:
            raise broken(path, error) from error


@dataclass(frozen=True)
class Measurement:
    """One measure.json: cosine between the embeddings of a clip and of its augmented self.

    `on` and `off` map an augmentation to the mean cosine with its component at 1 and at 0;
    `matrix` is (descriptors `rows`, augmentations `columns`), NaN where unknown. `read_on` and
    `read_off`: R^2 of the parameters of what a component governs, if they were read.
    """

    names: tuple[str, ...]
    n_clips: int | None
    on: dict[str, float]
    off: dict[str, float]
    gap: dict[str, float]
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    read_on: dict[str, float] = field(default_factory=dict)
    read_off: dict[str, float] = field(default_factory=dict)

    @property
    def cosines(self) -> dict[tuple[str, str], float]:
        """(row, column) -> cosine of the matrix, without unknown entries."""
        return {
            (row, column): value
            for row, line in zip(self.rows, self.matrix, strict=True)
            for column, value in zip(self.columns, line, strict=True)
            if math.isfinite(value)
        }

    @classmethod
    def from_json(cls, value: Any, path: Path = Path()) -> Measurement:
        """What `tasks.measure.measure_invariance` found.

        Raises:
            UserError: it is nothing of that kind.
        """
        if not isinstance(value, dict):
            raise UserError(f"{path} holds a {type(value).__name__}; it must hold named values")
        given = {"on": {}, "off": {}, "matrix": {}, "n_clips": None, **without_nulls(value)}
        try:
            on, off = _named_numbers(given["on"]), _named_numbers(given["off"])
            gap = given.get("gap") or {k: on[k] - off[k] for k in on if k in off}
            matrix = {"rows": (), "columns": (), "cosine": (), **given["matrix"]}
            lines = tuple(
                tuple(math.nan if x is None else float(x) for x in row) for row in matrix["cosine"]
            )
            if [len(line) for line in lines] != [len(matrix["columns"])] * len(matrix["rows"]):
                raise ValueError("the matrix does not fit its rows and columns")
            names, n_clips = _texts(given.get("names") or on), given["n_clips"]
            n_clips = None if n_clips is None else int(n_clips)
            of = (_texts(matrix["rows"]), _texts(matrix["columns"]), lines)
            told = {"on": {}, "off": {}, **given.get("read", {})}
            read = [_named_numbers(told[key]) for key in ("on", "off")]
            return cls(names, n_clips, on, off, _named_numbers(gap), *of, *read)
        except (TypeError, ValueError, AttributeError) as error:
            raise broken(path, error) from error


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """The named values that are not null."""
    return {name: part for name, part in value.items() if part is not None}


def broken(path: Path, error: Exception) -> UserError:
    """What to tell of a file that cannot be used."""
    reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return UserError(f"cannot use {path}: {reason}; write it again with the command that made it")


def _read(name: str, kind: Any, value: Any) -> Any:
    """A field's value from JSON, by the field's type.

    Raises:
        ValueError: it is of another kind.
    """
    try:
        return _READERS[kind.removesuffix(" | None")](value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"'{name}' is {str(value)[:60]}: {error}") from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("it must be finite")
    return number


def _pair(value: Any) -> tuple[float, float]:
    low, high = value
    return _finite(low), _finite(high)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value))


def _named_numbers(value: Mapping[str, Any]) -> dict[str, float]:
    """The named numbers, without those that are null or not finite."""
    numbers = {str(name): float(number) for name, number in without_nulls(value).items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _named_texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()}


def _named(value: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): part for name, part in value.items()}


def _curves(value: Mapping[str, Any]) -> tuple[Curve, ...]:
    curves = tuple(
        Curve(str(name), tuple(map(_finite, c["x"])), tuple(map(_finite, c["value"])))
        for name, c in value.items()
    )
    if any(len(curve.x) != len(curve.values) or not curve.x for curve in curves):
        raise ValueError("a curve needs as many values as x, one or more")
    return curves


_READERS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": _finite,
    "tuple[float, float]": _pair,
    "tuple[str, ...]": _texts,
    "dict[str, float]": _named_numbers,
    "dict[str, str]": _named_texts,
    "dict[str, Any]": _named,
    "tuple[Curve, ...]": _curves,
}
