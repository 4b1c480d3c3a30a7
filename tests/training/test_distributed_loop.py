"""The whole pre-training loop on two gloo processes against one with the joined batch, in float64.

Everything that must not depend on the number of processes is compared at every one of 20 steps:
the loss, the gradient of every parameter; and at the end weights, copies, queues and statistics.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank
from audioinv.core.bases import Bases, joined
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.training import loop, run
from audioinv.training.loop import PretrainConfig, pretrain
from audioinv.training.processes import SynchronisedNorm, gather, synchronise_norms
from tests.core.plain_frontend import PlainFrontend
from tests.core.small_pretraining import SIZE

pytestmark = pytest.mark.distributed
STEPS = 20
SEED = 1  # at its first step two processes draw different corners
SMALL: dict[str, Any] = {
    "steps": STEPS, "warmup_steps": 2, "checkpoint_every": STEPS, "log_every": 1, "lr": 0.003,
    "optimiser": "sgd", "projector_hidden": 12, "projector_dim": 6, "temperature": 0.5,
    "sync_batch_norm": True, "momentum": 0.8,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "simclr": {},
    "simclr, a head a corner, adamw": {
        "projector": "per_descriptor", "optimiser": "adamw", "lr": 1e-3,
    },
    "simclr, accumulated and clipped": {
        "accumulate": 2, "clip_gradient": 0.1, "ema": 0.9, "optimiser": "adamw", "lr": 1e-3,
    },
    "simclr, predicting": {"predict": "differences", "predict_weight": 2.0},
    "simclr, told": {"projector": "parameters"},
    "simclr, predicting embeddings": {"predict": "embeddings"},
    "moco_v2": {"objective": "moco_v2", "queue_size": 16},
    "moco_v3": {"objective": "moco_v3", "projector_layers": 3, "lr": 3e-4},
    "simclr, twins": {"twins": 0.25},
    "simclr, groups": {"groups": 2, "projector": "per_descriptor", "optimiser": "adamw"},
    "moco_v2, twins": {"twins": 0.5, "objective": "moco_v2", "queue_size": 16},
}  # fmt: skip


class Gain(Augmentation):
    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters = (Parameter("gain", "", 0.3, 2.0, 1.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        return torch.tanh(x * params[:, :, None, None].to(x.dtype))


class Clips:
    """26 maps: an epoch of batches of 8 leaves two over. A crop adds noise of its own."""

    def __len__(self) -> int:
        return 26

    def batch(self, indices: Tensor, generator: torch.Generator, own: slice) -> Tensor:
        x = torch.stack([_map(int(index)) for index in indices])
        return (x + 0.05 * torch.randn(x.shape, generator=generator))[own]


def _map(index: int) -> Tensor:
    return torch.randn(SIZE, generator=generator(0, "map", index))


@contextmanager
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def train(fabric: Fabric, folder: Path, cases: list[str]) -> None:
    """Runs every case, 8 clips a step over all processes; rank r writes CASE_r.pt."""
    space = DescriptorSpace.single(["gain", "other"])
    banks = {
        inactive: AugmentationBank([Gain("gain"), Gain("other")], space, inactive)
        for inactive in ("identity", "shared")
    }
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 12, "options": options}
    for case in cases:
        size = 8 // fabric.world_size
        config = PretrainConfig(**{**SMALL, "batch_size": size, **CASES[case]})
        with seeded(0, "encoder"):
            encoder = AmortisedEncoder(
                PlainFrontend(SIZE), backbone, {"name": "hyper", "bases": 2}, space
            )
        with in_float64(), recorded() as (models, gradients):
            pretrain(
                encoder, banks["shared" if config.twins else "identity"], Clips(), config,
                folder / case, fabric, SEED,
                lambda *_: gradients.append(gradients_of(models[-1])),
            )  # fmt: skip
        state = {"gradients": gradients, "model": models[-1].state_dict()}
        torch.save(state, folder / f"{case}_{fabric.global_rank}.pt")


@contextmanager
def recorded() -> Iterator[tuple[list[nn.Module], list[dict[str, Tensor]]]]:
    """The module that the loop trains, and a list for its gradients."""
    models: list[nn.Module] = []
    make = loop.make_objective

    def keep(*arguments: Any) -> Any:
        models.append(make(*arguments))
        return models[-1]

    loop.make_objective = keep
    try:
        yield models, []
    finally:
        loop.make_objective = make


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    for name, bases in model.named_parameters():
        if isinstance(bases, Bases) and bases.factors:  # kept as an outer product
            h, g = joined(bases.factors)
            found[name] = h.T @ g
    return {name: gradient.clone() for name, gradient in found.items()}


def losses(run: Path) -> Tensor:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return torch.tensor([json.loads(line)["loss"] for line in lines], dtype=torch.float64)


def on_two_processes(function: Callable[..., None], *arguments: Any) -> None:
    ddp = DDPStrategy(find_unused_parameters=True, start_method="fork")
    fabric = Fabric(accelerator="cpu", devices=2, strategy=ddp, precision="64-true")
    fabric.launch(function, *arguments)


def on_one_process(function: Callable[..., None], *arguments: Any) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    fabric.launch()
    function(fabric, *arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of one process's runs and of two processes'."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    on_one_process(train, one, list(CASES))
    on_two_processes(train, two, list(CASES))
    return one, two


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_like_one(trained: tuple[Path, Path], case: str) -> None:
    one, two = trained
    worst = torch.stack(list(differences(one, two, case, 0).values()))
    assert float(worst.max()) < 1e-6, differences(one, two, case, 0)
    assert max(differences(one, two, case, 1).values()) < 1e-6
    print(f"\n{case}: largest difference over {STEPS} steps {float(worst.max()):.1e}")


def plain(x: Tensor, fabric: Fabric) -> Tensor:
    """What torch.distributed.all_gather gives: values without gradients."""
    return cast(Tensor, fabric.all_gather(x)).flatten(0, 1)


def plain_but_own(x: Tensor, fabric: Fabric) -> Tensor:
    """The common mend of it: a process's own examples keep their gradients."""
    parts = list(cast(Tensor, fabric.all_gather(x)).unbind())
    parts[fabric.global_rank] = x
    return torch.cat(parts)


