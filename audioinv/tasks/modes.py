"""The modes that choose a descriptor: names, what tables call them, what they learn by.

All that parses, labels or sorts modes asks here. Nothing heavy is imported: reports need no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from audioinv.base.errors import UserError
from audioinv.base.near import meant

FIXED = "fixed:"
_ALIASES = {"search:evidence": "search"}
_DEPTH = ("max_labels", "evidence_steps", "top_corners")
_DESCENT = ("epochs", "batch_size", "lr", "rounding")


@dataclass(frozen=True)
class Mode:
    """A mode that learns, and what rows are called where it learnt.

    Args:
        of_tasks: from a task's own labels. of_episodes: for few-shot episodes. "" where it cannot.
        reads: the keys of `AdaptConfig` by which it learns the descriptor.
    """

    name: str
    of_tasks: str = ""
    of_episodes: str = ""
    reads: tuple[str, ...] = ()

    def label(self, episodes: bool) -> str:
        """What rows are called; "" where the mode cannot learn."""
        return self.of_episodes if episodes else self.of_tasks


LEARNT = {
    mode.name: mode
    for mode in (
        Mode(
            "soft",
            "soft descriptor",
            "soft descriptor of training classes",
            ("top_corners", "max_labels", "most_corners", "evidence_steps"),
        ),
        Mode(
            "search",
            "best corner by evidence",
            "corner by evidence on training classes",
            ("max_labels", "most_corners"),
        ),
        Mode("search:validation", "best corner by validation"),
        Mode(
            "surrogate",
            "learnt by gradient on a surrogate",
            reads=(*_DESCENT, "anchor_clips", "true_steps"),
        ),
        Mode("paper", "learnt by gradient (paper)", reads=_DESCENT),
        Mode("validation", of_episodes="corner by episodes of training classes"),
        Mode("episode", of_episodes="corner by each episode's evidence"),
    )
}
"""In the order in which reports show them."""


def check(name: str, episodes: bool = False) -> str:
    """The mode called `name`, under its first name.

    Args:
        episodes: of few-shot episodes, not of tasks.

    Raises:
        UserError: there is no such mode there.
    """
    name = _ALIASES.get(name, name)
    if corner_of(name) or (name in LEARNT and LEARNT[name].label(episodes)):
        return name
    known = [mode.name for mode in LEARNT.values() if mode.label(episodes)]
    what = "a mode of fewshot.modes" if episodes else "mode"
    near = meant(name, known)
    raise UserError(f"{what} is '{name}'; give {FIXED}CORNER, {', '.join(known)}{near}")


def corner_of(name: str) -> str:
    """The CORNER of fixed:CORNER; "" of other modes."""
    return name.removeprefix(FIXED) if name.startswith(FIXED) else ""


def is_learnt(name: str) -> bool:
    """Whether the mode learns its descriptor from labels."""
    return _ALIASES.get(name, name) in LEARNT


def reads(name: str, layers: str = "last") -> tuple[str, ...]:
    """The keys of `AdaptConfig` by which the mode learns a descriptor, which a corner is not, and
    weighs the levels, where `layers` is depth."""
    own = LEARNT[_ALIASES.get(name, name)].reads if is_learnt(name) else ()
    if layers != "depth":
        return own
    of_levels = (*_DEPTH, "joint") if name == "soft" else _DEPTH
    return (*own, *(key for key in of_levels if key not in own))


def order(name: str) -> int:
    """The place of a mode that learns, in reports."""
    return list(LEARNT).index(_ALIASES.get(name, name))


def label(name: str, episodes: bool = False) -> str:
    """What a table calls a row of the mode, after the method's name; an unknown mode by its own."""
    corner = corner_of(name)
    if corner == "all":
        return "all on"
    if corner.startswith("-"):
        return f"{corner[1:].replace('_', ' ')} off"
    if corner:
        return f"only {corner.replace('_', ' ').replace('+', ', ')}"
    mode = LEARNT.get(_ALIASES.get(name, name), Mode(name))
    return mode.label(episodes) or name
