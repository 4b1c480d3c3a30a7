"""Clips that are vectors of factors: a front end renders them, augmentations redraw nuisances.

This is how InvCLR transforms its Spirograph images (Foster, Pukdee and Rainforth, ICLR 2021):
T_alpha renders the same targets with other nuisance factors, so a clip is best kept as its factors.
Which factor is a target and which a nuisance is the bank's choice: what it names is redrawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by
from audioinv.core import augmenting
from audioinv.core.augmentation import Augmentation, Parameter, check_range
from audioinv.core.bank import ALL, AugmentationBank, Rows
from audioinv.data.pack import Pack

KEEP = -1000.0
"""The parameter at which a clip keeps its own value; no factor has it."""


@dataclass(frozen=True)
class Factor:
    """One factor of variation.

    Args:
        name, unit: for example "onset", "s".
        low, high: the range that `draw` draws from; rendering itself accepts values outside it.
        default: the value where `draw` is told nothing; it may lie outside the range.
        scale: "linear" or "log": what is uniform, the value or its logarithm.
        least, most: what it can be at all; a wider range of nuisances is cut to it.
        differentiable: whether rendering has a gradient with respect to it.
        quantity: whether its values have distances; a place in the noise is none.
    """

    name: str
    unit: str
    low: float
    high: float
    default: float
    scale: str = "linear"
    least: float = -math.inf
    most: float = math.inf
    differentiable: bool = True
    quantity: bool = True

    def from_uniform(self, uniform: Tensor) -> Tensor:
        """Maps [0, 1] to [low, high] along the scale; what lies outside, beyond it."""
        if self.scale == "log":
            return self.low * (self.high / self.low) ** uniform
        return self.low + (self.high - self.low) * uniform

    def to_uniform(self, value: Tensor) -> Tensor:
        """What `from_uniform` maps to `value`; 0.5 of a factor that cannot vary."""
        if self.low == self.high:
            return torch.full_like(value, 0.5)
        if self.scale == "log":
            return (value / self.low).log() / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def draw(
    factors: Mapping[str, Factor],
    n: int,
    generator: torch.Generator,
    varied: Iterable[str] | None = None,
    fixed: Mapping[str, float | Tensor] | None = None,
) -> dict[str, Tensor]:
    """Draws the factors of `n` clips: name -> (n,) float32, for all of `factors`.

    Targets and nuisances are the caller's choice: a target is a varied factor that a task predicts,
    a nuisance a varied factor that nothing labels. Two views of the same targets are two draws of
    the nuisances with `fixed` set to the targets' values.

    Args:
        varied: the factors drawn uniformly (along their scale), each independently; None means all.
        fixed: values, one for all or (n,), of factors not to draw; it overrides `varied`.
            What is neither varied nor fixed takes its default.

    Raises:
        UserError: a name that is no factor.
    """
    fixed = fixed or {}
    chosen = set(factors if varied is None else varied)
    check_names(factors, chosen | set(fixed))
    values = {}
    for name, factor in factors.items():
        uniform = torch.rand(n, generator=generator)  # always drawn: one choice never moves another
        drawn = factor.from_uniform(uniform) if name in chosen else factor.default
        values[name] = torch.as_tensor(fixed.get(name, drawn), dtype=torch.float32).expand(n)
    return values


def check_names(factors: Mapping[str, Factor], names: Iterable[str]) -> None:
    """Raises a UserError for a name that is no factor."""
    unknown = sorted(set(names) - set(factors))
    if unknown:
        near = meant_by(unknown, factors)
        raise UserError(
            f"unknown factor {', '.join(unknown)}; there are {', '.join(factors)}{near}"
        )


class Redraw(Augmentation):
    """Gives a clip another value of one factor; the parameter is the new value.

    Args:
        low, high: what `sample` draws from, along the factor's scale; the factor's own range unless
            given. A wider one makes a harder test.

    Raises:
        UserError: a range that is not in rising order or that the factor cannot have.
    """

    factor: Factor
    column: int

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        own = self.factor
        self.drawn = replace(
            own, low=own.low if low is None else low, high=own.high if high is None else high
        )
        allowed = (max(own.least, KEEP + 1), own.most)
        check_range(own.name, self.drawn.low, self.drawn.high, allowed, own.unit)
        self.parameters = (
            Parameter(
                own.name,
                own.unit,
                self.drawn.low,
                self.drawn.high,
                KEEP,
                own.differentiable,
                own.quantity,
            ),
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """`n` values, (n, 1)."""
        return self.drawn.from_uniform(torch.rand(n, 1, generator=generator))

    def at_strength(self, params: Tensor, strength: float) -> Tensor:
        """Rows `params` (n, 1) with their distances from the middle of the range, along the scale,
        multiplied by `strength`, within what the factor can be; at strength 0 the identity.

        A clip that keeps its own value is not between that and the draw, but as far from either.
        """
        if strength == 0:
            return self.identity(len(params)).to(params)
        if not self.factor.quantity:  # a place in the noise: no middle, no distance
            return params
        uniform = self.drawn.to_uniform(params)
        moved = self.drawn.from_uniform(0.5 + strength * (uniform - 0.5))
        cut = moved.clamp(self.factor.least, self.factor.most)
        return torch.where(self.acts(params)[:, None], cut, params)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Puts `params` (B, 1) into the factor's column of `x` (B, F); differentiable in both."""
        own, new = x[:, self.column, None], params.to(x.dtype)
        value = torch.where(self.acts(params)[:, None], new, own)
        return torch.cat([x[:, : self.column], value, x[:, self.column + 1 :]], dim=1)