def summed(x: Tensor, fabric: Fabric) -> Tensor:
    """Gradients world_size times too large."""
    right = gather(x, fabric)
    return right.detach() + fabric.world_size * (right - right.detach())


@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        (plain_but_own, 0.4),
        (summed, 0.9),
    ],
)
def test_a_wrong_gather_is_found(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[..., Tensor], least: float,
) -> None:  # fmt: skip
    """By the gradients of the first step, of which `least` is wrong; the loss tells nothing."""
    monkeypatch.setattr(run, "gather", wrong)
    on_two_processes(train, tmp_path, ["simclr"])
    right, found = (
        torch.load(folder / "simclr_0.pt", weights_only=True)["gradients"][0]
        for folder in (trained[0], tmp_path)
    )
    errors = [(g - found.get(name, torch.zeros(()))).norm() for name, g in right.items()]
    norms = [gradient.norm() for gradient in right.values()]
    relative = float(torch.stack(errors).norm() / torch.stack(norms).norm())
    assert losses(tmp_path / "simclr")[0] == pytest.approx(float(losses(trained[0] / "simclr")[0]))
    print(f"\n{wrong.__name__}: relative error of the gradient {relative:.2f}")
    assert relative > least


def test_a_plain_gather_leaves_nothing_to_learn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "gather", plain)
    with pytest.raises(Exception, match="does not require grad"):
        on_two_processes(train, tmp_path, ["simclr"])


