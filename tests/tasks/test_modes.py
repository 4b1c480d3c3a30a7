"""One list of modes: what is parsed, labelled, shown and learnt agrees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audioinv.base.errors import UserError
from audioinv.commands.evaluate import row_label
from audioinv.tasks import modes


@pytest.mark.parametrize("name", [*modes.LEARNT, "search:evidence"])
def test_every_mode_that_learns_is_parsed_labelled_and_sorted(name: str) -> None:
    assert modes.is_learnt(name) and modes.order(name) >= 0 and not modes.corner_of(name)
    offered = []
    for episodes in (False, True):
        try:
            parsed = modes.check(name, episodes)
        except UserError as error:
            assert f"is '{name}'; give fixed:CORNER, soft, search" in str(error)
            continue
        offered.append(episodes)
        assert modes.label(parsed, episodes) == modes.label(name, episodes) != name
    assert offered


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("fixed:all", "all on"),
        ("fixed:-pitch_shift", "pitch shift off"),
        ("fixed:fade+time_shift", "only fade, time shift"),
    ],
)
def test_corners_are_parsed_and_labelled_but_not_learnt(name: str, label: str) -> None:
    for episodes in (False, True):
        assert modes.check(name, episodes) == name
        assert modes.label(name, episodes) == label
    assert not modes.is_learnt(name)
    assert row_label("amortised", name) == f"Amortised, {label}"


@pytest.mark.parametrize("name", ["", "fixed", "fixed:", "sort", "search:test", "soft:er"])
def test_unknown_modes_are_explained(name: str) -> None:
    with pytest.raises(UserError, match=rf"'{name}'.*fixed:CORNER, soft, search"):
        modes.check(name)
    with pytest.raises(UserError, match=rf"fewshot\.modes.*'{name}'.*validation, episode"):
        modes.check(name, episodes=True)
    assert not modes.is_learnt(name) and modes.label(name) == name


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, audioinv.tasks.modes; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "False\n"
