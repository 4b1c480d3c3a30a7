"""Conditioning: descriptor -> what is added to the weights of a stock backbone.

A conditioning is a module `forward(descriptor (K,)) -> {parameter name: tensor of its shape}`. The
base weights stay in the backbone, initialised and named as its authors did; the encoder adds the
two and runs the backbone through `torch.func.functional_call`. That the base is a stock weight and
that the added part has a comparable scale decides whether the descriptor is used at all.

Its `per_example(descriptors (B, K), backbone)` says how one pass serves a descriptor per example,
or None where none does.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by, unknown
from audioinv.core.conditioning.hyper import HyperConditioning
from audioinv.core.conditioning.norm import NormConditioning
from audioinv.core.conditioning.per_example import PerExample
from audioinv.core.conditioning.prompt import PromptConditioning

__all__ = [
    "CONDITIONINGS",
    "PRESETS",
    "HyperConditioning",
    "NoConditioning",
    "NormConditioning",
    "PromptConditioning",
    "build_conditioning",
    "preset",
]


class NoConditioning(nn.Module):
    """Leaves the backbone as it is, whatever the descriptor: plain SimCLR."""

    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__()

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        """Nothing to add."""
        return {}

    def per_example(self, descriptors: Tensor, backbone: nn.Module) -> PerExample:
        """Nothing to change."""
        return PerExample()


CONDITIONINGS: dict[str, type[nn.Module]] = {
    "hyper": HyperConditioning,
    "norm": NormConditioning,
    "prompt": PromptConditioning,
    "none": NoConditioning,
}
"""Conditionings by name."""

PRESETS: dict[str, dict[str, Any]] = {
    "hyper": {"name": "hyper", "bases": 8, "signed": True, "stem": True},
    "hyper_light": {
        "name": "hyper", "bases": 8, "rank": 2, "gain": 3.0, "signed": True, "stem": True
    },
    "hyper_paper": {
        "name": "hyper", "bases": 32, "embedding": 16, "signed": False, "start": "paper"
    },
    "none": {"name": "none"},
    "norm": {"name": "norm", "scale": 0.5},
    "prompt": {"name": "prompt", "signed": True},
    "prompt_paper": {"name": "prompt", "mlps": 256, "signed": False, "start": "paper"},
}  # fmt: skip
"""The named settings: those of the command line's group `conditioning`."""


def preset(name: str) -> dict[str, Any]:
    """The options of `build_conditioning` that go by one name.

    Raises:
        UserError: unknown name.
    """
    if name not in PRESETS:
        raise unknown("conditioning", name, PRESETS)
    return dict(PRESETS[name])


def build_conditioning(name: str, backbone: nn.Module, size: int, **options: Any) -> nn.Module:
    """The conditioning called `name` for `backbone` and descriptors of `size` components.

    Args:
        options: of any conditioning; each takes those that it knows.

    Raises:
        UserError: unknown name, or an option that no conditioning knows.
    """
    if name not in CONDITIONINGS:
        raise unknown("conditioning", name, CONDITIONINGS)
    every = {key for kind in CONDITIONINGS.values() for key in inspect.signature(kind).parameters}
    if others := sorted(options.keys() - every):
        told = f"{_taken(name)}{meant_by(others, every)}"
        raise UserError(f"no conditioning takes {', '.join(others)}; {name} takes {told}")
    kind = CONDITIONINGS[name]
    known = inspect.signature(kind).parameters
    return kind(backbone, size, **{key: value for key, value in options.items() if key in known})


def _taken(name: str) -> str:
    taken = list(inspect.signature(CONDITIONINGS[name]).parameters)
    return ", ".join(taken[2:]) or "none"  # after backbone and size
