"""Any audiomentations transform as an augmentation of the bank."""

from __future__ import annotations

import copy
import importlib
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from torch import Tensor

from audioinv.audio.augment.signal import check_sample_rate
from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.core.augmentation import Augmentation, Parameter

SEEDS = 2**24  # all whole numbers that single precision holds
IDENTITY = -1.0


class AudiomentationsAugmentation(Augmentation):
    """Runs an audiomentations transform on each example, seeded by the one parameter `seed`.

    The same seed gives the same draw, and the global random states are left as they were. Not
    differentiable, and runs on the CPU.

    Args:
        transform: for example `audiomentations.Gain()`; always applied, whatever its `p`.
        sample_rate: in Hz, passed to the transform.
        name: the augmentation's name; by default the transform's class in snake case.

    Raises:
        UserError: `transform` cannot be called, or a sample rate that is not allowed.
    """

    opaque = True
    sized = True  # every clip has a seed of its own

    def __init__(self, transform: Any, sample_rate: int, name: str | None = None) -> None:
        check_sample_rate(sample_rate)
        if not callable(transform) or not hasattr(transform, "p"):
            raise UserError(f"transform is {transform!r}; give an audiomentations transform")
        self.transform = copy.deepcopy(transform)
        self.transform.p = 1.0
        self.sample_rate = sample_rate
        self.name = name or _snake_case(type(transform).__name__)
        self.parameters = (Parameter("seed", "seed", 0.0, SEEDS - 1.0, IDENTITY, False, False),)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """`n` seeds (n, 1), whole numbers from 0 to 2^24 - 1."""
        return torch.randint(SEEDS, (n, 1), generator=generator).float()

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Transforms `x` (B, T) with the seeds `params` (B, 1); -1 leaves an example alone.

        Raises:
            UserError: the transform changes the length of a clip.
        """
        clips = x.detach().to("cpu", torch.float32).numpy()
        seeds = params[:, 0].long().tolist()
        out = [self._transform(clip, seed) for clip, seed in zip(clips, seeds, strict=True)]
        changed = torch.from_numpy(np.stack(out)).to(x)
        return torch.where((params == IDENTITY).to(x.device), x, changed)

    def _transform(self, clip: np.ndarray, seed: int) -> np.ndarray:
        if seed == IDENTITY:
            return clip
        with _seeded(seed):
            out = np.asarray(self.transform(clip.copy(), sample_rate=self.sample_rate))
        if out.shape != clip.shape:
            raise UserError(
                f"{self.name} made {out.shape[-1]} samples of {len(clip)}; an augmentation keeps "
                "the length (look for an option such as leave_length_unchanged=True)"
            )
        return out


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds the global states that audiomentations draws from, and puts them back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def transform_of(entry: dict[str, Any]) -> Any:
    """The audiomentations transform that a Hydra entry describes.

    Raises:
        UserError: a target that is no audiomentations transform (a saved run's settings must not
            run other code), or arguments that it refuses.
    """
    for target in _targets(entry) or [""]:
        if not re.fullmatch(r"audiomentations\.[A-Z]\w*", target):
            raise UserError(
                "bank.audiomentations takes [{_target_: audiomentations.X}], such as "
                f"audiomentations.Gain, got '{target}'"
            )
        known = dir(importlib.import_module("audiomentations"))
        if (name := target.partition(".")[2]) not in known:
            raise UserError(f"bank.audiomentations: there is no {target}{meant(name, known)}")
    try:
        return instantiate(entry)
    except HydraException as error:
        raise UserError(f"bank.audiomentations: {error}") from error


def _targets(value: Any) -> list[str]:
    """Every `_target_` in a nested entry."""
    if isinstance(value, dict):
        own = [str(value["_target_"])] if "_target_" in value else []
        return own + [target for part in value.values() for target in _targets(part)]
    return [t for part in value for t in _targets(part)] if isinstance(value, list) else []
