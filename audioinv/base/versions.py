"""Versions of what computes the figures, which every result records."""

from __future__ import annotations

import platform
from importlib.metadata import version

from audioinv.base.version import __version__

RECORDED = ("torch", "torchaudio", "timm", "scikit-learn")


def versions() -> dict[str, str]:
    """Name -> version."""
    return {
        "audioinv": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in RECORDED},
    }
