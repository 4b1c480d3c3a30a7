"""Versions of what computes the figures, which every result records."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from audioinv.base.version import __version__

RECORDED = ("torch", "torchaudio", "timm", "scikit-learn")


def versions() -> dict[str, str]:
    """Name -> version; not every modality needs all of it."""
    found = {"audioinv": __version__, "python": platform.python_version()}
    for name in RECORDED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
