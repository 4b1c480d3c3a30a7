"""The descriptor i in [0,1]^K: 1 asks for invariance to a component, 0 for sensitivity."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.near import meant_by


@dataclass(frozen=True)
class DescriptorSpace:
    """The components of a descriptor, the augmentations each governs, and the allowed corners.

        space = ai.DescriptorSpace({"pitch": ["pitch_shift"], "noise": ["white_noise"]})
        sensitive = space.of("-pitch")

    Args:
        groups: component name -> names of the augmentations it switches, in order. K components.
        min_active: the fewest components that are 1 in a corner drawn for pre-training.
            The paper uses 2 for single augmentations and 1 for groups (Chavhan et al., ICLR 2023).

    Raises:
        UserError: no component, an augmentation in two components, or `min_active` outside [0, K].
    """

    groups: Mapping[str, Sequence[str]]
    min_active: int = 1
    names: tuple[str, ...] = field(init=False)
    augmentations: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(self.groups)
        members = tuple(name for group in self.groups.values() for name in group)
        if not names:
            raise UserError(
                "a descriptor needs at least one component, such as "
                "bank.groups={pitch:[pitch_shift]}"
            )
        if len(set(members)) != len(members):
            raise UserError(f"an augmentation belongs to one component only, got {list(members)}")
        if not 0 <= self.min_active <= len(names):
            raise UserError(f"min_active is {self.min_active}; give 0 to {len(names)}")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "augmentations", members)

    @classmethod
    def single(cls, augmentations: Sequence[str], min_active: int = 1) -> DescriptorSpace:
        """One component per augmentation."""
        return cls({name: (name,) for name in augmentations}, min_active)

    @property
    def size(self) -> int:
        """K, the number of components."""
        return len(self.names)

    @cached_property
    def corners(self) -> Tensor:
        """All allowed corners, (C, K) of 0 and 1, in the order of binary counting."""
        every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=self.size)))
        return every[every.sum(1) >= self.min_active]

    def all_on(self) -> Tensor:
        """The corner (K,) that is invariant to everything: what plain SimCLR learns."""
        return torch.ones(self.size)

    def corner(self, active: Sequence[str]) -> Tensor:
        """The corner (K,) with exactly the named components at 1."""
        self._check_names(active)
        return torch.tensor([float(name in active) for name in self.names])

    def parse(self, text: str) -> Tensor:
        """The corner (K,) called "all", "none", "a+b" (only these) or "-a+b" (all but these)."""
        if text == "all":
            return self.all_on()
        if text == "none":
            return self.corner([])
        if text.startswith("-"):
            return 1 - self.corner(text[1:].split("+"))
        return self.corner(text.split("+"))

    def of(self, value: str | Mapping[str, float] | Tensor) -> Tensor:
        """The descriptor, (K,) or (B, K), that a text, a mapping or a tensor says.

        Args:
            value: as `parse` reads it ("-pitch_shift"), as `from_dict` does, or the tensor itself.

        Raises:
            UserError: an unknown component, a missing value, or one outside [0, 1].
        """
        if isinstance(value, str):
            return self.parse(value)
        return self.check(value) if isinstance(value, Tensor) else self.from_dict(value)

    def from_dict(self, values: Mapping[str, float]) -> Tensor:
        """The descriptor (K,) with the given value of every component; `to_dict` undoes it."""
        self._check_names(values)
        missing = [name for name in self.names if name not in values]
        if missing:
            raise UserError(f"the descriptor has no value for {', '.join(missing)}")
        try:
            given = [float(values[name]) for name in self.names]
        except (TypeError, ValueError) as error:
            raise UserError(f"descriptor components are numbers, got {dict(values)}") from error
        return self.check(torch.tensor(given))

    def to_dict(self, descriptor: Tensor) -> dict[str, float]:
        """Component name -> value, of one descriptor (K,)."""
        return dict(zip(self.names, self.check(descriptor).tolist(), strict=True))

    def check(self, descriptor: Tensor) -> Tensor:
        """Returns `descriptor`, (K,) or (B, K), if it is one.

        Raises:
            UserError: wrong number of components, or a value outside [0, 1] or not finite.
        """
        if descriptor.ndim not in (1, 2) or descriptor.shape[-1] != self.size:
            shape = tuple(descriptor.shape)
            raise UserError(f"a descriptor here is ({self.size},) or (B, {self.size}), got {shape}")
        if not bool(((descriptor >= 0) & (descriptor <= 1)).all()):
            raise UserError(f"descriptor components lie in [0, 1], got {descriptor.tolist()}")
        return descriptor

    def sample(self, generator: torch.Generator) -> Tensor:
        """One allowed corner (K,), each equally likely."""
        index = int(torch.randint(len(self.corners), (), generator=generator))
        return self.corners[index]

    def round(self, descriptor: Tensor) -> Tensor:
        """The nearest corner: components at or above 0.5 become 1."""
        return (self.check(descriptor) >= 0.5).to(descriptor.dtype)

    def expand(self, descriptor: Tensor) -> Tensor:
        """Component values (..., K) repeated for every augmentation they govern, (..., A)."""
        sizes = torch.tensor([len(group) for group in self.groups.values()])
        return descriptor.repeat_interleave(sizes.to(descriptor.device), dim=-1)

    def label(self, corner: Tensor) -> str:
        """A short name of a corner: "all", "none", or its active components joined by "+"."""
        active = [name for name, on in zip(self.names, corner.tolist(), strict=True) if on >= 0.5]
        if len(active) == self.size:
            return "all"
        return "+".join(active) or "none"

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to make the same space."""
        groups = {name: list(members) for name, members in self.groups.items()}
        return {"groups": groups, "min_active": self.min_active}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DescriptorSpace:
        """The space that `to_json` described.

        Raises:
            UserError: it is not such a description.
        """
        what = "the description of a descriptor's space"
        fields = checked(value, what, groups=dict, min_active=int)
        checked(fields["groups"], what, **dict.fromkeys(fields["groups"], list))
        if not all(isinstance(name, str) for group in fields["groups"].values() for name in group):
            raise UserError(f"not {what}: the names in its groups are to be texts")
        return cls(fields["groups"], fields["min_active"])

    def _check_names(self, names: Sequence[str] | Mapping[str, float]) -> None:
        unknown = [name for name in names if name not in self.names]
        if unknown:
            told = ", ".join(unknown) or "''"
            near = meant_by(unknown, (*self.names, "all", "none"))
            raise UserError(
                f"unknown component {told}; this space has {', '.join(self.names)}{near}"
            )


def flip(descriptor: Tensor, component: int) -> Tensor:
    """A copy of `descriptor` (K,) with one component k turned into 1 - k."""
    flipped = descriptor.clone()
    flipped[component] = 1 - flipped[component]
    return flipped


def place_of(corners: Tensor, descriptor: Tensor) -> int:
    """Which of `corners` (C, K), on the CPU, `descriptor` (K,) is."""
    return int((corners == descriptor.cpu()).all(1).nonzero()[0])
