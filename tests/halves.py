"""Which halves of the house are there: sounds, images, or both.

A module that imports a half cannot be imported without it and begins with `pytest.importorskip`.
These marks are for what reaches a half by its name alone, as in `modality=image`.
"""

from __future__ import annotations

import pytest

from audioinv.data.modality import known_modalities

HAVE = {modality.name for modality in known_modalities()}
of_sounds = pytest.mark.skipif("audio" not in HAVE, reason="the half of sounds was left out")
of_images = pytest.mark.skipif("image" not in HAVE, reason="the half of images was left out")
