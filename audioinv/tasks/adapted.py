"""What adaptation leaves behind for one task: per fold, a mixture of descriptors and a readout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.base.tensors import save_tensors
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.readout import Readout
from audioinv.tasks.settings.features import FeatureConfig


@dataclass
class Adapted:
    """One fold: what `choose` picked and the readout fitted on it."""

    mixture: Mixture
    readout: Readout


def save_adapted(folder: Path, folds: list[Adapted], info: Mapping[str, Any]) -> None:
    """Writes adapted.safetensors, then adapted.json with kind, classes and `info`."""
    tensors = {
        f"{k}.{name}": value
        for k, fold in enumerate(folds)
        for name, value in {**fold.mixture.tensors(), **fold.readout.tensors()}.items()
    }
    save_tensors(folder / "adapted.safetensors", tensors)
    first = folds[0].readout
    head = {"folds": len(folds), "kind": first.kind, "classes": first.classes}
    write_json(folder / "adapted.json", {**head, **info})


def load_adapted(folder: Path) -> tuple[list[Adapted], dict[str, Any]]:
    """What `save_adapted` wrote.

    Raises:
        UserError: missing or damaged files.
    """
    described = read_json(folder / "adapted.json")
    try:
        checked(described, "an adaptation", folds=int, kind=str, classes=list)
        tensors = load_file(folder / "adapted.safetensors")
        folds = [_fold(tensors, k, described) for k in range(described["folds"])]
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise UserError(f"{folder} holds no readable adaptation: {error}") from error
    return folds, described


def made_of(info: Mapping[str, Any]) -> FeatureConfig:
    """The settings of the features that an adaptation reads.

    Of earlier code, what is not told: the first window counted, or every whole one.
    """
    told = {"hop_s": 0.0, "drop_last": True, **info}
    return FeatureConfig(**{f.name: told[f.name] for f in fields(FeatureConfig) if f.name in told})


def _fold(tensors: Mapping[str, Any], k: int, described: Mapping[str, Any]) -> Adapted:
    own = {name.partition(".")[2]: v for name, v in tensors.items() if name.startswith(f"{k}.")}
    mixture = Mixture(**{f.name: own[f.name] for f in fields(Mixture) if f.name in own})
    return Adapted(mixture, Readout.from_tensors(own, described["kind"], described["classes"]))
