"""Augmentations with parameters per example: what one is, and what all of them need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audioinv.base.errors import UserError

Function = Callable[[Tensor, Tensor], Tensor]
ANY = (-math.inf, math.inf)


@dataclass(frozen=True)
class Parameter:
    """One number that steers an augmentation.

        ai.Parameter("semitones", "semitones", low=-12.0, high=12.0, identity=0.0)

    Args:
        name: for example "semitones".
        unit: for people, for example "semitones", "dB", "fraction of the clip".
        low, high: the range that `Augmentation.sample` draws from.
        identity: the value at which the augmentation changes nothing.
        differentiable: whether `apply` has a gradient with respect to it.
        quantity: whether a value between the identity and a draw does less than the draw. Modes,
            seeds and places in the noise are none.
    """

    name: str
    unit: str
    low: float
    high: float
    identity: float
    differentiable: bool = True
    quantity: bool = True


class Augmentation(ABC):
    """A batched transformation with per-example parameters: `apply(x, params) -> x`.

    `apply` is pure: the same `x` and `params` give the same result on every call; whatever is
    random is in `params`. A row of identity parameters returns its example unchanged.

        class Louder(ai.Augmentation):
            name = "louder"
            parameters = (ai.Parameter("gain", "factor", 0.5, 2.0, identity=1.0),)

            def apply(self, x, params):
                return x * params

        bank = ai.Bank([Louder()])
    """

    name: str
    parameters: tuple[Parameter, ...]
    opaque: bool = False
    """Whether no gradient with respect to `x` passes `apply`."""
    sized: bool = False
    """Whether sizes in `apply` hang on the parameters. A bank then leaves these on the CPU, where
    they were drawn, and `apply` moves them: to ask a GPU for a size stops the processor."""
    first_order: bool = True
    """Whether the gradient in its parameters tells what another draw of them would do. Where
    representations ripple over steps far smaller than a draw it does not (docs/invclr.md)."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws `n` parameter rows, (n, P), uniformly within each parameter's range."""
        low = torch.tensor([p.low for p in self.parameters])
        high = torch.tensor([p.high for p in self.parameters])
        return low + (high - low) * torch.rand(n, len(self.parameters), generator=generator)

    def acts(self, params: Tensor) -> Tensor:
        """(B,) bool: which rows of `params` (B, P) are not the identity."""
        return params.ne(self.identity(1).to(params.device)).any(1)

    def identity(self, n: int) -> Tensor:
        """`n` rows, (n, P), that change nothing."""
        return torch.tensor([p.identity for p in self.parameters]).expand(n, -1).clone()

    def at_strength(self, params: Tensor, strength: float) -> Tensor:
        """Rows `params` (n, P) between the identity, at strength 0, and themselves, at 1.

        Quantities go along a straight line. An identity of infinity is one in dB, such as a
        signal-to-noise ratio: there what is added goes, as an amplitude, from 0 to that of the row,
        so strength s adds -20 log10(s) dB. Modes, seeds and places stay, but at strength 0.
        """
        if strength == 1:
            return params
        identity = self.identity(len(params)).to(params)
        if strength == 0:
            return identity
        quieter = params - 20 * math.log10(strength)
        moved = torch.where(identity.isinf(), quieter, identity + strength * (params - identity))
        quantity = torch.tensor([p.quantity for p in self.parameters], device=params.device)
        acts = self.acts(params)[:, None]
        return torch.where(acts & quantity, moved, params)

    @abstractmethod
    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """Transforms `x` (B, ...) by `params` (B, P) on its device; same shape and device as `x`.

        Where it is `sized` the parameters may be on the CPU.
        """

    def joined(self, following: Augmentation) -> Augmentation | None:
        """One augmentation that does at once what this and then `following` do, if there is any.

        Its parameters are those of both, this one's first. A bank in which `following` comes next
        uses it for the examples on which both act. Its results need not be the same bits: the
        work between the two, and what that costs in quality, is left out.
        """
        return None


class _OfFunction(Augmentation):
    """What `augmentation` makes."""

    def __init__(
        self, function: Function, parameters: tuple[Parameter, ...], name: str, opaque: bool
    ) -> None:
        self.function = function
        self.parameters = parameters
        self.name = name
        self.opaque = opaque

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        """The function's result; rows at the identity are returned as they are."""
        y = self.function(x, params)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise UserError(
                f"augmentation {self.name} makes {found} of {tuple(x.shape)}; give a function that "
                "returns a tensor of the same shape"
            )
        return restore(x, y, ~self.acts(params))


def augmentation(
    function: Function,
    parameters: Sequence[Parameter],
    name: str | None = None,
    opaque: bool = False,
) -> Augmentation:
    """An augmentation of a function of your own.

        gain = ai.Parameter("gain", "factor", low=0.5, high=2.0, identity=1.0)
        louder = ai.augmentation(lambda x, params: x * params, [gain], name="gain")

    Args:
        function: clips (B, ...) and parameters (B, P), a column for each of `parameters` -> clips
            (B, ...), on the same device. Pure: what is random comes from the parameters, such as a
            seed. Rows of identity parameters are returned unchanged, whatever it makes of them.
        parameters: at least one. name: by default that of the function.
        opaque: whether no gradient with respect to the clips passes the function.

    Raises:
        UserError: no parameter, no name, or a parameter whose range is none.
    """
    called = str(name or getattr(function, "__name__", ""))
    if not called.isidentifier():
        raise UserError(f"the augmentation's name is '{called}'; give name= letters, digits and _")
    if not parameters:
        raise UserError(f"augmentation {called} has no parameters; give one ai.Parameter or more")
    for parameter in parameters:
        check_range(
            f"{called}.{parameter.name}", parameter.low, parameter.high, ANY, parameter.unit
        )
    return _OfFunction(function, tuple(parameters), called, opaque)


def check_range(
    name: str, low: float, high: float, allowed: tuple[float, float], unit: str
) -> None:
    """Checks the range that an augmentation draws from.

    Raises:
        UserError: not `allowed[0] <= low <= high <= allowed[1]`, or a value that is not finite.
    """
    bottom, top = allowed
    if not (math.isfinite(low) and math.isfinite(high) and bottom <= low <= high <= top):
        raise UserError(
            f"{name} ranges from {low} to {high} {unit}; "
            f"give two numbers in rising order between {bottom} and {top}"
        )


def working(x: Tensor) -> Tensor:
    """`x` in at least single precision, which Fourier transforms and resampling need."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def restore(x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """`y` (B, ...) with the values of `x` (B, ...) in the `rows`, (B,) or (B, 1), that are true.

    Gradients stay those of `y`: an example at the identity is returned unchanged and still tells
    how it would change with the parameter.
    """
    asked = rows.device.type == "cpu" and not torch.compiler.is_compiling()
    if asked and not rows.any():  # a GPU would be waited for
        return y
    rows = rows.to(x.device).view(-1, *[1] * (x.ndim - 1))
    return torch.where(rows, x.detach() + (y - y.detach()), y)
