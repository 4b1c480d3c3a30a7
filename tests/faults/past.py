"""Cases that failed once, or are like those: `past/TARGET.txt` has one a line, as Python writes it.

A case that fails while fuzzing is added by itself: commit its line with what mends it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "past"
NAMES = {"nan": math.nan, "inf": math.inf, "__builtins__": {}}


def past(target: str, folder: Path = FOLDER) -> list[Any]:
    """The cases of a target that failed once."""
    path = folder / f"{target}.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [eval(line, NAMES) for line in lines]


def remember(target: str, case: Any, folder: Path = FOLDER) -> None:
    """Adds a case, unless it is there."""
    line = ascii(case)
    path = folder / f"{target}.txt"
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    if line not in known.splitlines():
        path.write_text(f"{known}{line}\n", encoding="utf-8")
