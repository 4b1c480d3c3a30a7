"""What the banks of all modalities share: building one from names, range checks, exact identity."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.near import meant, meant_by
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace


def build_bank(
    kinds: Mapping[str, type[Augmentation]],
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    min_active: int = 1,
    inactive: str = "identity",
    probability: float = 1.0,
    probabilities: Mapping[str, Mapping[str, float]] | None = None,
    ranges: Mapping[str, Mapping[str, float]] | None = None,
    acting: str = "independent",
    order: str = "bank",
    extra: Sequence[Augmentation] = (),
    common: Mapping[str, Any] | None = None,
) -> AugmentationBank:
    """A bank of some of `kinds`, and the descriptor space over them.

    Args:
        kinds: name -> class, in the order in which they are applied.
        names: which of `kinds`; by default those in `groups`, or all. Whatever order they are
            given in, they run in the order of `kinds`.
        groups: component -> names of the augmentations it switches; by default every augmentation
            is a component of its own.
        min_active: the fewest components that are 1 in a corner drawn for pre-training.
        inactive, probability, probabilities, acting, order: see `AugmentationBank`.
        ranges: name -> arguments of its constructor.
        extra: further augmentations, already built, that run last.
        common: arguments for every constructor that has them; `ranges` may not set them.

    Raises:
        UserError: an unknown name or option, or groups that do not cover the names.
    """
    ranges, common = ranges or {}, common or {}
    others = [augmentation.name for augmentation in extra]
    chosen = _choose(kinds, names, groups, others)
    _check_called_once(chosen, others)
    _check_groups(groups, [*chosen, *others])
    _check_known(ranges, chosen, "ranges")
    built = [_build(kinds[name], common, ranges.get(name, {})) for name in chosen] + list(extra)
    if groups is None:
        space = DescriptorSpace.single([a.name for a in built], min_active)
    else:
        space = DescriptorSpace({k: tuple(v) for k, v in groups.items()}, min_active)
    return AugmentationBank(built, space, inactive, probability, probabilities, acting, order)


def default(
    kinds: Mapping[str, type[Augmentation]], name: str, common: Mapping[str, Any] | None = None
) -> Augmentation:
    """The augmentation `name` of `kinds` at its default ranges, as a task over it has it.

    Raises:
        UserError: there is none of that name.
    """
    if name not in kinds:
        near = meant(name, kinds)
        raise UserError(f"there is no augmentation {name}; tasks may be over {list(kinds)}{near}")
    return _build(kinds[name], common or {}, {})


def _choose(
    kinds: Mapping[str, type[Augmentation]],
    names: Sequence[str] | None,
    groups: Mapping[str, Sequence[str]] | None,
    extra: Sequence[str],
) -> list[str]:
    """The names to build, in the order of `kinds`."""
    if groups is not None:
        members = [name for group in groups.values() for name in group]
        _check_known(members, [*kinds, *extra], "groups")
        names = names or [name for name in members if name not in extra]
    names = list(kinds) if names is None else names
    _check_known(names, list(kinds), "names")
    return [name for name in kinds if name in names]


def _check_called_once(names: Sequence[str], others: Sequence[str]) -> None:
    every = [*names, *others]
    if twice := sorted({name for name in others if every.count(name) > 1}):
        kept = ",".join(name for name in names if name not in twice)
        ours = f", ours by bank.names=[{kept}]" if kept and kept != ",".join(names) else ""
        raise UserError(f"two augmentations are called {', '.join(twice)}; leave one out{ours}")


def _check_groups(groups: Mapping[str, Sequence[str]] | None, names: Sequence[str]) -> None:
    """Refuses components that nobody could name, that do nothing, or that leave a name out."""
    if groups is None:
        return
    example = "such as bank.groups={pitch:[pitch_shift],noise:[white_noise]}"
    for component, members in groups.items():
        if component in ("all", "none", "") or component.startswith("-") or "+" in component:
            raise UserError(
                f"a component is called '{component}', which descriptors mean otherwise; give a "
                f"name without + and -, {example}"
            )
        if not members:
            raise UserError(
                f"component {component} switches nothing; name augmentations, {example}"
            )
    members = [name for group in groups.values() for name in group]
    if groups and (alone := [name for name in names if name not in members]):
        raise UserError(
            f"bank.groups leaves out {', '.join(alone)}, which the bank has; put each name into a "
            "group, or leave it out of bank.names"
        )
    if members and (gone := [name for name in members if name not in names]):
        raise UserError(f"bank.groups has {', '.join(gone)}, which bank.names leaves out; add it")


def _check_known(
    names: Sequence[str] | Mapping[str, Any], known: Sequence[str], where: str
) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        told = f"unknown augmentation {', '.join(unknown)} in {where}; give {list(known)}"
        raise UserError(f"{told}{meant_by(unknown, known)}")


def _build(
    kind: type[Augmentation], common: Mapping[str, Any], options: Mapping[str, float]
) -> Augmentation:
    accepted = set(inspect.signature(kind).parameters)
    allowed = accepted - set(common)
    unknown = sorted(set(options) - allowed)
    if unknown:
        raise UserError(
            f"unknown option {', '.join(unknown)} of {kind.name}; give {', '.join(sorted(allowed))}"
            f"{meant_by(unknown, allowed)}"
        )
    given = {name: value for name, value in common.items() if name in accepted}
    return kind(**given, **options)
