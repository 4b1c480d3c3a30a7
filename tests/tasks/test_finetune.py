"""Fine-tuning: it learns, chooses by validation alone, and is the same again."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.tasks import finetune as module
from audioinv.tasks.finetune import FinetuneConfig, Finetuned, finetune, predict, validation_value
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.scores import score

N, TRAIN, VALID = 120, torch.arange(60), torch.arange(60, 90)
TEST = torch.arange(90, N)
QUICK = FinetuneConfig(epochs=8, batch_size=16, lr=1e-2)


class Network(nn.Module):
    """A convolution, BatchNorm and an average: all weights can be tuned."""

    dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean((2, 3))


def network() -> Network:
    with seeded(0, "network"):
        return Network().eval().requires_grad_(False)


def task(kind: str = "classification") -> tuple[Tensor, Labelled]:
    """Maps of which some are striped across, some along: as many as each split needs."""
    labels = torch.arange(N) % 2
    stripes = torch.tensor([1.0, -1.0]).repeat(4)
    patterns = torch.stack([stripes[:, None].expand(8, 8), stripes.expand(8, 8)])
    maps = patterns[labels] + 0.5 * torch.randn(N, 8, 8, generator=generator(0, "maps"))
    targets = {
        "classification": labels,
        "multilabel": torch.stack([labels, 1 - labels, torch.ones(N)], 1).float(),
        "regression": labels * 2.0 - 1.0,
    }[kind]
    classes = [] if kind == "regression" else ["a", "b", "c"][: 3 if kind == "multilabel" else 2]
    return maps[:, None], Labelled(targets, kind, classes, TRAIN, VALID)


def accuracy(model: Finetuned, maps: Tensor, data: Labelled, rows: Tensor) -> float:
    return float((predict(model, maps[rows]).argmax(1) == data.targets[rows]).float().mean())


def test_it_learns_what_the_frozen_network_with_a_drawn_head_does_not_know() -> None:
    maps, data = task()
    model = finetune(network(), maps, data, QUICK)
    assert accuracy(model, maps, data, TEST) > 0.9
    assert not model.training


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_other_kinds_of_tasks_are_learnt(kind: str) -> None:
    maps, data = task(kind)
    model = finetune(network(), maps, data, replace(QUICK, epochs=40))
    outputs, targets = predict(model, maps[TEST]), data.targets[TEST]
    if kind == "multilabel":
        assert score(outputs, targets, kind) > 0.9  # 2/3 for any constant: one label is always on
    else:
        assert float((outputs[:, 0] - targets).abs().mean()) < 0.4  # 1 for the best constant


def test_several_values_are_learnt() -> None:
    maps, one = task("regression")
    data = replace(one, targets=torch.stack([one.targets, -one.targets], 1))
    model = finetune(network(), maps, data, replace(QUICK, epochs=40))
    outputs = predict(model, maps[TEST])
    assert outputs.shape == (len(TEST), 2)
    assert float((outputs - data.targets[TEST]).abs().mean()) < 0.4  # 1 for the best constant


def test_the_backbone_that_was_given_stays_as_it_is() -> None:
    given, (maps, data) = network(), task()
    before = copy.deepcopy(given.state_dict())
    model = finetune(given, maps, data, replace(QUICK, epochs=1))
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert not torch.equal(model.backbone.layers[0].weight, before["layers.0.weight"])


def test_test_rows_are_never_seen() -> None:
    maps, data = task()
    first = finetune(network(), maps, data, replace(QUICK, epochs=2)).state_dict()
    maps[TEST] = math.nan
    data.targets[TEST] = 10**6
    second = finetune(network(), maps, data, replace(QUICK, epochs=2)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_epoch_is_the_best_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, data = task()
    values, states = iter([0.4, 0.9, 0.6, 0.9]), []

    def value(model: Finetuned, *_: object) -> float:
        states.append(copy.deepcopy(model.state_dict()))
        return next(values)

    monkeypatch.setattr(module, "validation_value", value)
    model = finetune(network(), maps, data, replace(QUICK, epochs=4))
    assert all(torch.equal(states[1][name], v) for name, v in model.state_dict().items())
    assert not torch.equal(states[1]["head.weight"], states[3]["head.weight"])


def test_without_validation_rows_the_last_epoch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, data = task()
    monkeypatch.setattr(module, "validation_value", None)
    none = replace(data, valid=VALID[:0])
    assert accuracy(finetune(network(), maps, none, QUICK), maps, data, TEST) > 0.9


class Oracle(nn.Module):
    """Gives these outputs, whatever it sees."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_the_validation_value_is_one_for_the_truth(kind: str) -> None:
    maps, data = task(kind)
    truth = data.targets[VALID].float()
    told = {
        "classification": torch.stack([1 - truth, truth], 1),
        "multilabel": truth - 0.5,
        "regression": truth[:, None],
    }[kind]
    assert validation_value(Oracle(told), maps, data) == pytest.approx(1.0)  # type: ignore[arg-type]
    nothing = 0.7 if kind == "multilabel" else 0.1  # one label of three is always on
    assert validation_value(Oracle(-told), maps, data) < nothing  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_network_and_another_another() -> None:
    maps, data = task()
    one, again, other = (
        finetune(network(), maps, data, replace(QUICK, epochs=1), seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"lr": 0.0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    maps, data = task()
    with pytest.raises(UserError, match=r"finetune\.epochs.*0.*1 or more, 2 or more, above 0"):
        finetune(network(), maps, data, replace(QUICK, **wrong))
