"""JSON that others wrote, looked at before it is used."""

from __future__ import annotations

from typing import Any

from audioinv.base.errors import UserError


def checked(value: Any, what: str, /, **types: type | tuple[type, ...]) -> dict[str, Any]:
    """`value`, if it is a JSON object that has these fields, each of its type.

    Args:
        what: it should be, for messages: "the description of a corpus".

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, dict):
        raise UserError(f"not {what}: it is {_shown(value)}, an object is needed")
    for name, kind in types.items():
        if name not in value:
            raise UserError(f"not {what}: '{name}' is missing")
        found = value[name]
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(one.__name__ for one in kinds)
            raise UserError(f"not {what}: '{name}' is {_shown(found)}, {wanted} is needed")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
