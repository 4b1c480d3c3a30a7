"""What a rival is: somebody's frozen network that takes sounds as they are."""

from __future__ import annotations

from abc import abstractmethod
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError


class Rival(nn.Module):
    """A network behind the front end `waveform`, as a backbone that tells its levels.

    One of your own is named by PACKAGE.MODULE:CLASS and made without arguments:

        class Loudness(Rival):
            title, sample_rate, clip_s = "Loudness", 8000, 1.0

            def levels(self, sounds):
                return [sounds.square().mean(1, keepdim=True)]

    Attributes:
        title: of its rows. sample_rate: Hz that it wants; its clips are packed so.
        clip_s: seconds of a window; longer clips are cut into such, whose features are averaged.
        short_clips: what fills up shorter ones, as of a front end: zeros or repeat.
    """

    title: str
    sample_rate: int
    clip_s: float
    short_clips = "zeros"

    @abstractmethod
    def levels(self, sounds: Tensor) -> list[Tensor]:
        """Features (B, d) level by level, the last being what the network is used for, of sounds
        (B, clip_s * sample_rate) in [-1, 1)."""

    @property
    def frontend(self) -> dict[str, Any]:
        """Options of its front end."""
        named = {"name": "waveform", "sample_rate": self.sample_rate, "clip_s": self.clip_s}
        return {**named, "short_clips": self.short_clips}

    @property
    def config(self) -> dict[str, Any]:
        """As a backbone has it."""
        return {"name": "own", "class": type(self).__qualname__}

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features of each level."""
        silence = torch.zeros(1, round(self.clip_s * self.sample_rate))
        with torch.no_grad():
            return tuple(level.shape[1] for level in self.levels(silence))

    @property
    def dim(self) -> int:
        """Features of the last level."""
        return self.sizes[-1]

    @torch.no_grad()
    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features (B, d) of waveforms (B, 1, 1, T): last, or of all levels side by side."""
        levels = self.levels(x[:, 0, 0])
        return levels[-1] if layers == "last" else torch.cat(levels, dim=1)


def imported(module: str, package: str) -> ModuleType:
    """A module of a rival's package.

    Raises:
        UserError: it is not installed, or something that it needs.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"{package} cannot be imported ({error}); pip install 'audioinv[rivals]', or leave "
            "this rival out"
        ) from error
