"""Fine-tuned networks on disk: what protocol finetune leaves of a task, and loading it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.base.tensors import save_tensors
from audioinv.core.backbone import network_of
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import build_frontend
from audioinv.tasks.finetune import Finetuned
from audioinv.tasks.readout import told

NAME = "finetuned"


class FinetunedNetwork(nn.Module):
    """The networks of all folds: windows (B, ...) -> probabilities or values (B, m), their mean.

    An ordinary module, which `torch.export` takes.

    Args:
        frontend: windows -> maps. folds: maps -> outputs. kind: of the task. classes: of outputs.
    """

    def __init__(
        self, frontend: nn.Module, folds: Sequence[Finetuned], kind: str, classes: Sequence[str]
    ) -> None:
        super().__init__()
        self.frontend = frontend
        self.folds = nn.ModuleList(folds)
        self.kind, self.classes = kind, list(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, m)."""
        maps = self.frontend(x)
        return torch.stack([told(fold(maps), self.kind) for fold in self.folds]).mean(0)


def save_finetuned(
    folder: Path,
    encoder: AmortisedEncoder,
    models: Sequence[Finetuned],
    kind: str,
    classes: Sequence[str],
) -> None:
    """Writes finetuned.safetensors, then finetuned.json, with all that `load_finetuned` needs."""
    network = FinetunedNetwork(encoder.frontend, models, kind, classes)
    save_tensors(folder / f"{NAME}.safetensors", network.state_dict())
    head = models[0].head
    described = {
        "folds": len(models),
        "kind": kind,
        "classes": list(classes),
        "features": head.in_features,
        "outputs": head.out_features,
        "modality": getattr(encoder.frontend, "modality", None),
        "frontend": encoder.frontend.config,
        "backbone": encoder.config["backbone"],
    }
    write_json(folder / f"{NAME}.json", described)


def load_finetuned(
    folder: str | Path, backbones: Sequence[nn.Module] | None = None
) -> FinetunedNetwork:
    """What `audioinv evaluate protocol=finetune` left of a task, in evaluation mode.

        network = ai.load_finetuned("exp/fsdd/tasks/digit/soft/finetune")

    Args:
        folder: RUN/tasks/TASK/MODE/finetune. backbones: a network a fold, of an encoder that was
            made with one of your own: its code is not in the files.

    Raises:
        UserError: nothing readable there.
    """
    folder = Path(folder)
    described = read_json(folder / f"{NAME}.json")
    try:
        checked(
            described, "a fine-tuned network",
            folds=int, kind=str, classes=list, features=int, outputs=int, frontend=dict,
        )  # fmt: skip
        network = _network(described, backbones)
        network.load_state_dict(load_file(folder / f"{NAME}.safetensors"))
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise UserError(f"{folder} holds no readable fine-tuned network: {error}") from error
    return network.eval()


def _network(
    described: Mapping[str, Any], backbones: Sequence[nn.Module] | None
) -> FinetunedNetwork:
    named = {"modality": described["modality"]} if described.get("modality") else {}
    frontend: Any = build_frontend({**described["frontend"], **named})
    folds = []
    for k in range(described["folds"]):
        given = described["backbone"] if backbones is None else backbones[k]
        backbone = network_of(given, frontend.output_size)
        folds.append(Finetuned(backbone, described["features"], described["outputs"]))
    return FinetunedNetwork(frontend, folds, described["kind"], described["classes"])
