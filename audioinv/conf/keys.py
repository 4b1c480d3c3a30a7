"""The keys of a schema, and what each means: the Args of its dataclasses' docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

TEXTS = ("str", "str | None")


@dataclass(frozen=True)
class Key:
    """One key.

    Args:
        name: dotted, such as pretrain.steps. meaning: in words, "" if its dataclass says none.
        default: of the schema, which groups and experiments may change.
        is_open: whether it is a dictionary, to which any names can be added.
        is_text: whether its value is one, or null.
    """

    name: str
    meaning: str
    default: Any
    is_open: bool
    is_text: bool


def keys_of(schema: type[Any]) -> dict[str, Key]:
    """Dotted name -> key, of every key in a dataclass and in those inside it, in their order."""
    return {key.name: key for key in _walk(schema(), "")}


def _walk(config: Any, prefix: str) -> Iterator[Key]:
    told = meanings(type(config))
    for item in fields(config):
        name, value = f"{prefix}{item.name}", getattr(config, item.name)
        if is_dataclass(value):
            yield from _walk(value, f"{name}.")
        else:
            kind, meaning = str(item.type), told.get(item.name, "")
            yield Key(name, meaning, value, kind.startswith("dict["), kind in TEXTS)


def meanings(kind: type[Any]) -> dict[str, str]:
    """Field -> what the Args of a dataclass's docstring, or else of one it inherits from, say.

    They are written as "name: meaning. other, another: meaning of both."
    """
    known = "|".join(item.name for item in fields(kind))
    begin = re.compile(rf"(?:^|(?<=[.;] ))((?:{known})(?:, (?:{known}))*): ")
    told: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        _, _, after = inspect.cleandoc(owner.__dict__.get("__doc__") or "").partition("\nArgs:\n")
        section = " ".join(re.split(r"\n(?=\S)", after)[0].split())
        _, *pairs = begin.split(section)
        for names, meaning in zip(pairs[::2], pairs[1::2], strict=True):
            told |= dict.fromkeys(names.split(", "), meaning.strip().rstrip(".;"))
    return told
