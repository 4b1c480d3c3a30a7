"""Spectra and losses in single precision, whatever the network runs in; and a traced network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.audio.augment import build_bank
from audioinv.audio.frontend import LogFrequency, LogMel, LogMelStft
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.objectives import nt_xent
from audioinv.core.penalty import PenaltyDraws, gradient_penalty
from audioinv.training.objective import make_objective
from audioinv.training.processes import make_fabric
from tests.core.small_pretraining import settings

RATE, N = 8000, 4000
TIME = torch.arange(N) / RATE
HALVES = [torch.float16, torch.bfloat16]
SOUNDS: dict[str, Tensor] = {
    "silence": torch.zeros(N),
    "three steps of 16 bits": 3 / 2**15 * torch.randn(N, generator=generator(0, "quiet")),
    "half of it silent": torch.randn(N, generator=generator(0, "loud")) * (TIME > 0.25),
    "full-scale tone": torch.sin(2 * math.pi * 440 * TIME),
    "full-scale square wave": torch.sin(2 * math.pi * 110 * TIME).sign(),
}
FRONT_ENDS: dict[str, Any] = {
    "log_mel": lambda: LogMel(RATE, N / RATE, 512, 128, 40),
    "normalised": lambda: LogMel(RATE, N / RATE, 512, 128, 40, normalise="clip"),
    "log_mel_stft": lambda: LogMelStft(sample_rate=RATE, clip_s=N / RATE, n_bins=40),
    "log_frequency": lambda: LogFrequency(RATE, N / RATE, 1024, 128, 40, 55.0),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_spectra_are_the_same_under_autocast(name: str, dtype: torch.dtype) -> None:
    front = FRONT_ENDS[name]()
    x = torch.stack(list(SOUNDS.values()))
    expected = front.decibels(x)
    with torch.autocast("cpu", dtype):
        found, maps = front.decibels(x), front(x)
    assert found.dtype == maps.dtype == torch.float32 and bool(found.isfinite().all())
    assert float((found - expected).abs().max()) < 0.05


def test_a_clip_in_half_precision_is_heard_in_single() -> None:
    front = FRONT_ENDS["log_mel"]()
    x = SOUNDS["full-scale tone"][None].half()
    torch.testing.assert_close(front(x), front(x.float()))


def make() -> AmortisedEncoder:
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 12, "options": options}
    with seeded(0, "encoder"):
        front = LogMel(RATE, N / RATE, 512, 128, 40)
        return AmortisedEncoder(front, backbone, "hyper_light", build_bank(RATE).space)


class Fixed:
    """A step's draws."""

    total, own = 4, slice(None)

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        return generator(0, purpose, *key)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("objective", ["simclr", "moco_v2", "moco_v3"])
def test_losses_are_computed_in_single_precision(objective: str, dtype: torch.dtype) -> None:
    """At a temperature whose similarities half precision tells no more apart."""
    config = settings(objective=objective, queue_size=8, temperature=1e-3)
    encoder = make()
    method = make_objective(encoder, build_bank(RATE), config, 0)
    x = torch.stack(list(SOUNDS.values()))[1:]
    shown = method.views(x, encoder.space.all_on(), Fixed())
    kept: list[Any] = []
    loss = method.loss

    def seen(projections: Any, corner: Tensor) -> Tensor:
        kept.append(projections)
        return loss(projections, corner)

    method.loss = seen
    with torch.autocast("cpu", dtype):
        found = method(shown, encoder.space.all_on())["contrast"]
    assert found.dtype == torch.float32 and all(p.dtype == torch.float32 for p in kept[0])
    torch.testing.assert_close(found, loss(kept[0], encoder.space.all_on()))
    with torch.autocast("cpu", dtype):
        in_half = nt_xent(kept[0][0], kept[0][1], 1e-3)
    if objective == "simclr":
        assert (in_half - found).abs() > 1e-3  # it would have made a difference


@pytest.mark.parametrize("dtype", HALVES)
def test_so_is_the_penalty(dtype: torch.dtype) -> None:
    """Moves of 1,000 steps: their squares leave half's range."""
    alpha = torch.zeros(3, 2, requires_grad=True)
    z = torch.stack([1 + alpha[:, 0], 2 - alpha.sum(1)], 1)
    draws = PenaltyDraws(
        torch.tensor([[1.0, -1.0]]).expand(3, 2), {"a": torch.full((3, 2, 2), 1e3)}
    )
    expected = gradient_penalty(z, {"a": alpha}, draws)
    with torch.autocast("cpu", dtype):
        found = gradient_penalty(z, {"a": alpha}, draws)
    assert float(expected.detach()) > 65504
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_weights_in_half_are_refused(precision: str) -> None:
    with pytest.raises(UserError, match=f"{precision}.*give .*-mixed"):
        make_fabric("cpu", precision=precision)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_traced_front_end_hears_the_same(name: str) -> None:
    """Of more clips and longer ones too: loops that torch does not see would leave zeros."""
    front = FRONT_ENDS[name]().eval()
    x = torch.stack(list(SOUNDS.values()))
    traced = torch.jit.trace(front, x[:2])
    for clips in (x[:2], x.repeat(20, 1), x.repeat(1, 2)):
        torch.testing.assert_close(traced(clips), front(clips), atol=1e-3, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_so_does_a_traced_network_and_an_exported_one(tmp_path: Path) -> None:
    x = torch.stack(list(SOUNDS.values()))
    encoder = make().eval()
    plain = encoder.at(encoder.space.all_on())
    batch = torch.export.Dim("batch", min=1, max=512)
    exported = torch.export.export(plain, (x[:2],), dynamic_shapes={"x": {0: batch}})
    for network in (torch.jit.trace(plain, x[:2]), exported.module()):
        with torch.no_grad():
            torch.testing.assert_close(network(x), plain(x), atol=1e-5, rtol=1e-4)
