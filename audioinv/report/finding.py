"""What an experiment found, in sentences: what each task asked for, and what that gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from audioinv.report.collect import unique
from audioinv.report.figures import words
from audioinv.report.measured import LINEAR
from audioinv.report.names import ERRORS, method_name, scale, show
from audioinv.tasks.modes import is_learnt
from audioinv.tasks.result import Result

ALL_ON = "fixed:all"
PREFERRED = ("soft", "search", "search:validation", "paper")
ASKED_FOR, DECLINED = 2 / 3, 1 / 3  # a component above, or below, is said to be wanted, or not


@dataclass(frozen=True)
class Finding:
    """Of one task.

    Args:
        task: in words. score: of the learnt descriptor, with its unit. asked: what it asked for.
        looked: where it looked, "" if it did not choose. gained: over other rows.
    """

    task: str
    score: str
    asked: str
    looked: str
    gained: tuple[str, ...]


def findings(results: Sequence[Result]) -> list[Finding]:
    """A finding for each task that learnt a descriptor under a linear readout, in order."""
    known = [r for r in results if r.protocol in LINEAR]
    found = []
    for task in sorted(unique(r.task for r in known)):
        here = [r for r in known if r.task == task]
        learnt = [r for r in here if is_learnt(r.mode) and r.descriptor]
        if learnt:
            ours = min(learnt, key=_preference)
            own = [r for r in learnt if (r.method, r.mode) == (ours.method, ours.mode)]
            found.append(_finding(own, here))
    return found


def _preference(result: Result) -> tuple[bool, int]:
    """Amortised before others, and modes in their order."""
    place = PREFERRED.index(result.mode) if result.mode in PREFERRED else len(PREFERRED)
    return result.method != "amortised", place


def _finding(own: Sequence[Result], here: Sequence[Result]) -> Finding:
    first = own[0]
    others = {
        "the same encoder, all on": [
            r for r in here if (r.method, r.mode) == (first.method, ALL_ON)
        ],
        method_name("simclr"): [r for r in here if r.method == "simclr" and r.mode == ALL_ON],
    }
    gained = [_gain(own, other, name) for name, other in others.items() if other]
    score = f"{show(_mean([r.value for r in own]), first.metric)}{_unit(first.metric)}"
    depth = _means([r.depth or {} for r in own])
    return Finding(
        words(first.task),
        score,
        _asked(_means([r.descriptor or {} for r in own])),
        _looked(depth) if depth else "",
        tuple(each for each in gained if each),
    )


def _asked(descriptor: Mapping[str, float]) -> str:
    """A learnt descriptor in words."""
    ignored = [words(name) for name, value in descriptor.items() if value > ASKED_FOR]
    kept = [words(name) for name, value in descriptor.items() if value < DECLINED]
    parts = [f"to ignore {_listed(ignored)}"] if ignored else []
    parts += [f"to follow {_listed(kept)}"] if kept else []
    return " and ".join(parts) or "for no component clearly"


def _looked(depth: Mapping[str, float]) -> str:
    """The level of the largest weight."""
    name = max(depth, key=lambda level: depth[level])
    first, *_, last = depth
    place = {first: "the spectrum", last: "the last layer"}.get(name, words(name))
    return f"{place} ({100 * depth[name]:.0f} % of the weight)"


def _gain(own: Sequence[Result], other: Sequence[Result], name: str) -> str:
    """The mean difference over the seeds that both have, with its 95 % interval over them."""
    theirs = {r.seed: r.value for r in other}
    pairs = [(r.value, theirs[r.seed]) for r in own if r.seed in theirs]
    if not pairs:
        return ""
    metric = own[0].metric
    sign = -1 if metric in ERRORS else 1
    gains = [sign * (ours - against) for ours, against in pairs]
    mean = _mean(gains)
    shown = _shown(abs(mean), metric)
    what = f"{shown} {'better' if mean >= 0 else 'worse'} than {name}"
    if shown == _shown(0.0, metric):
        what = f"as good as {name}"
    if len(gains) < 2:
        return f"{what} (one seed)"
    half = float(student.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5)
    doubt = "" if half < abs(mean) else ", which may be chance"
    return f"{what} (± {_shown(half, metric)}{doubt})"


def _shown(difference: float, metric: str) -> str:
    unit = " points" if _unit(metric) else ""
    return f"{show(difference, metric)}{unit}"


def _unit(metric: str) -> str:
    return " %" if scale(metric)[0] == 100 else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each name, its mean over those that have it."""
    names = unique(name for each in values for name in each)
    return {name: _mean([each[name] for each in values if name in each]) for name in names}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
