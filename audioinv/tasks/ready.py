"""embed and load_task: what the public face offers of encoders and tasks that have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import ENCODER_FILES, key_of
from audioinv.core.embedding import Frames
from audioinv.core.encoder import AmortisedEncoder, Descriptor
from audioinv.data.modality import load_encoder
from audioinv.data.task import Task
from audioinv.tasks.adapted import load_adapted, made_of
from audioinv.tasks.face import AdaptedTask
from audioinv.tasks.given import frozen
from audioinv.tasks.settings.adapt import AdaptConfig


def embed(
    encoder: AmortisedEncoder | str | Path,
    x: Any,
    descriptor: Descriptor | Any = "all",
    **options: Any,
) -> Tensor | Frames:
    """Features (n, d) of clips of any length, as `Encoder.embed` makes them.

        ai.embed(encoder, pack, "-pitch_shift")

    Args:
        encoder: it, or a run's folder `encoder`.
        x, descriptor, options: as of `Encoder.embed`.

    Raises:
        UserError: as of `Encoder.embed`.
    """
    loaded = encoder if isinstance(encoder, AmortisedEncoder) else load_encoder(encoder)
    return loaded.embed(x, descriptor, **options)


def load_task(
    folder: str | Path, encoder: AmortisedEncoder | str | Path | None = None
) -> AdaptedTask:
    """A task that `audioinv adapt` has let learn, with its encoder.

        digit = ai.load_task("exp/fsdd/tasks/digit/soft")

    Args:
        folder: RUN/tasks/TASK/MODE. encoder: it, or its folder; None takes RUN/encoder.

    Raises:
        UserError: nothing readable there, or another encoder than the task learnt from.
    """
    folder = Path(folder)
    folds, info = load_adapted(folder)
    where = folder.absolute().parents[2] / "encoder" if encoder is None else encoder
    if not isinstance(where, AmortisedEncoder):
        _refuse_another(folder, info, Path(where))
    learning = {f.name: info[f.name] for f in fields(AdaptConfig) if f.name in info}
    return AdaptedTask(
        encoder=frozen(where),
        mode=str(info.get("mode", "")),
        made_of=made_of(info),
        settings=AdaptConfig(**learning),
        seed=int(info.get("seed", 0)),
        bank=None,
        task=Task.from_json(info["task"]),
        folds=folds,
        info=info,
        values=np.array(folds[0].readout.classes),
        features=None,
    )


def _refuse_another(folder: Path, info: Mapping[str, Any], encoder: Path) -> None:
    if not (encoder / "encoder.json").exists():
        raise UserError(f"{encoder} holds no encoder; give the one that {folder} learnt from")
    if info.get("encoder", key := key_of(encoder, ENCODER_FILES)) != key:
        raise UserError(f"{folder} learnt from another encoder than {encoder}; adapt again")
