"""Projectors that are told how a view was made, and SimCLR around them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.auxiliary import Equivariance, ParameterPredictor, described, described_size
from audioinv.core.contrast import SimCLR
from audioinv.core.objective import Shown
from audioinv.core.projector import Projector
from tests.core.small_pretraining import make_bank

BANK = make_bank()
TOLD = described_size(BANK)
N, D = 6, 5


class Small(nn.Module):
    """Stands for an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, D)

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.linear(x))
        return features


def projector() -> Projector:
    with seeded(0, "projector"):
        return Projector(BANK.space, D, 8, 4, "parameters", told=TOLD)


def batch() -> tuple[Any, Any]:
    """Two views and the plain clips, (N, 7) each, and the views' parameters."""
    params = BANK.sample_pair(N, BANK.space.all_on(), generator(0, "params"))
    return tuple(torch.randn(3, N, 7, generator=generator(0, "x"))), params


def in_batch(x: Tensor) -> Tensor:
    """What a new BatchNorm makes of x (B, d) in training."""
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


@torch.no_grad()
def test_an_embedding_of_the_parameters_stands_beside_the_features() -> None:
    head, features = projector(), torch.randn(N, D, generator=generator(0, "f"))
    told = torch.rand(N, TOLD, generator=generator(0, "t"))
    linears = [layer for layer in head.embedding if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linears] == [64] * 6, "as released"
    embedded = told
    for layer in linears[:-1]:
        embedded = in_batch(embedded @ layer.weight.T).relu()
    embedded = embedded @ linears[-1].weight.T + linears[-1].bias
    first, _, _, last = head.heads[0]
    hidden = in_batch(torch.cat([features, embedded], 1) @ first.weight.T).relu()
    expected = hidden @ last.weight.T + last.bias
    ours = head(features, BANK.space.all_on(), told)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_each_view_is_projected_with_its_own_parameters() -> None:
    (first, second, _), params = batch()
    head, encoder, on = projector(), Small(), BANK.space.all_on()
    contrast: Any = SimCLR(encoder, head, ParameterPredictor(BANK, D), 0.5)  # type: ignore[arg-type]
    ours, further = contrast.outputs(Shown((first, second), params), on)
    both = encoder(torch.cat([first, second]), on)
    expected = head(both, on, described(BANK, params)).chunk(2)
    assert further == {} and all(map(torch.equal, ours, expected))
    swapped, _ = contrast.outputs(Shown((first, second), params[::-1]), on)
    assert not torch.allclose(swapped[0], ours[0])
    contrast.loss(ours, on).backward()
    assert all(bool(p.grad.any()) for p in [*encoder.parameters(), head.embedding[0].weight])


def test_the_plain_clips_are_embedded_beside_the_views() -> None:
    views, params = batch()
    on, encoder = BANK.space.all_on(), Small()
    with seeded(0, "module"):
        module, head = Equivariance(BANK, D, 8, 4), Projector(BANK.space, D, 8, 4)
    contrast: Any = SimCLR(encoder, head, module, 0.5)  # type: ignore[arg-type]
    outputs, further = contrast.outputs(Shown(views, params), on)
    assert further == {} and [tuple(z.shape) for z in outputs] == 2 * [(N, 4)] + 2 * [(2 * N, 4)]
    simclr: Any = SimCLR(encoder, head, ParameterPredictor(BANK, D), 0.5)  # type: ignore[arg-type]
    alone, _ = simclr.outputs(Shown(views[:2], params), on)
    torch.testing.assert_close(list(outputs[:2]), list(alone))
    loss = contrast.loss(outputs, on)
    torch.testing.assert_close(loss, simclr.loss(alone, on) + module.loss(*outputs[2:]))
    module.loss(*outputs[2:]).backward()
    assert bool(encoder.linear.weight.grad.any())
