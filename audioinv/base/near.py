"""What was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def meant(word: str, known: Iterable[str]) -> str:
    """The name nearest to a mistyped word, as a question in brackets; "" where none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""
