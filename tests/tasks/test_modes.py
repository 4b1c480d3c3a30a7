"""One list of modes: what is parsed, labelled, shown and learnt agrees."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.commands.evaluate import row_label
from audioinv.tasks import modes
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import learn
from audioinv.tasks.settings.adapt import AdaptConfig
from tests.core.small_encoder import small_encoder, small_maps


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


class Noted:
    """Settings of adaptation that note which of them are read."""

    def __init__(self, **given: Any) -> None:
        self.values = {**vars(AdaptConfig()), **given}
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return self.values[name]


@pytest.mark.parametrize(
    "mode", ["fixed:all", *(m.name for m in modes.LEARNT.values() if m.of_tasks)]
)
@pytest.mark.parametrize("layers", ["last", "depth"])
def test_a_mode_reads_what_it_says(mode: str, layers: str) -> None:
    """By this it is known what an adaptation was made with."""
    cache = FeatureCache(small_encoder(), small_maps(24), layers)
    rows = torch.arange(24)
    data = Labelled(rows % 2, "classification", ["-", "+"], rows[:16], rows[16:])
    settings: Any = Noted(epochs=2, anchor_clips=12, true_steps=1, evidence_steps=1)
    learn(cache.encoder, cache, [data], mode, settings)
    assert settings.read - {"labels_per_class", "readout", "l2"} == set(modes.reads(mode, layers))


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, audioinv.tasks.modes; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "False\n"
