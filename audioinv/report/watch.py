"""What a run on its way tells of itself: read from its folder, shown as one page."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml  # type: ignore[import-untyped]

from audioinv.base.errors import UserError
from audioinv.base.lock import NAME as LOCK
from audioinv.base.progress import spoken
from audioinv.report.environment import environment
from audioinv.report.lines import Chart, Points, chart, smoothed
from audioinv.report.serve import PageHandler, PageServer, Refused
from audioinv.training.warned import GAP

EVERY_S = 5
"""From one look of the page to the next."""
RECENT = 30  # lines of the log, of whose steps the time counts
SILENT_S = 120  # without a line, and twenty times as long as one takes: perhaps it was killed
STATES = {
    "finished": "Finished",
    "running": "Training",
    "silent": "Nothing new",
    "stopped": "Stopped",
}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Watched:
    """A run folder, as it is now.

    Args:
        steps: of the whole run, 0 where that is not known. state: one of `STATES`.
        metrics, looks: rows of metrics.jsonl and monitor.jsonl. age_s: of the last line.
    """

    path: Path
    steps: int
    state: str
    metrics: Rows
    looks: Rows
    age_s: float

    @property
    def done(self) -> int:
        """Steps that are logged."""
        return max((int(row["step"]) for row in (*self.metrics[-1:], *self.looks[-1:])), default=0)

    @property
    def seconds(self) -> float:
        """Of a step, of late; 0 where none is logged."""
        found = [row["seconds"] for row in self.metrics[-RECENT:] if "seconds" in row]
        return float(median(found)) if found else 0.0

    @property
    def warnings(self) -> list[str]:
        """In words, oldest first."""
        return [told["text"] for row in self.looks for told in row.get("warnings", ())]


def read_run(run: str | Path, now: float | None = None) -> Watched:
    """Reads a run folder, of a run on its way or a finished one.

    Args:
        now: seconds since 1970; None is the present.

    Raises:
        UserError: it is no run folder.
    """
    run = Path(run)
    log = run / "metrics.jsonl"
    if not log.is_file() and not any((run / name).is_file() for name in _OF_A_RUN):
        told = "is not there" if not run.exists() else "is no run folder"
        raise UserError(
            f"{run} {told}; give the folder that audioinv pretrain run=RUN writes, which holds "
            "config.yaml and metrics.jsonl"
        )
    metrics, looks = _rows(log), _rows(run / "monitor.jsonl")
    born = (log if log.exists() else run).stat().st_mtime
    age = max(0.0, (time.time() if now is None else now) - born)
    found = Watched(run, _steps(run), "running", metrics, looks, age)
    return Watched(run, found.steps, _state(found), metrics, looks, age)


_OF_A_RUN = ("config.yaml", "settings.json", "encoder/encoder.json")


def _state(found: Watched) -> str:
    if (found.path / "encoder" / "encoder.json").exists() and found.done >= found.steps:
        return "finished"
    if not (found.path / LOCK).exists():
        return "stopped"
    between = [b["step"] - a["step"] for a, b in zip(found.metrics, found.metrics[1:])]  # noqa: B905
    usual = found.seconds * (median(between[-RECENT:]) if between else 1)
    return "silent" if found.age_s > max(SILENT_S, 20 * usual) else "running"


def _rows(path: Path) -> Rows:
    """The rows of a file of JSON lines, in the order of steps; what is torn is left out."""
    found: dict[int, Mapping[str, Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                found[int(row["step"])] = row
            except (KeyError, TypeError, ValueError):
                continue  # it is being written
    return [found[step] for step in sorted(found)]


def _steps(run: Path) -> int:
    """Of the whole run, as its settings say; 0 where they do not."""
    try:
        if (run / "config.yaml").exists():
            told = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
            own = (told.get("method_pretrain") or {}).get(told.get("method")) or {}
            return int({**told["pretrain"], **own}["steps"])
        told = json.loads((run / "settings.json").read_text(encoding="utf-8"))
        return int(told["pretrain"]["steps"])
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def render(run: Watched, served: bool = False) -> str:
    """The whole page as HTML; everything read from files is escaped.

    Args:
        served: it asks for itself again every few seconds, until the run is finished.
    """
    latest = run.looks[-1] if run.looks else {}
    charts = [found for found in (*_training(run), *_monitored(run.looks)) if found]
    return (
        environment()
        .get_template("watch.html")
        .render(
            run=run,
            name=run.path.resolve().name,
            state=STATES[run.state],
            share=min(1.0, run.done / run.steps) if run.steps else 0.0,
            told=_told(run),
            charts=charts,
            latest=latest,
            every_s=EVERY_S if served and run.state != "finished" else 0,
        )
    )


def _told(run: Watched) -> str:
    """How things stand, in words."""
    of = f" of {run.steps}" if run.steps else ""
    said = f"Step {run.done}{of}."
    if run.state == "finished":
        return f"{said} The encoder is in {run.path.resolve().name}/encoder."
    if run.state == "stopped":
        return f"{said} It is not running: the same command goes on from the last checkpoint."
    if run.state == "silent":
        return (
            f"{said} No new line for {spoken(run.age_s)}: it may have been killed, and the same "
            "command then goes on from the last checkpoint."
        )
    if run.steps and run.seconds:
        said += f" About {spoken(run.seconds * (run.steps - run.done))} left,"
        said += f" {run.seconds:.3g} s a step."
    return f"{said} Last line {spoken(run.age_s)} ago."


def _training(run: Watched) -> list[Chart | None]:
    groups = _by_active(run.metrics)
    note = (
        "Mean of the last lines, apart by how many components of the descriptor are on: the "
        "more are on, the harder the task."
    )
    lines = {name: smoothed(points, max(5, len(points) // 10)) for name, points in groups.items()}
    rates = [(row["step"], row["lr"]) for row in run.metrics if "lr" in row]
    return [
        chart("Loss", note, lines),
        chart("Learning rate", "", {"learning rate": rates}),
    ]


def _by_active(metrics: Rows) -> dict[str, Points]:
    """Name of a group of corners -> (step, loss), fewest components on first."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for row in metrics:
        corner = row.get("descriptor", [])
        if "loss" not in row:
            continue
        several = bool(corner) and isinstance(corner[0], list)
        key = (99, "several corners") if several else (sum(corner), f"{sum(corner)} on")
        found.setdefault(key, []).append((row["step"], row["loss"]))
    return {name: found[number, name] for number, name in sorted(found)}


