"""What several processes send one another at a step: no bases, and nothing left to search for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from audioinv.base.randomness import seeded
from audioinv.core.bases import Bases
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training.config import PretrainConfig
from audioinv.training.objective import make_objective, may_leave_out
from audioinv.training.run import Run
from tests.core.small_pretraining import SIZE, Clips, make_bank, make_encoder, settings

OBJECTIVES = ("simclr", "moco_v2", "moco_v3")
CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "all take part": ({}, False),
    "a head a corner": ({"projector": "per_descriptor"}, True),
}


@pytest.mark.parametrize("name", CASES)
def test_heads_of_other_corners_may_be_left_out(name: str) -> None:
    changed, expected = CASES[name]
    assert may_leave_out(make_encoder(), settings(**changed), None) is expected


def test_of_other_networks_and_losses_nothing_is_known() -> None:
    config, bank = settings(), make_bank()
    encoder = make_encoder()
    assert may_leave_out(encoder, config, lambda encoder, bank: encoder)
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIZE[1] * SIZE[2], 4))
    assert may_leave_out(AmortisedEncoder(encoder.frontend, own, "none", bank.space), config, None)


def steps(fabric: Fabric, folder: Path) -> None:
    """Two steps of every objective without a search for unused parameters; rank r writes what it
    reduced, and its first bases."""
    found = {}
    for objective in OBJECTIVES:
        config = settings(steps=2, batch_size=4, queue_size=8, objective=objective)
        run = make_run(fabric, folder / objective, config)
        ddp: Any = run.model._forward_module
        reduced: list[int] = []
        ddp.register_comm_hook(reduced, count)
        bases = [p.detach().clone() for p in run.method.parameters() if isinstance(p, Bases)]
        for step in run.steps(Clips()):
            step.backward(step.losses(step.views(step.batch())))
            step.descend()
        ours = [p.numel() for p in run.trained if not isinstance(p, Bases)]
        found[objective] = {"reduced": sum(reduced), "ours": 2 * sum(ours), "bases": bases}
    torch.save(found, folder / f"{fabric.global_rank}.pt")


def make_run(fabric: Fabric, folder: Path, config: PretrainConfig) -> Run:
    """Of an encoder whose first weights differ between processes."""
    encoder = make_encoder(fabric.global_rank)
    with seeded(fabric.global_rank, "method"):
        return Run(folder, make_objective(encoder, make_bank(), config, 0), config, fabric, 0)


def count(reduced, bucket):  # type: ignore[no-untyped-def]  # DDP reads annotations
    """What DDP does by itself, and how many numbers it sends."""
    reduced.append(bucket.buffer().numel())
    sent = dist.all_reduce(bucket.buffer() / dist.get_world_size(), async_op=True)
    assert sent is not None
    return sent.get_future().then(lambda done: done.value()[0])


@pytest.mark.distributed
def test_bases_are_not_reduced_and_are_equal_at_first(tmp_path: Path) -> None:
    strategy = DDPStrategy(find_unused_parameters=False, start_method="fork")
    Fabric(accelerator="cpu", devices=2, strategy=strategy).launch(steps, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for objective in OBJECTIVES:
        one, two = first[objective], second[objective]
        assert one["reduced"] == one["ours"] > 0
        assert len(one["bases"]) > 0
        assert all(map(torch.equal, one["bases"], two["bases"]))
