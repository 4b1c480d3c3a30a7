"""Feature averaging: streams, keyed draws, active sets and strengths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.averaging import TransformedMaps, mean, running_means

SPACE = DescriptorSpace.single(["add", "noise"])


class Add(Augmentation):
    name = "add"
    parameters = (
        Parameter("amount", "", 1.0, 3.0, 0.0),
        Parameter("mode", "", 0.0, 1.0, -1.0, False, False),
    )

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return x + params[:, :1]


class Noise(Augmentation):
    """Adds a level in dB, so that what is added can be read off."""

    name = "noise"
    parameters = (Parameter("snr_db", "dB", 0.0, 20.0, math.inf),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return x + 100 * 10 ** (-params / 20)


def bank(**options: Any) -> AugmentationBank:
    return AugmentationBank([Add(), Noise()], SPACE, **options)


def views(strength: float = 1.0, draws: int = 4, only: Tensor | None = None) -> TransformedMaps:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(torch.zeros(3, 1), torch.arange(3)), (torch.zeros(2, 1), torch.arange(2))])

    return TransformedMaps(bank(), lambda x: 2 * x, batches, draws, strength, only)


def draws_of(views: Iterable[Iterable[Tensor]]) -> list[Tensor]:
    """Each draw as one tensor."""
    return [torch.cat(list(batches)) for batches in views]


def joined(views: Iterable[Iterable[Tensor]]) -> Tensor:
    return torch.cat(draws_of(views))


def test_a_curve_is_the_means_of_its_beginnings() -> None:
    parts = torch.randn(30, 5, 2, generator=generator(0, "parts"))
    curve = dict(running_means(iter(parts), [30, 1, 10]))
    assert list(curve) == [1, 10, 30]
    for m, value in curve.items():
        torch.testing.assert_close(value, parts[:m].mean(0))
    torch.testing.assert_close(mean(iter(parts)), parts.mean(0))


def test_a_curve_takes_no_part_after_its_end_and_keeps_none() -> None:
    made, alive = 0, 0

    class Counted:
        def __iter__(self) -> Iterator[Tensor]:
            nonlocal made
            for _ in range(100):
                made += 1
                yield torch.full((2,), float(made))

    for m, value in running_means(Counted(), [1, 2, 50]):
        assert value.tolist() == [(m + 1) / 2] * 2
        alive += 1
    assert (made, alive) == (50, 3)


@pytest.mark.parametrize("at", [[], [0, 2], [2, 5]])
def test_a_curve_that_cannot_be_is_refused(at: list[int]) -> None:
    with pytest.raises(UserError):
        list(running_means(torch.zeros(4, 1), at))


def test_the_active_set_is_the_descriptor_s_or_the_only_one() -> None:
    both, alone = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])
    amounts = joined(views()(alone))
    assert float(amounts.min()) >= 2 and float(amounts.max()) <= 6  # 2 x (1 to 3), no noise
    assert float(joined(views()(both)).max()) > 20
    assert torch.equal(joined(views(only=alone)(both)), amounts)
    assert not joined(views()(torch.zeros(2))).any()


def test_a_draw_depends_on_neither_how_many_there_are_nor_the_call() -> None:
    four, again, ten = (draws_of(views(draws=n)(torch.ones(2))) for n in (4, 4, 10))
    assert all(torch.equal(a, b) for a, b in zip(four, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(four, ten[:4], strict=True))
    flat = torch.cat(ten).flatten()
    assert len(flat.unique()) == len(flat) == 50


def test_strength_goes_from_nothing_to_the_draw() -> None:
    corner = torch.tensor([1.0, 0.0])
    whole = joined(views()(corner))
    for strength in (0.0, 0.25, 1.0):
        found = joined(views(strength)(corner))
        torch.testing.assert_close(found, strength * whole)


def test_a_level_with_identity_infinity_goes_as_an_amplitude() -> None:
    """Half the strength adds half the amplitude: 6 dB less."""
    corner = torch.tensor([0.0, 1.0])
    whole, half = (joined(views(s)(corner)) for s in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2)
    rows = torch.tensor([[10.0], [math.inf]])
    assert Noise().at_strength(rows, 0.5).flatten().tolist() == pytest.approx([16.0206, math.inf])
    assert Noise().at_strength(rows, 0.0).flatten().tolist() == [math.inf, math.inf]


def test_modes_stay_and_examples_left_alone_too() -> None:
    rows = torch.tensor([[2.0, 1.0], [0.0, -1.0], [3.0, 0.0]])
    assert Add().at_strength(rows, 0.5).tolist() == [[1.0, 1.0], [0.0, -1.0], [1.5, 0.0]]
    assert Add().at_strength(rows, 1.0) is rows
    assert Add().at_strength(rows, 0.0).tolist() == [[0.0, -1.0]] * 3


@pytest.mark.parametrize("strength", [-0.1, 1.5, math.nan])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(UserError, match=r"features\.strength.*0 .*1 .*bank\.ranges"):
        views(strength)
    with pytest.raises(UserError, match=r"features\.views.*0"):
        views(draws=0)
