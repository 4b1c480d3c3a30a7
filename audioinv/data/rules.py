"""Rules for a manifest's columns: what is wrong with a value, and what to give instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rule:
    """One thing that every value of a column keeps to.

    Args:
        column: its name. kind: one word for lists of problems. advice: what to give instead.
        is_bad: a column of texts -> true where a value breaks the rule.
    """

    column: str
    kind: str
    is_bad: Callable[[pd.Series], pd.Series]
    advice: str


def number(text: str) -> float:
    """The number that a text says; NaN where it says none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def number_rule(
    column: str, advice: str, good: Callable[[float], bool] = lambda value: True
) -> Rule:
    """A rule for a column of numbers: finite, and `good`."""

    def is_bad(texts: pd.Series) -> pd.Series:
        return texts.map(lambda text: not (math.isfinite(number(text)) and good(number(text))))

    return Rule(column, "number", is_bad, advice)


def whole(value: float) -> bool:
    """Whether a number is a whole one."""
    return value == int(value)
