"""The log of a pre-training run: metrics.jsonl and monitor.jsonl, lines now and then."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from audioinv.base.files import write_text
from audioinv.training.config import LogConfig
from audioinv.training.trackers import Tracker

log = logging.getLogger(__name__)


class Lines:
    """A file of JSON, a line a row; on resume, rows after the step `start` are dropped."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if _step(line) <= start]
        write_text(path, "".join(line + "\n" for line in kept))

    def rows(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        return [json.loads(line) for line in _lines(self.path)]

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends one row."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class MetricsLog:
    """metrics.jsonl, monitor.jsonl, and one tracker.

    Args:
        run: folder. start: steps that are done.
    """

    def __init__(self, run: Path, start: int, config: LogConfig) -> None:
        self.metrics = Lines(run / "metrics.jsonl", start)
        self.monitor = Lines(run / "monitor.jsonl", start)
        self.tracker = Tracker(run, config)

    def write(
        self,
        step: int,
        loss: float,
        lr: float,
        corners: Sequence[Tensor],
        seconds: float,
        further: Mapping[str, Tensor],
    ) -> None:
        """Appends one line to metrics.jsonl; what is not finite is left out.

        Args:
            corners: (K,) of every group; where there is one, the line has it alone.
            further: losses, unweighted, and whatever else is a number.
        """
        values = {"loss": loss, **{k: v.item() for k, v in further.items()}, "lr": lr}
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        told = [[int(v) for v in corner.tolist()] for corner in corners]
        row = {
            "step": step,
            **known,
            "descriptor": told if len(told) > 1 else told[0],
            "seconds": round(seconds, 4),
        }
        self.metrics.add(row)
        self.tracker.log(known, step)

    def watched(self, row: Mapping[str, Any]) -> None:
        """Appends a look of the monitor to monitor.jsonl, and says its warnings."""
        self.monitor.add(row)
        for warning in row.get("warnings", ()):
            log.warning("%s", warning["text"])
        known = {
            f"monitor/{corner}/{name}": value
            for corner, told in row["corners"].items()
            for name, value in told.items()
        }
        gaps = {f"monitor/gap/{name}": value for name, value in row["gap"].items()}
        self.tracker.log(known | gaps, row["step"])

    def end(self) -> None:
        """No more is written."""
        self.tracker.end()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
