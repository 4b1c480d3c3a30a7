"""What a monitor finds wrong, in words: each once, with what to try."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RANK = 0.02
"""An effective rank below this share of what it can be is a collapse, and so is one below 2."""
UNIFORMITY = -0.02
"""So is a uniformity above this: all features in one place."""
GAP = 0.02
"""A component with a smaller gap is ignored."""
COLLAPSED_AFTER, IGNORED_AFTER = 0.1, 0.25
"""Shares of a run that are over before each is said: an encoder has to begin somewhere."""
FIRST = 50
"""Nothing is said before this step."""


def warnings_in(
    row: Mapping[str, Any], before: Iterable[Mapping[str, Any]], steps: int, width: int
) -> list[dict[str, Any]]:
    """What is wrong in a look and was not said in those before it.

    Args:
        row, before: as `monitor.Watched`, with the "warnings" of those before.
        steps: of the run. width: of the features.

    Returns:
        JSON: "kind", collapse or ignored; "of", the corners or components; and "text".
    """
    said = {
        (old["kind"], name)
        for look in before
        for old in look.get("warnings", ())
        for name in old["of"]
    }
    most = min(width, row["clips"])
    found = []
    for kind, names in _found(row, steps, most).items():
        new = [name for name in names if (kind, name) not in said]
        if new:
            found.append({"kind": kind, "of": new, "text": TEXTS[kind](row, new, most)})
    return found


def _found(row: Mapping[str, Any], steps: int, most: int) -> dict[str, list[str]]:
    """Kind -> the corners or components that are concerned."""
    found: dict[str, list[str]] = {"collapse": [], "ignored": []}
    if row["step"] < FIRST:
        return found
    if row["step"] >= COLLAPSED_AFTER * steps:
        found["collapse"] = [n for n, told in row["corners"].items() if _collapsed(told, most)]
    if row["step"] >= IGNORED_AFTER * steps:
        found["ignored"] = [name for name, gap in row["gap"].items() if gap < GAP]
    return found


def _collapsed(told: Mapping[str, float], most: int) -> bool:
    low = told.get("rank", most) < max(RANK * most, min(2, most))
    return low or told.get("uniformity", -4) > UNIFORMITY


def _collapse(row: Mapping[str, Any], names: Sequence[str], most: int) -> str:
    told = [row["corners"][name] for name in names]
    rank = min(each.get("rank", most) for each in told)
    even = max(each.get("uniformity", -4.0) for each in told)
    return (
        f"step {row['step']}: features collapse at {_listed(names)}: all clips look nearly alike "
        f"(effective rank {rank:.1f} of {most}, uniformity {even:.2f}). Try a lower pretrain.lr, a "
        "larger pretrain.batch_size, a lower pretrain.temperature, or weaker augmentations."
    )


def _ignored(row: Mapping[str, Any], names: Sequence[str], most: int) -> str:
    gaps = ", ".join(f"{name} {row['gap'][name]:.3f}" for name in names)
    return (
        f"step {row['step']}: the encoder ignores {_listed(names)}: switched off, features move "
        f"no more under it than switched on (gap below {GAP}: {gaps}). No task can then ask for "
        f"it. Try more steps, a wider range in bank.ranges.{names[0]}, or bank.inactive=shared."
    )


TEXTS = {"collapse": _collapse, "ignored": _ignored}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
