"""What a pre-training run needs to go on after it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.bank import AugmentationBank
from audioinv.training.average import Average
from audioinv.training.processes import agree_on_start
from audioinv.training.state import checkpoints, load_latest


def training_state(
    model: nn.Module, optimiser: Any, step: int, fabric: Fabric, average: Average | None = None
) -> dict[str, Any]:
    """All that a later process needs to go on."""
    further = {"average": average.values} if average else {}
    return {
        "step": step,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "precision": fabric.strategy.precision.state_dict(),  # the scale of fp16's loss
        **further,
    }


def resume(
    run: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    fabric: Fabric,
    average: Average | None = None,
) -> int:
    """Loads the newest checkpoint of `run`, if any; returns the steps already done."""
    found = load_latest(run / "checkpoints")
    path, state = found or (run, {"step": 0})
    agree_on_start(int(state["step"]), run, fabric)
    if found is None:
        return 0
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        fabric.strategy.precision.load_state_dict(state.get("precision", {}))
        if average:
            average.load(state["average"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is of another model: {str(error).splitlines()[0]} Start a new run folder."
        ) from error
    return int(state["step"])


def where(bank: AugmentationBank, run: Path, step: int, descriptor: Tensor) -> str:
    """Step, descriptor and last checkpoint, for a message about what is not finite."""
    found = checkpoints(run / "checkpoints")
    last = found[-1] if found else "none was written"
    return (
        f"at step {step} with descriptor {bank.space.label(descriptor)}; "
        f"last checkpoint: {last}. Try a lower pretrain.lr"
    )