def redraws(factors: Mapping[str, Factor]) -> dict[str, type[Redraw]]:
    """Name of a factor -> the class of augmentations that redraw it."""
    return {
        name: type(name, (Redraw,), {"name": name, "factor": factor, "column": column})
        for column, (name, factor) in enumerate(factors.items())
    }


def build_bank(factors: Mapping[str, Factor], options: Mapping[str, Any]) -> AugmentationBank:
    """The bank that redraws the factors it names; `options` as in `augmenting.build_bank`."""
    return augmenting.build_bank(redraws(factors), **options)


def task_augmentation(factors: Mapping[str, Factor], name: str) -> Augmentation:
    """The augmentation that redraws the factor `name` over its own range.

    Raises:
        UserError: there is none of that name.
    """
    return augmenting.default(redraws(factors), name)


def vectors(pack: Pack, rows: Sequence[int]) -> Tensor:
    """The factors (n, F) of the clips at `rows`, float32."""
    if not len(rows):
        return torch.empty(0)
    return torch.from_numpy(np.stack([pack.samples(int(row)) for row in rows]))


class TrainingVectors:
    """The clips to pre-train on."""

    def __init__(self, pack: Pack, rows: Sequence[int]) -> None:
        self.values = vectors(pack, rows)

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, indices: Tensor, generator: torch.Generator, own: Rows = ALL) -> Tensor:
        """Factors (B, F) at `indices[own]` of `rows`; nothing is drawn."""
        return self.values[indices[own]]


def batches(
    pack: Pack, rows: Sequence[int] | None = None, batch_size: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips in order, all or those of some rows, (b, F), and the row of each, (b,)."""
    wanted = torch.tensor(list(range(len(pack)) if rows is None else rows))
    for some in wanted.split(batch_size):
        yield vectors(pack, some.tolist()), some


def check_size(pack: Pack, frontend: nn.Module, key: str) -> None:
    """Raises a UserError unless the pack was made for the size `key` of the front end."""
    options: Any = frontend.config
    if pack.size != options[key]:
        raise UserError(
            f"the pack is for {key} {pack.size} and the front end wants {options[key]}; "
            f"pack again with --{key} {options[key]}"
        )
