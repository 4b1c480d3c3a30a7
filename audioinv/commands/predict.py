"""audioinv predict: what an adapted task says of files, as CSV."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from audioinv.core.embedding import Rows
    from audioinv.tasks.face import AdaptedTask

HELP = "labels of files with their probabilities, by a task that was adapted"
ABOUT = (
    "Writes a row a file: its path, the label (prediction), and the probability of every label; of "
    "a regression, the values. A task is what audioinv adapt left in RUN/tasks. Files of any length"
    " and rate are read as they are, by the windows that the task learnt with."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Files, and the task."""
    command.add_argument("paths", nargs="+", metavar="PATH", help="file or folder, or a pack's")
    command.add_argument("--run", dest="run_folder", required=True, type=Path, help="run folder")
    command.add_argument("--task", required=True, help="that was adapted")
    command.add_argument("--mode", default="soft", help="by which it was adapted (default soft)")
    command.add_argument("--windows", action="store_true", help="a row a window, with its times")
    command.add_argument("--out", type=Path, help="CSV file to write (default: standard output)")
    command.add_argument(
        "--trusted_module", action="append", default=[], metavar="NAME",
        help="that a HEAR backbone may import; may be given several times",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Writes the table."""
    main(
        options.paths, options.run_folder, options.task, options.mode, options.windows,
        options.out, options.trusted_module,
    )  # fmt: skip


def main(
    paths: list[str],
    run: Path,
    task: str,
    mode: str = "soft",
    windows: bool = False,
    out: Path | None = None,
    trusted: list[str] | None = None,
) -> None:
    """Writes predictions as CSV to `out`, or to standard output.

    Raises:
        UserError: there is no such task, or a file that cannot be read.
    """
    import sys

    from audioinv.base.files import atomic_path
    from audioinv.base.progress import counted
    from audioinv.commands.using import adapted_in
    from audioinv.conf.schema import Config
    from audioinv.core.backbone import TRUSTED_MODULES
    from audioinv.core.embedding import followed
    from audioinv.tasks.given import device_named
    from audioinv.tasks.ready import load_task

    TRUSTED_MODULES.update(trusted or [])
    adapted = load_task(adapted_in(Config(run=str(run)), run / "encoder", task, mode))
    adapted.encoder.to(device_named("auto"))
    given: Any = paths[0] if len(paths) == 1 else paths
    names, rows = adapted.stream(given, frames=windows)

    def write(file: Any) -> None:
        with counted("predicting", "clips") as progress:
            for number, part in enumerate(followed(rows, len(names), progress)):
                told = table(adapted, names, part, windows)
                told.to_csv(file, index=False, header=not number, lineterminator="\n")

    if out is None:
        write(sys.stdout)
        return
    with atomic_path(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        write(file)
        file.flush()


def table(adapted: AdaptedTask, names: Any, part: Rows, windows: bool) -> pd.DataFrame:
    """Rows of the CSV: path, times of windows, prediction, and a column a label."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {"path": np.array(names, object)[part.clip.numpy()]}
    if windows:
        columns |= {"start_s": part.start_s.numpy(), "end_s": part.end_s.numpy()}
    kind, values = adapted.task.kind, [str(value) for value in adapted.values.tolist()]
    outputs: Tensor = part.features.detach()
    if kind == "regression":
        wide = outputs.shape[1] > 1
        named = {f"value_{k}" if wide else "value": outputs[:, k] for k in range(outputs.shape[1])}
        return pd.DataFrame(columns | {name: each.numpy() for name, each in named.items()})
    if kind == "classification":
        columns["prediction"] = np.array(values, object)[outputs.argmax(1).numpy()]
    else:
        columns["prediction"] = [
            ";".join(value for value, on in zip(values, row, strict=True) if on)
            for row in (outputs > 0.5).tolist()
        ]
    return pd.DataFrame(columns | dict(zip(values, outputs.T.numpy(), strict=True)))
