"""Resuming: a run that was stopped, killed or damaged ends with the weights of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.signals import Stopped
from audioinv.training.state import checkpoints
from tests.core.small_pretraining import (
    equal,
    interrupt_after,
    logged,
    make_encoder,
    settings,
    train,
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AmortisedEncoder]:
    run = tmp_path_factory.mktemp("whole")
    return run, train(run, settings())


@pytest.mark.parametrize("stop", [2, 6, 8])
def test_a_resumed_run_ends_with_the_same_weights(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder], stop: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(stop))
    torch.rand(7)
    encoder = train(tmp_path, settings(), make_encoder(seed=0 if stop == 2 else 99))
    assert equal(encoder, uninterrupted[1])
    ends = [
        checkpoints(run / "checkpoints")[-1].read_bytes() for run in (tmp_path, uninterrupted[0])
    ]
    assert ends[0] == ends[1]
    fields = ("step", "loss", "lr", "descriptor")
    rows, whole = (
        [[row[f] for f in fields] for row in logged(run)] for run in (tmp_path, uninterrupted[0])
    )
    assert rows == whole


def test_lars_resumes_too(tmp_path: Path) -> None:
    config = settings(optimiser="lars", lr=0.1, projector="per_descriptor")
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)


def test_dropout_resumes_too(tmp_path: Path) -> None:
    """What is left out is drawn anew at each step, and does not hang on the draws before it."""
    config = settings(dropout=0.3)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    torch.rand(7)
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)
    assert not equal(train(tmp_path / "none", settings()), whole)


@pytest.mark.parametrize("changed", [{"projector": "parameters"}, {"predict": "embeddings"}])
def test_what_is_told_of_views_resumes_too(tmp_path: Path, changed: dict[str, Any]) -> None:
    config = settings(**changed)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)
    assert not equal(train(tmp_path / "simclr", settings()), whole)


MOCO: list[dict[str, Any]] = [
    {"objective": "moco_v2", "queue_size": 16, "momentum": 0.8, "projector": "per_descriptor"},
    {"objective": "moco_v3", "momentum": 0.8, "projector_layers": 3},
]


@pytest.mark.parametrize("changed", MOCO, ids=lambda changed: changed["objective"])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_momentum_contrast_resumes_too(
    tmp_path: Path, changed: dict[str, Any], optimiser: str
) -> None:
    """Weights, copy, queues and statistics: the last checkpoints are equal throughout."""
    config = settings(optimiser=optimiser, lr=0.01, **changed)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", config, progress=interrupt_after(6))
    assert equal(train(tmp_path / "run", config, make_encoder(99)), whole)
    one, two = (
        torch.load(checkpoints(tmp_path / run / "checkpoints")[-1], weights_only=True)["model"]
        for run in ("whole", "run")
    )
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    if changed["objective"] == "moco_v2":
        assert one["queue.keys"].shape == (3, 16, 8)
        assert int(one["statistics.visits"].sum()) == 9
    assert not equal(make_encoder(), whole)


def test_a_damaged_newest_checkpoint_costs_only_time(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(8))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(), progress=interrupt_after(9))
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:500])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "lo')  # killed within a line
    assert equal(train(tmp_path, settings(), make_encoder(99)), uninterrupted[1])
    assert [row["step"] for row in logged(tmp_path)] == [2, 4, 6, 8, 9]


def test_a_finished_run_trains_no_more(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    train(tmp_path, settings())
    steps: list[int] = []
    again = train(
        tmp_path, settings(), make_encoder(99), progress=lambda *row: steps.append(row[0])
    )
    assert steps == [] and equal(again, uninterrupted[1])


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, settings(steps=1))
    with pytest.raises(UserError, match=r"step_00000001\.pt is of another model"):
        train(tmp_path, settings(projector_dim=4))


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_and_resumes(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    steps: list[int] = []
    with pytest.raises(Stopped, match="after step 5 of 9"):
        train(
            tmp_path, settings(), progress=lambda *row: steps.append(row[0]),
            stop=lambda: len(steps) == 4,
        )  # fmt: skip
    assert checkpoints(tmp_path / "checkpoints")[-1].name == "step_00000005.pt"
    encoder = train(tmp_path, settings(), make_encoder(99))
    assert equal(encoder, uninterrupted[1])
    assert [row["step"] for row in logged(tmp_path)] == [2, 4, 6, 8, 9]


def test_a_stop_at_the_end_changes_nothing(
    tmp_path: Path, uninterrupted: tuple[Path, AmortisedEncoder]
) -> None:
    steps: list[int] = []
    encoder = train(
        tmp_path, settings(), progress=lambda *row: steps.append(row[0]),
        stop=lambda: len(steps) == 8,
    )  # fmt: skip
    assert equal(encoder, uninterrupted[1])


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path: Path) -> None:
    train(tmp_path, settings(checkpoint_every=1, keep_checkpoints=4))
    names = [path.name for path in checkpoints(tmp_path / "checkpoints")]
    assert names == [f"step_{step:08d}.pt" for step in (6, 7, 8, 9)]
