"""The log of a pre-training run: metrics.jsonl, one line now and then, and TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lightning.fabric.loggers import TensorBoardLogger
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import write_text


class MetricsLog:
    """metrics.jsonl and TensorBoard; on resume, lines after the checkpoint are dropped."""

    def __init__(self, run: Path, start: int) -> None:
        self.path = run / "metrics.jsonl"
        kept = [line for line in _lines(self.path) if _step(line) <= start]
        write_text(self.path, "".join(line + "\n" for line in kept))
        self.board = TensorBoardLogger(root_dir=run, name="tensorboard", version="")

    def write(
        self,
        step: int,
        loss: float,
        lr: float,
        corners: Sequence[Tensor],
        seconds: float,
        further: Mapping[str, Tensor],
    ) -> None:
        """Appends one line and one TensorBoard point; what is not finite is left out.

        Args:
            corners: (K,) of every group; where there is one, the line has it alone.
            further: losses, unweighted, and whatever else is a number.
        """
        values = {"loss": loss, **{k: v.item() for k, v in further.items()}, "lr": lr}
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        told = [[int(v) for v in corner.tolist()] for corner in corners]
        row = {
            "step": step,
            **known,
            "descriptor": told if len(told) > 1 else told[0],
            "seconds": round(seconds, 4),
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        try:
            self.board.log_metrics(known, step)
        except (OSError, ValueError) as error:  # Lightning makes a ValueError of a full disk
            raise UserError(
                f"cannot write to {self.path.parent}; is the disk full? {error.__cause__ or error}"
            ) from error


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        yield from path.read_text(encoding="utf-8").splitlines()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
