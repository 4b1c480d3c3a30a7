"""Parameterised augmentations and the bank that makes views of a batch under a descriptor."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol, Self

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import meant, unknown
from audioinv.core.augmentation import Augmentation
from audioinv.core.descriptor import DescriptorSpace

ALL = slice(None)
EVERY = "every"
"""In a bank's `probabilities`: every corner that does not say otherwise."""
ACTING = ("independent", "shared_uniform")
ORDERS = ("bank", "random")
INACTIVE = ("identity", "shared")

Rows = slice | Tensor
"""Which rows of a batch: a slice, or their numbers (B,), where some are shown twice."""
Views = tuple[Tensor, ...]
"""View 1 and view 2 of a batch; a loss may want the batch as it was beside them."""
ViewParameters = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Of both views: augmentation name -> (B, P)."""


class AugmentationBank:
    """The augmentations of a space, applied in the bank's order or in a clip's own.

        gain = ai.Parameter("gain", "factor", low=0.5, high=2.0, identity=1.0)
        bank = ai.Bank([ai.augmentation(lambda x, params: x * params, [gain], name="gain")])
        views, params = bank.views(x, bank.space.all_on(), torch.Generator().manual_seed(0))

    Args:
        augmentations: in the order in which they are applied.
        space: says which component of a descriptor switches which augmentation; None gives each a
            component of its own.
        inactive: what two views of a clip do with an augmentation whose component is 0.
            "identity" leaves both alone (the paper). "shared" gives both the same parameters, so
            the factor varies between clips and not between views: a cue that the encoder may use.
        probability: with which an active augmentation acts on an example of a view. Below 1, views
            with and without it meet, so the encoder also learns that a clean clip equals its
            augmented self.
        probabilities: the probabilities that differ from `probability` at some corners: label of
            the corner (as `DescriptorSpace.label` gives it), or "every" for all that do not say
            otherwise -> augmentation -> probability, 0 to 1.
        acting: which of the active augmentations act on an example. "independent" draws each for
            each view, by its probability. "shared_uniform" draws a set that both views of a clip
            share, of 1 up to all of the active ones, every size equally likely (MT-SLVR: Heggan et
            al., Interspeech 2023, released code).
        order: "bank" applies them as they are listed; "random" in an order drawn for each clip,
            alike in both views (MT-SLVR).

    Raises:
        UserError: bank and space do not name the same augmentations, an unknown `inactive`,
            `acting` or `order`, a probability out of range, one for a corner or augmentation that
            it cannot concern, or one beside "shared_uniform".
    """

    def __init__(
        self,
        augmentations: Sequence[Augmentation],
        space: DescriptorSpace | None = None,
        inactive: str = "identity",
        probability: float = 1.0,
        probabilities: Mapping[str, Mapping[str, float]] | None = None,
        acting: str = "independent",
        order: str = "bank",
    ) -> None:
        self.augmentations = {augmentation.name: augmentation for augmentation in augmentations}
        if space is None:
            space = DescriptorSpace.single([a.name for a in augmentations])
        if sorted(a.name for a in augmentations) != sorted(space.augmentations):
            raise UserError(
                f"the bank has {sorted(self.augmentations)}, "
                f"the descriptor space {sorted(space.augmentations)}; they must agree"
            )
        if inactive not in INACTIVE:
            raise unknown("inactive", inactive, INACTIVE)
        if not 0 < probability <= 1:
            raise UserError(f"probability is {probability}; give a value in (0, 1]")
        _check_acting(acting, order, probability < 1 or bool(probabilities))
        self.joint = _joint(augmentations)
        self.space = space
        self.inactive = inactive
        self.probability = probability
        self.probabilities = probabilities or {}
        self.acting = acting
        self.order = order
        for label, own in self.probabilities.items():
            _check_probabilities(space, label, own)

    twins = 0.0
    """Of a batch's rows, the fraction that are twins; see `with_twins`."""

    def with_twins(self, fraction: float) -> Self:
        """A bank that shows a fraction of the clips of a batch twice where a component is off.

        The last rows of the batch then are the clips of its first rows once more: twins. Both views
        of a twin act as those of the clip it repeats in all that is on, and have parameters of
        their own in all that is off and shared. A contrast takes them for negatives, which only
        what is off tells from the clips they repeat. All-on has no twins: they would differ in
        nothing, as a twin does whose draw happens to be that of its clip (of a flip, half of them).

        Args:
            fraction: 0 to .5; 0 is off.

        Raises:
            UserError: a fraction out of range, or a bank in which nothing that is off differs.
        """
        if not 0 <= fraction <= 0.5:
            raise UserError(f"twins is {fraction}; give a fraction of a batch from 0, off, to 0.5")
        if fraction and self.inactive != "shared":
            raise UserError(
                f"twins is {fraction} and the bank's inactive is {self.inactive}: twins would "
                "differ in nothing; give inactive=shared, or twins=0"
            )
        bank = copy.copy(self)
        bank.twins = fraction
        return bank

    def twins_of(self, n: int, corner: Tensor) -> int:
        """How many of `n` rows are twins at a corner (K,)."""
        return min(round(self.twins * n), n // 2) if bool((corner < 0.5).any()) else 0

    def sample(self, n: int, descriptor: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one view of `n` examples under `descriptor`, (K,) or (n, K).

        Returns:
            Augmentation name -> (n, P). Components below 0.5 give identity rows, and so do the
            examples that `probability` or `acting` leaves out.
        """
        return self._drawn(n, descriptor, generator, self._allowed(n, descriptor, generator))

    def _drawn(
        self, n: int, descriptor: Tensor, generator: torch.Generator, allowed: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        chance = self._chance(n, descriptor)
        params = {}
        for name, augmentation in self.augmentations.items():
            acts = allowed[name] & (torch.rand(n, 1, generator=generator) < chance[name])
            drawn = augmentation.sample(n, generator)
            params[name] = torch.where(acts, drawn, augmentation.identity(n))
        return params

    def _allowed(self, n: int, descriptor: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Augmentation name -> (n, 1) bool: the active ones, or the set of them that was drawn."""
        active = self.active(n, descriptor)
        if self.acting == "independent":
            return active
        chosen = uniform_subsets(torch.cat(list(active.values()), 1), generator)
        return dict(zip(active, chosen.split(1, dim=1), strict=True))

    def sample_pair(self, n: int, descriptor: Tensor, generator: torch.Generator) -> ViewParameters:
        """Parameters of two views; inactive augmentations follow the bank's `inactive` rule."""
        allowed = self._allowed(n, descriptor, generator)
        first = self._drawn(n, descriptor, generator, allowed)
        second = self._drawn(n, descriptor, generator, allowed)
        if self.inactive == "shared":
            active = self.active(n, descriptor)
            for name, augmentation in self.augmentations.items():
                common = augmentation.sample(n, generator)
                first[name] = torch.where(active[name], first[name], common)
                second[name] = torch.where(active[name], second[name], common)
        if twins := self.twins_of(n, descriptor):
            rows, active = shown_rows(n, twins), self.active(n, descriptor)
            for view in (first, second):
                for name, drawn in view.items():
                    view[name] = torch.where(active[name], drawn[rows], drawn)
        return first, second

    def at_strength(self, params: dict[str, Tensor], strength: float) -> dict[str, Tensor]:
        """`params`, name -> (n, P), at a strength from 0, the identity, to 1, as they are."""
        return {
            name: self.augmentations[name].at_strength(rows, strength)
            for name, rows in params.items()
        }

    def sample_order(self, n: int, generator: torch.Generator, descriptor: Tensor) -> Tensor | None:
        """The place (n, A) of every augmentation on each of `n` examples; None is the bank's."""
        if self.order == "bank":
            return None
        places = torch.rand(n, len(self.augmentations), generator=generator).argsort(1)
        return places[shown_rows(n, self.twins_of(n, descriptor))]

    def plain(self, x: Tensor) -> Tensor:
        """`x` (B, ...) as a view in which nothing acts."""
        return self.apply(x, {name: a.identity(len(x)) for name, a in self.augmentations.items()})

    def apply(self, x: Tensor, params: dict[str, Tensor], order: Tensor | None = None) -> Tensor:
        """Runs every augmentation, in order, on the examples whose parameters are not identity.

        Args:
            x: (B, ...). params: as returned by `sample`. order: as returned by `sample_order`.
        """
        passes = self._passes(params) if order is None else self._ordered_passes(params, order)
        for augmentation, own, acts in passes:
            rows = acts.nonzero().flatten()
            if len(rows):
                x = apply_to_rows(augmentation, x, own, rows)
        return x

    def _passes(self, params: dict[str, Tensor]) -> Iterator[tuple[Augmentation, Tensor, Tensor]]:
        """What to apply, with which parameters (B, P), and to which examples (B,), in order."""
        acts = self._acts(params)
        for name, augmentation in self.augmentations.items():
            if name in self.joint:
                following, joint = self.joint[name]
                both = acts[name] & acts[following]
                yield joint, _beside(params[name], params[following]), both
                acts[name], acts[following] = acts[name] & ~both, acts[following] & ~both
            yield augmentation, params[name], acts[name]

    def _ordered_passes(
        self, params: dict[str, Tensor], order: Tensor
    ) -> Iterator[tuple[Augmentation, Tensor, Tensor]]:
        """As `_passes`, the augmentations in their `order` (B, A) on each example."""
        acts = self._acts(params)
        for place in range(order.shape[1]):
            for k, (name, augmentation) in enumerate(self.augmentations.items()):
                yield augmentation, params[name], acts[name] & (order[:, k].cpu() == place)

    def _acts(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
        """Augmentation name -> (B,) bool on the CPU: the examples that it changes."""
        return {name: a.acts(params[name]).cpu() for name, a in self.augmentations.items()}

    def views(
        self,
        x: Tensor,
        descriptor: Tensor,
        generator: torch.Generator,
        tracked: Sequence[str] = (),
        total: int | None = None,
        own: slice = ALL,
    ) -> tuple[Views, ViewParameters]:
        """Two views of `x` (B, ...) under `descriptor`, (K,) or (B, K), and how they are made.

        Args:
            total, own: `x` are the rows `own` of a batch of `total`, for all of which is drawn.
            tracked: augmentations whose parameters in view 1, then on the device of `x`, require a
                gradient: view 1 keeps its graph, even where gradients are turned off.
        """
        drawn = self.sample_pair(total or len(x), descriptor, generator)
        places = self.sample_order(total or len(x), generator, descriptor)
        order = None if places is None else places[own]
        first, second = ({name: p[own] for name, p in view.items()} for view in drawn)
        first |= {name: first[name].to(x.device).requires_grad_() for name in tracked}
        with torch.set_grad_enabled(torch.is_grad_enabled() or len(tracked) > 0):
            view = self.apply(x, first, order)
        return (view, self.apply(x, second, order)), (first, second)

    def active(self, n: int, descriptor: Tensor) -> dict[str, Tensor]:
        """Augmentation name -> (n, 1) bool: whether `descriptor`, (K,) or (n, K), turns it on."""
        bits = self.space.expand(self.space.check(descriptor.cpu())).expand(n, -1) >= 0.5
        return {name: bits[:, k, None] for k, name in enumerate(self.space.augmentations)}

    def _chance(self, n: int, descriptor: Tensor) -> dict[str, Tensor]:
        """Augmentation name -> (n, 1), the probability with which it acts if it is active."""
        usual = self.probabilities.get(EVERY, {})
        chance = {
            name: torch.full((n, 1), usual.get(name, self.probability))
            for name in self.augmentations
        }
        corners = self.space.round(descriptor.cpu()).expand(n, -1)
        for label, own in self.probabilities.items():
            if label == EVERY:
                continue
            here = (corners == self.space.parse(label)).all(1)
            for name, probability in own.items():
                chance[name][here] = probability
        return chance


def _beside(first: Tensor, second: Tensor) -> Tensor:
    """Parameters (B, P) and (B, Q) side by side, off the CPU if either is."""
    device = second.device if first.device.type == "cpu" else first.device
    return torch.cat([first.to(device), second.to(device)], 1)


def _joint(augmentations: Sequence[Augmentation]) -> dict[str, tuple[str, Augmentation]]:
    """Name -> the name of the augmentation that follows, and the one that does both at once."""
    found = {}
    for first, second in pairwise(augmentations):
        joint = first.joined(second)
        if joint is not None:
            found[first.name] = second.name, joint
    return found


def uniform_subsets(active: Tensor, generator: torch.Generator) -> Tensor:
    """A set of the `active` (n, A) augmentations for each of n examples, (n, A) bool.

    Its size is uniform on 1 up to all of them, and sets of a size are equally likely. Where none is
    active it is empty.
    """
    keys = torch.rand(active.shape, generator=generator).masked_fill(~active, -1)
    rank = keys.argsort(1, descending=True).argsort(1)
    size = torch.rand(len(active), 1, generator=generator) * active.sum(1, keepdim=True)
    return active & (rank <= size)


def _check_acting(acting: str, order: str, has_probabilities: bool) -> None:
    if acting not in ACTING:
        raise unknown("acting", acting, ACTING)
    if order not in ORDERS:
        raise unknown("order", order, ORDERS)
    if acting == "shared_uniform" and has_probabilities:
        raise UserError(
            "acting=shared_uniform says how many augmentations act; give probability 1 and no "
            "probabilities, or acting=independent"
        )


def _check_probabilities(space: DescriptorSpace, label: str, own: Mapping[str, float]) -> None:
    corner = space.all_on() if label == EVERY else space.parse(label)
    if label not in (EVERY, space.label(corner)):
        raise UserError(f"probabilities has a corner '{label}'; it is called {space.label(corner)}")
    bits = space.expand(corner).tolist()
    active = [name for name, bit in zip(space.augmentations, bits, strict=True) if bit]
    for name, probability in own.items():
        if name not in active:
            near = meant(name, active)
            raise UserError(f"probabilities of {label} name {name}; active there: {active}{near}")
        if not 0 <= probability <= 1:
            raise UserError(f"probability of {name} at {label} is {probability}; give 0 to 1")


def apply_to_rows(augmentation: Augmentation, x: Tensor, params: Tensor, rows: Tensor) -> Tensor:
    """`x` (B, ...) with `augmentation` applied to the examples `rows` (R,) by `params` (B, P)."""
    device = params.device if augmentation.sized else x.device
    if len(rows) == len(x):
        return augmentation.apply(x, params.to(device))
    on_device = rows.to(x.device)
    changed = augmentation.apply(x[on_device], params[rows].to(device))
    return x.index_copy(0, on_device, changed)


def shown_rows(n: int, twins: int) -> Tensor:
    """Which of `n` clips each of `n` rows shows, (n,): its own, but the last ones the first."""
    rows = torch.arange(n)
    rows[n - twins :] = torch.arange(twins)
    return rows


class ClipSource(Protocol):
    """Training examples: how many, and a batch of them by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: torch.Generator, own: Rows = ALL) -> Tensor:
        """The examples (B, ...) at `indices[own]`; `generator` decides crops.

        It is drawn from for all of `indices`, so that a clip's crop does not depend on how many
        processes share a batch. A row that `own` has twice is the same crop twice.
        """
        ...
