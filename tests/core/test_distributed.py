"""Two gloo processes against one with the joined batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric

from audioinv.core.objectives import nt_xent
from audioinv.core.pretrain import gather
from audioinv.core.randomness import generator, seeded

BATCH, STEPS = 6, 5


def train(fabric: Fabric, out: Path) -> None:
    """A few steps of a small network without BatchNorm, in float64, on this rank's slice."""
    with seeded(0, "network"):
        model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    optimiser = torch.optim.SGD(model.double().parameters(), lr=0.5)
    wrapped, optimiser = fabric.setup(model, optimiser)
    x = torch.randn(STEPS, 2, 2 * BATCH, 5, generator=generator(0, "x")).double()
    own = 2 * BATCH // fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    losses = []
    for views in x:
        a, b = (gather(wrapped(view[rows]), fabric) for view in views)
        loss = nt_xent(a, b, 0.5)
        optimiser.zero_grad()
        fabric.backward(loss)
        losses.append(loss.item())
        if len(losses) == 1:
            gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimiser.step()
    if fabric.is_global_zero:
        state = {"losses": torch.tensor(losses), "gradients": gradients}
        torch.save({**state, "weights": model.state_dict()}, out)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """Loss, every gradient of the first step, and the weights after five."""
    train(Fabric(accelerator="cpu", devices=1), tmp_path / "one.pt")
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(train, tmp_path / "two.pt")
    one, two_ = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("one", "two"))
    torch.testing.assert_close(one["losses"], two_["losses"], rtol=0, atol=1e-6)
    for part in ("gradients", "weights"):
        for name, value in one[part].items():
            torch.testing.assert_close(value, two_[part][name], rtol=0, atol=1e-9)
    assert max(float(g.abs().max()) for g in one["gradients"].values()) > 1e-3
