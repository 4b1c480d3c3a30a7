"""Results as files: written, read again, of earlier versions, and broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.tasks.result import Curve, Measurement, Result

FULL = Result(
    protocol="averaging-v1 M=2", task="digit", kind="classification", metric="accuracy", value=0.0,
    mode="soft", seed=0, interval=(0.0, 0.25), chance=0.0, n_test=12, n_train=48,
    balanced_accuracy=0.1, descriptor={"pitch_shift": 0.0, "noise": 1.0}, layers="last",
    readout="ridge", seconds=0.0, x_name="encodings averaged",
    curves=(Curve("", (0.0, 1.0), (0.5, 0.25)),), test_classes=("a", "b"), method="amortised",
    named="amortised", label="Amortised, soft descriptor", corpus="fsdd", encoder="00",
    command="audioinv evaluate", versions={"torch": "2"},
    settings={"averaging.draws": [1, 2], "seed": 0},
)  # fmt: skip
OLDEST = {
    "task": "t", "method": "m", "mode": "soft", "label": "l", "metric": "accuracy", "value": 1,
    "seed": 3, "descriptor": None, "interval": None, "never_heard_of": 1,
}  # fmt: skip


def test_what_is_written_is_read() -> None:
    assert Result.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_files_of_earlier_versions_lack_fields() -> None:
    found = Result.from_json(OLDEST, Path("old.json"))
    assert (found.protocol, found.kind, found.curves) == ("not recorded", "", ())
    assert (found.seed, found.value, found.interval, found.descriptor) == (3, 1.0, None, None)
    assert found.path == Path("old.json")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"value": float("nan")}, "value"),
        ({"value": "high"}, "value"),
        ({"value": None}, "lacks 'value'"),
        ({"seed": "x"}, "seed"),
        ({"interval": [0.1]}, "interval"),
        ({"interval": 3}, "interval"),
        ({"descriptor": [1, 2]}, "descriptor"),
        ({"curves": {"": {"x": [1, 2], "value": [1]}}}, "as many values as x"),
        ({"curves": {"": {"x": [1]}}}, "curves"),
        ({"settings": [1]}, "settings"),
    ],
)
def test_broken_fields_are_named(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as raised:
        Result.from_json({**OLDEST, **changed}, Path("a/result.json"))
    assert "a/result.json" in str(raised.value)


@pytest.mark.parametrize("kind", [Result, Measurement])
def test_a_file_of_something_else(kind: Any) -> None:
    with pytest.raises(UserError, match="list"):
        kind.from_json([], Path("x.json"))


def test_measurements() -> None:
    matrix = {"rows": ["all on"], "columns": ["a", "b"], "cosine": [[0.5, None]]}
    found = Measurement.from_json(
        {"on": {"a": 0.5, "b": None}, "off": {"a": 0.25}, "matrix": matrix}
    )
    assert (found.names, found.gap) == (("a",), {"a": 0.25})
    assert found.cosines == {("all on", "a"): 0.5}
    with pytest.raises(UserError, match="fit its rows"):
        Measurement.from_json({"matrix": {**matrix, "columns": ["a"]}})


def test_reading_results_needs_no_torch() -> None:
    code = "import sys, audioinv.tasks.result; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
