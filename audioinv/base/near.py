"""What was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from inspect import signature

from audioinv.base.errors import UserError


def meant(word: str, known: Iterable[str]) -> str:
    """The name nearest to a mistyped word, as a question in brackets; "" where none is near."""
    names = {name.lower(): name for name in known}
    lower = word.lower()
    near = get_close_matches(lower, names, n=1, cutoff=0.8)
    near += [name for name in names if sorted(name) == sorted(lower)]  # "cup" for "cpu"
    return f" (did you mean {names[near[0]]}?)" if near else ""


def meant_by(words: Iterable[str], known: Iterable[str]) -> str:
    """As `meant`, of several words."""
    names = list(known)
    return "".join(meant(str(word), names) for word in words)


def unknown(what: str, value: object, known: Iterable[object]) -> UserError:
    """The error that says what may be given, and which of it was probably meant."""
    names = [str(name) for name in known]
    few = " or ".join(names) if len(names) < 3 else f"one of {', '.join(names)}"
    return UserError(f"{what} is '{value}'; give {few}{meant(str(value), names)}")


def check_options(what: str, takes: Callable[..., object], given: Iterable[str]) -> None:
    """Raises a UserError for options that a function or class does not take by name."""
    parameters = signature(takes).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return
    if odd := [name for name in given if name not in parameters]:
        known = ", ".join(parameters)
        near = meant_by(odd, parameters)
        raise UserError(f"{what} takes no {', '.join(odd)}{near}; it takes {known}")