def train_apart(fabric: Fabric, folder: Path) -> None:
    """A step of different corners; or, alone in the world, its two halves in turn."""
    alone = fabric.world_size == 1
    draw, rows = run.draw_corner, run.own_rows
    for rank in (0, 1) if alone else (fabric.global_rank,):
        CASES["apart"] = {
            "descriptors": "per_process", "sync_batch_norm": False, "steps": 1,
            "optimiser": "adamw",
        }  # fmt: skip
        if alone:
            run.draw_corner = lambda *given, r=rank: draw(*given[:4], r)
            run.own_rows = lambda size, _, r=rank: slice(4 * r, 4 * r + 4)
        train(fabric, folder, ["apart"])
        if alone:
            (folder / "apart_0.pt").rename(folder / f"half_{rank}.pt")
            shutil.rmtree(folder / "apart")
    run.draw_corner, run.own_rows = draw, rows


def test_processes_of_different_corners_average_their_gradients(
    tmp_path: Path,
) -> None:
    """Against the mean of the gradients that each corner and half of the batch gives alone."""
    assert corner_of(0) != corner_of(1)
    on_two_processes(train_apart, tmp_path / "two")
    on_one_process(train_apart, tmp_path / "one")
    together, *halves = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)["gradients"][0]
        for name in ("two/apart_0", "one/half_0", "one/half_1")
    )
    for name, gradient in together.items():
        mean = sum(half.get(name, torch.zeros(())) for half in halves) / 2
        torch.testing.assert_close(gradient, mean + 0 * gradient, rtol=0, atol=1e-9)


def corner_of(rank: int) -> list[float]:
    space = DescriptorSpace.single(["gain", "other"])
    bank = AugmentationBank([Gain("gain"), Gain("other")], space)
    config = PretrainConfig(descriptors="per_process")
    return run.draw_corner(bank, config, SEED, 0, rank).tolist()


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5), (6, 3, 4, 2)])
def test_without_other_processes_the_norm_is_batch_norm(shape: tuple[int, ...]) -> None:
    makers = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    plain_norm = makers[len(shape)](3)
    holder = nn.Sequential(nn.Sequential(makers[len(shape)](3)))
    synchronise_norms(holder)
    assert isinstance(holder[0][0], SynchronisedNorm)
    for training in (True, False):
        x = torch.randn(shape, generator=generator(0, "x")) * 3 + 1
        assert torch.equal(holder.train(training)(x), plain_norm.train(training)(x))
    assert holder.state_dict().keys() == {f"0.0.{n}" for n in plain_norm.state_dict()}


def test_a_norm_that_does_more_is_refused() -> None:
    class WithActivation(nn.BatchNorm2d):
        pass

    with pytest.raises(UserError, match="not WithActivation"):
        synchronise_norms(nn.Sequential(WithActivation(3)))


def differences(one: Path, two: Path, case: str, rank: int) -> dict[str, Tensor]:
    """Largest absolute difference of losses, of any gradient at any step, and of any weight."""
    a, b = (
        torch.load(folder / f"{case}_{r}.pt", weights_only=True)
        for folder, r in ((one, 0), (two, rank))
    )
    assert len(a["gradients"]) == len(b["gradients"]) == STEPS
    gradients = []
    for first, second in zip(a["gradients"], b["gradients"], strict=True):
        shared = first.keys() & second.keys()
        assert all(not bool(second[n].any()) for n in second.keys() - shared)  # DDP fills zeros
        assert first.keys() <= second.keys()
        assert max(float(gradient.abs().max()) for gradient in first.values()) > 1e-3
        gradients += [(first[name] - second[name]).abs().max() for name in shared]
    assert a["model"].keys() == b["model"].keys()
    weights = [(a["model"][n].double() - b["model"][n].double()).abs().max() for n in a["model"]]
    return {
        "losses": (losses(one / case) - losses(two / case)).abs().max(),
        "gradients": torch.stack(gradients).max(),
        "weights": torch.stack(weights).max(),
    }
