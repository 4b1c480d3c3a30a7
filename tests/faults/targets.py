"""Everything that is fuzzed, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults import hostile_data as data
from tests.faults import hostile_models as models
from tests.faults.damage import Case

TARGETS: dict[str, Callable[[Path], Case]] = {
    "audio": data.of_audio,
    "image": data.of_images,
    "manifest": data.of_manifests,
    "corpus": data.of_corpora,
    "pack": data.of_packs,
    "checkpoint": models.of_checkpoints,
    "encoder": models.of_encoders,
    "adaptation": models.of_adaptations,
    "descriptor": models.of_descriptors,
    "override": models.of_overrides,
    "recipe": models.of_recipes,
}