def _monitored(looks: Rows) -> list[Chart | None]:
    """The monitor's charts, in the order in which they are of use."""
    latest = looks[-1] if looks else {}
    chance = ("chance", latest["chance"]) if "chance" in latest else None
    task = str(latest.get("task", "")).replace("_", " ")
    knn = f"Share of {latest.get('clips', 0)} clips whose neighbours tell their class of {task}."
    gaps = {
        name: [(row["step"], row["gap"][name]) for row in looks if name in row.get("gap", {})]
        for name in latest.get("gap", {})
    }
    return [
        chart(
            "Gap of each component",
            "How much more features move under an augmentation when its component is off. Near 0, "
            "the encoder ignores it.",
            {name.replace("_", " "): points for name, points in gaps.items()},
            ("ignored below", GAP) if gaps else None,
        ),
        chart("kNN accuracy", knn, _of_corners(looks, "knn"), chance),
        chart(
            "Effective rank",
            "How many directions the features fill. Near 1, they have collapsed.",
            _of_corners(looks, "rank"),
        ),
        chart(
            "Alignment",
            "Distance of two views of a clip, squared. Small is invariant.",
            _of_corners(looks, "alignment"),
        ),
        chart(
            "Uniformity",
            "How evenly clips are spread. Low is good, 0 is all in one place.",
            _of_corners(looks, "uniformity"),
        ),
    ]


def _of_corners(looks: Rows, figure: str) -> dict[str, Points]:
    names = list(dict.fromkeys(name for row in looks for name in row["corners"]))
    return {
        name.replace("-", "without ").replace("_", " "): [
            (row["step"], row["corners"][name][figure])
            for row in looks
            if figure in row["corners"].get(name, {})
        ]
        for name in names
    }


class Handler(PageHandler):
    """Answers with the page as it is now."""

    server: WatchServer

    def get(self) -> tuple[str, bytes]:
        """The page."""
        if self.path != "/":
            raise Refused(404, "there is /")
        try:
            page = render(read_run(self.server.run), served=True)
        except UserError as error:
            raise Refused(410, str(error)) from error
        return "text/html; charset=utf-8", page.encode()


class WatchServer(PageServer):
    """Serves the page of one run, which need not be on its way.

    Args:
        run: folder. port: as of `PageServer`; it listens on this machine alone.

    Raises:
        UserError: no run folder, or it cannot listen there.
    """

    def __init__(self, run: Path, port: int = 8000) -> None:
        read_run(run)
        self.run = run
        super().__init__(Handler, port=port)
