"""What an encoder is like while it trains, at few corners and on few clips; it touches nothing.

A look makes a plain copy of the network at each corner and takes its normalisation statistics of
the clips, as `calibrate` does at the end of a run. Copies are thrown away; what the run draws, its
statistics and its modes stay as they are. Every process looks, since a synchronised BatchNorm waits
for the others, and at the same clips; the first one writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.base.tensors import device_of
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import flip
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.quality import (
    alignment,
    augmented_alone,
    centred_cosine,
    effective_rank,
    leave_one_out,
    uniformity,
)
from audioinv.core.statistics import batch_norms, even_batches, statistics_of
from audioinv.training.config import MonitorConfig, PretrainConfig
from audioinv.training.order import trained_corners
from audioinv.training.probe import Probe

SHARE = 1 / 40
"""Of the passes, those that looking takes where `monitor.every` is null; up to 1 / 20 of the time,
since augmenting counts as none."""
PASSES = 6
"""Forward passes that a training step of one clip costs: two views, and twice as much back."""
BATCH = 64
Watched = dict[str, Any]
"""A look, as JSON: "step"; "corners": name -> "rank", "alignment", "uniformity" and, with labels,
"knn"; "gap": component -> value; "clips", and with labels "task" and "chance"."""


class Monitor:
    """Looks at an encoder at the all-on corner and at each that has one component off.

    Of these it takes the corners that are trained, and where all-on is not, the first that is.

    Args:
        encoder: on its way. bank: that makes its views.
        config: how often. read: gives what is looked at, the first time. pretrain: of the run.
        half: what the networks run in, such as Fabric's autocast.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        bank: AugmentationBank,
        config: MonitorConfig,
        read: Callable[[], Probe],
        pretrain: PretrainConfig,
        seed: int,
        half: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.encoder, self.bank, self.read = encoder, bank, read
        self.k, self.seed, self.half = config.k, seed, half
        trained = trained_corners(bank.space, pretrain.corners)
        all_on = bank.space.all_on()
        self.base = all_on if _among(trained, all_on) else trained[0]
        flips = {name: flip(self.base, k) for k, name in enumerate(bank.space.names)}
        if not encoder.is_conditioned:  # the same network at all of them
            flips = {}
        self.flips = {name: corner for name, corner in flips.items() if _among(trained, corner)}
        self.every = self._every(config, pretrain)

    @cached_property
    def probe(self) -> Probe:
        """What is looked at."""
        return self.read()

    def _every(self, config: MonitorConfig, pretrain: PretrainConfig) -> int:
        """Steps from one look to the next; 0 is never."""
        if config.every is not None:
            return config.every
        governed = sum(len(self.bank.space.groups[name]) for name in self.flips)
        looks = config.clips * (4 * (1 + len(self.flips)) + 2 * governed)
        step = PASSES * pretrain.batch_size * pretrain.accumulate
        return max(1, math.ceil(looks / (SHARE * step)))

    def due(self, done: int) -> bool:
        """Whether to look after so many steps."""
        return self.every > 0 and done % self.every == 0

    def look(self, done: int) -> Watched:
        """What the encoder is like after `done` steps."""
        with undisturbed(self.encoder), seeded(self.seed, "monitor"), self.half():
            x = self.probe.clips.to(device_of(self.encoder))
            corners, gap = self._look(x)
        finite = {name: _rounded(values) for name, values in corners.items()}
        told = {"step": done, "corners": finite, "gap": _rounded(gap), "clips": len(x)}
        if self.probe.targets is None:
            return told
        return {**told, "task": self.probe.task, **_rounded({"chance": self.probe.chance})}

    @torch.no_grad()
    def _look(self, x: Tensor) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Corner -> its figures, and component -> its gap, on clips `x` (n, ...)."""
        clean = self._maps(self.bank.plain(x))
        network = self._network(self.base, clean)
        base = _features(network, clean)
        corners = {self._name(self.base): self._figures(network, base, x, self.base)}
        gap = {}
        for name, corner in self.flips.items():
            other = self._network(corner, clean)
            features = _features(other, clean)
            corners[self._name(corner)] = self._figures(other, features, x, corner)
            moved = []
            for augmentation in self.bank.space.groups[name]:
                copy = self._maps(augmented_alone(self.bank, augmentation, x, self.seed))
                here = centred_cosine(base, _features(network, copy))
                there = centred_cosine(features, _features(other, copy))
                moved.append(here - there)
            sign = 1 if corner.sum() < self.base.sum() else -1  # on less off, whichever the base is
            gap[name] = sign * sum(moved) / len(moved)
        return corners, gap

    def _figures(
        self, network: nn.Module, clean: Tensor, x: Tensor, corner: Tensor
    ) -> dict[str, float]:
        """Of features `clean` (n, d) of clips `x` at a corner (K,)."""
        draws = generator(self.seed, "monitor views", self._name(corner))
        views, _ = self.bank.views(x, corner, draws)
        first, second = (_features(network, self._maps(view)) for view in views)
        found = {
            "rank": effective_rank(clean),
            "alignment": alignment(first, second),
            "uniformity": uniformity(clean),
        }
        if self.probe.targets is not None:
            known = self.probe.targets >= 0
            found["knn"] = leave_one_out(clean[known], self.probe.targets[known], self.k)
        return found

    def _maps(self, x: Tensor) -> Tensor:
        return torch.cat([self.encoder.frontend(part) for part in x.split(BATCH)])

    def _network(self, corner: Tensor, maps: Tensor) -> nn.Module:
        """The network at a corner (K,), with statistics of maps (n, C, H, W)."""
        network: nn.Module = self.encoder.copied_at(corner).backbone
        if batch_norms(network):
            statistics_of(network, even_batches(maps))
        return network

    def _name(self, corner: Tensor) -> str:
        """A corner as `DescriptorSpace.parse` reads it, the short way: "all", "-pitch_shift"."""
        off = [n for n, on in zip(self.bank.space.names, corner.tolist(), strict=True) if on < 0.5]
        return f"-{off[0]}" if len(off) == 1 and len(corner) > 1 else self.bank.space.label(corner)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Inside, `module` is in evaluation mode; then each of its parts is in its own again."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


def _features(network: nn.Module, maps: Tensor) -> Tensor:
    """Features (n, d) of maps (n, C, H, W), on the CPU."""
    return torch.cat([network(part).float().cpu() for part in maps.split(BATCH)])


def _among(corners: Tensor, corner: Tensor) -> bool:
    return bool((corners == corner).all(1).any())


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """To six digits, which outlast any noise of the clips; without what is not finite."""
    return {n: float(f"{v:.6g}") for n, v in values.items() if math.isfinite(v)}
