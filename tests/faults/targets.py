"""Everything that is fuzzed, by name, of the halves that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults import hostile_models as models
from tests.faults.damage import Case
from tests.halves import HAVE

TARGETS: dict[str, Callable[[Path], Case]] = {
    "checkpoint": models.of_checkpoints,
    "adaptation": models.of_adaptations,
    "descriptor": models.of_descriptors,
}
if "audio" in HAVE:
    from tests.faults import hostile_sounds as sounds

    TARGETS |= {
        "audio": sounds.of_audio,
        "manifest": sounds.of_manifests,
        "corpus": sounds.of_corpora,
        "pack": sounds.of_packs,
        "encoder": models.of_encoders,
        "override": models.of_overrides,
        "recipe": models.of_recipes,
    }
if "image" in HAVE:
    from tests.faults.hostile_images import of_images

    TARGETS |= {"image": of_images}
