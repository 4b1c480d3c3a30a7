"""Strategies that damage what is whole: bytes, and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Case = tuple[st.SearchStrategy[Any], Callable[[Any], None]]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` after one to four blows, most of them to its head."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        head = min(len(data), 120)
        at = draw(st.one_of(st.integers(0, head), st.integers(0, len(data))))
        blow = draw(st.sampled_from(["set", "cut", "insert", "number", "double"]))
        if blow == "cut":
            del data[at : at + draw(st.sampled_from([1, 2, 7, 100, len(data)]))]
        elif blow == "double":
            data[at:at] = data[at : at + 64]
        else:
            some = st.binary(min_size=1, max_size=8)
            large = st.sampled_from(
                [b"\xff" * 4, b"\x00" * 8, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80"]
            )
            new = draw(large if blow == "number" else some)
            data[at : at + len(new) * (blow != "insert")] = new
    return bytes(data)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 70), st.floats(-1e3, 1e3), st.just(math.nan),
    st.sampled_from(["", "all", "hyper", "resnet18", "../x", "\x00", "a\nb"]),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """JSON in which one node is another, is missing, or has a new neighbour."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        copy = dict(value)
        what = draw(st.integers(0, 7))
        if what == 0:
            del copy[key]
        elif what == 1:
            copy[draw(st.text(max_size=4))] = draw(SCALARS)
        else:
            copy[key] = draw(altered(value[key]))
        return copy
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(altered(value[at])), *value[at + 1 :]]
    return draw(VALUES)
