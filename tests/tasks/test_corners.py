"""Corners that are visited, and evidence from features and in closed form."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import AdaptConfig, choose, fit
from audioinv.tasks.corners import TaskEvidence
from audioinv.tasks.evidence import (
    best_noise,
    corner_weights,
    evidence_of_features,
    kernel,
    log_evidence,
)
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.scores import score
from tests.tasks.learning import learn_soft_descriptor

N = 120


def draw(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(0, key))


@pytest.mark.parametrize(("n", "d", "rank"), [(40, 7, 7), (40, 60, 60), (40, 12, 3), (9, 8, 8)])
def test_evidence_of_features_is_that_of_their_kernel(n: int, d: int, rank: int) -> None:
    features = draw(n, rank) @ draw(rank, d, key="mix") if rank < d else draw(n, d)
    for y in (draw(n, 3, key="y").double(), features[:, :1].double()):
        y = y - y.mean(0)
        expected = best_noise(kernel(features.double()), y)[0]
        found = evidence_of_features(features, y)
        assert float(found) == pytest.approx(float(expected), rel=1e-5, abs=1e-3)


def test_the_soft_modes_gradients_are_autograds() -> None:
    """The same 40 steps of Adam, through torch's own derivative of a Cholesky factor."""
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))
    kernels = torch.stack([kernel(draw(30, 6, key=str(k))) for k in range(4)])
    y = draw(30, 2, key="y").double() + draw(30, 6, key="2").double()[:, :2]
    y = y - y.mean(0)

    logits = torch.zeros(2, dtype=y.dtype, requires_grad=True)
    flat = kernels.flatten(1).double()

    def mixed(q: Tensor) -> Tensor:
        return (corner_weights(q, corners) @ flat).view(30, 30)

    noise = best_noise(mixed(logits.detach().sigmoid()), y)[1].clone().requires_grad_()
    optimiser = torch.optim.Adam([logits, noise], lr=0.3)
    for _ in range(15):
        optimiser.zero_grad()
        (-log_evidence(mixed(logits.sigmoid()), y, noise) / 30).backward()
        optimiser.step()
        with torch.no_grad():
            noise.clamp_(min=-7.0)
    q, _ = learn_soft_descriptor(kernels.double(), corners, y, steps=15)
    torch.testing.assert_close(q, logits.detach().sigmoid(), rtol=1e-8, atol=1e-8)
    single = learn_soft_descriptor(kernels, corners, y, steps=15)[0]
    torch.testing.assert_close(single, q, rtol=1e-4, atol=1e-4)


class Task:
    """K components: some hide what the task needs, some remove what disturbs it, some do nothing.

    Args:
        hide, clean: components. pair: two that hide the rest only together.
    """

    def __init__(self, size: int, hide: list[int], clean: list[int], pair: tuple[int, ...] = ()):
        self.space = DescriptorSpace.single([f"a{k}" for k in range(size)])
        self.hide, self.clean, self.pair = hide, clean, pair
        self.labels = torch.randint(4, (N,), generator=generator(0, "labels"))
        self.asked: set[tuple[float, ...]] = set()
        rows = torch.arange(N)
        names = ["a", "b", "c", "d"]
        self.data = Labelled(self.labels, "classification", names, rows[:60], rows[60:80])

    def __call__(self, descriptor: Tensor) -> Tensor:
        self.asked.add(tuple(descriptor.tolist()))
        signal = torch.nn.functional.one_hot(self.labels, 4).float() * 2
        for k in self.hide:
            signal = signal * (1 - 0.6 * descriptor[k])
        if self.pair and all(descriptor[k] == 1 for k in self.pair):
            signal = signal * 0.5
        noise = 1.6 * draw(N, 4, key="noise")
        for k in self.clean:
            noise = noise * (1 - 0.4 * descriptor[k])
        own = 0.1 * draw(N, 4, key=str(descriptor.tolist()))
        return torch.cat([signal + noise + own, draw(N, 6, key="rest")], 1)

    def accuracy(self, mode: str, config: AdaptConfig) -> float:
        mixture = choose(mode, self.space, self, self.data, config)
        readout = fit(mixture, self, self.data, config)
        outputs = readout.scores(mixture.features(self))[80:]
        return score(outputs, self.labels[80:], "classification")


TASKS: list[tuple[list[int], list[int], tuple[int, ...]]] = [
    ([0, 4], [1, 2], ()), ([1], [0, 5, 6], (2, 3)), ([2, 3, 6], [0], (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("hide", "clean", "pair"), TASKS)
def test_steps_find_what_the_full_search_finds(
    hide: list[int], clean: list[int], pair: tuple[int, ...]
) -> None:
    whole, steps = Task(7, hide, clean, pair), Task(7, hide, clean, pair)
    for mode in ("search", "soft"):
        full = whole.accuracy(mode, AdaptConfig(most_corners=128))
        part = steps.accuracy(mode, AdaptConfig())
        assert part >= full - 0.01
    assert len(whole.asked) == 127 and len(steps.asked) <= 29


def test_of_ten_components_at_most_sixty_corners_are_computed() -> None:
    task = Task(10, [0, 7], [2, 9])
    for mode in ("search", "soft"):
        found = choose(mode, task.space, task, task.data, AdaptConfig())
        assert float(found.reported[[0, 7]].max()) < 0.35
        assert float(found.reported[[2, 9]].min()) > 0.5
    assert len(task.asked) <= 60


def test_all_of_32_corners_are_visited_and_only_allowed_ones_of_more() -> None:
    def evidence(size: int, least: int) -> Tensor:
        space = DescriptorSpace.single([f"a{k}" for k in range(size)], least)
        task: Any = Task(size, [0], [])
        return TaskEvidence(space, task, task.data, AdaptConfig(), 0).visit()

    assert torch.equal(evidence(5, 1), DescriptorSpace.single(list("abcde")).corners)
    assert len(evidence(7, 1).unique(dim=0)) == 1 + 7 + 21
    found = evidence(8, 7)
    assert len(found) == 9 == len(found.unique(dim=0)) and float(found.sum(1).min()) == 7


def test_a_number_of_corners_below_nothing_is_refused() -> None:
    task = Task(3, [0], [])
    with pytest.raises(UserError, match=r"adapt\.most_corners.*-1.*0 or more"):
        choose("search", task.space, task, task.data, AdaptConfig(most_corners=-1))


@pytest.mark.parametrize("mode", ["search", "soft"])
def test_features_that_no_descriptor_changes_are_looked_at_once(mode: str) -> None:
    task: Any = Task(7, [0], [])
    task.depends = False
    found = choose(mode, task.space, task, task.data, AdaptConfig())
    assert task.asked == {(1.0,) * 7} and found.descriptors.tolist() == [[1.0] * 7]
