"""Clips that are factors: what `audioinv validate` can check of them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def check(path: Path, *factors: float) -> tuple[str, None]:
    """A hash of the factors, by which a clip that stands in two splits is found, and None."""
    return hashlib.sha256(" ".join(map(repr, factors)).encode()).hexdigest(), None
