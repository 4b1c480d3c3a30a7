"""What conditioning costs a network, and what adaptation costs a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from audioinv.base.randomness import generator, seeded
from audioinv.core.bases import release
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.adapt import AdaptConfig, learn_jointly
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.surrogate import learn_by_surrogate
from audioinv.training.rank_one import RankOneAdam
from benchmarks.measure import Comparison, Ratio, Setup

K = 7
NARROW = {
    "name": "resnet18", "width": 0.25, "pool": "both",
    "options": {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 8},
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"name": "none"},
    "norm": {"name": "norm"},
    "low rank, 8 bases of 2": {"name": "hyper", "bases": 8, "rank": 2, "gain": 3.0, "stem": True},
    "low rank, 8 bases of 8": {"name": "hyper", "bases": 8, "rank": 8, "stem": True},
    "8 full bases": {"name": "hyper", "bases": 8, "stem": True},
}
LIGHT = ("norm", "low rank, 8 bases of 2")


class Maps(nn.Module):
    """A front end that hands maps through."""

    def __init__(self, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.output_size = size
        self.config = {"name": "maps"}

    def forward(self, x: Tensor) -> Tensor:
        return x


def encoder_of(
    setup: Setup,
    conditioning: dict[str, Any],
    backbone: dict[str, Any],
    size: Any,
    components: int = K,
) -> AmortisedEncoder:
    """An encoder of maps of `size`, its weights drawn by a fixed seed."""
    space = DescriptorSpace.single([f"component_{k}" for k in range(components)])
    with seeded(0, "benchmark"):
        made = AmortisedEncoder(Maps(size), backbone, conditioning, space)
    return made.to(setup.device)


def maps_of(setup: Setup, seconds: float = 1.0, batch: int = 64) -> Tensor:
    """Maps (batch, 1, 128, frames) of clips at 16 kHz, hop 512."""
    frames = round(seconds * 16000) // 512 + 1
    size = (2, 1, 32, 16) if setup.miniature else (batch, 1, 128, frames)
    return torch.randn(*size, generator=generator(0, "maps")).to(setup.device)


def resnet18(setup: Setup) -> dict[str, Any]:
    """ResNet-18, or something tiny."""
    return {"name": "resnet18", "width": 0.125 if setup.miniature else 1.0}


def training_step(
    encoder: AmortisedEncoder, x: Tensor, descriptor: Tensor, adam: Any = RankOneAdam
) -> Callable[[], object]:
    """Forward, backward and Adam, of one view of a batch."""
    encoder.train()
    optimiser = adam(encoder.parameters())

    def step() -> None:
        optimiser.zero_grad()
        encoder(x, descriptor).square().mean().backward()
        optimiser.step()

    return step


def conditioning(setup: Setup) -> Iterator[Comparison]:
    """A training step (forward, backward, AdamW) of ResNet-18 on one view of 64 one-second clips
    under one descriptor, by conditioning; `plain` has none. `parameters` are relative to it. The
    default of sounds is `conditioning=norm`; `hyper_light` is eight bases of rank 2. Then the same
    on 64 images of 32 pixels, whose default is eight full bases (`conditioning=hyper`).
    """
    sounds = maps_of(setup)
    yield _steps("one descriptor a batch", sounds, resnet18(setup), setup)
    side = 16 if setup.miniature else 32
    images = torch.randn(len(sounds), 3, side, side, generator=generator(0, "images"))
    cifar = {**resnet18(setup), "stem": "cifar", "pool": "global", "dim": 0}
    yield _steps("images", images.to(setup.device), cifar, setup)


def _steps(title: str, x: Tensor, backbone: dict[str, Any], setup: Setup) -> Comparison:
    """Steps on maps `x` (B, C, H, W) under one descriptor, by conditioning."""
    descriptor = torch.ones(K, device=setup.device)
    encoders = {
        name: encoder_of(setup, options, backbone, tuple(x.shape[1:]))
        for name, options in SETTINGS.items()
    }
    count = {n: sum(p.numel() for p in e.parameters()) for n, e in encoders.items()}
    relative = ", ".join(f"{n} {count[n] / count['plain']:.3f}" for n in count)
    steps = {name: training_step(encoder, x, descriptor) for name, encoder in encoders.items()}
    ratios = [Ratio(n, "plain", most=1.1 if n in LIGHT else None) for n in list(steps)[1:]]
    size = " x ".join(str(n) for n in x.shape[1:])
    return Comparison(
        title, {"batch": len(x), "maps": size, "parameters:": relative}, steps, ratios
    )


def per_example(setup: Setup) -> Iterator[Comparison]:
    """As `conditioning`, with another descriptor for every example: in one pass where the
    conditioning allows it, else (full bases) in as many passes as there are distinct descriptors,
    here 8.
    """
    x = maps_of(setup)
    descriptors = torch.rand(len(x), K, generator=generator(0, "i")).to(setup.device)
    few = descriptors[torch.arange(len(x)) % min(8, len(x) // 2)]  # none is alone with BatchNorm
    steps = {}
    for name, options in SETTINGS.items():
        encoder = encoder_of(setup, options, resnet18(setup), tuple(x.shape[1:]))
        steps[name] = training_step(encoder, x, few if "full" in name else descriptors)
    ratios = [Ratio(n, "plain", most=1.25 if n in LIGHT else None) for n in list(steps)[1:]]
    work = {"batch": len(x), "frames": x.shape[3]}
    yield Comparison("a descriptor for every example", work, steps, ratios)


def paper_setting(setup: Setup) -> Iterator[Comparison]:
    """The paper's 32 bases a kernel, of a ResNet-18 (368 M parameters that generate weights):
    generating the weights, their gradients and AdamW's step, without the network itself; then a
    whole training step of 64 one-second clips. `autograd` is torch's fused AdamW on full gradients,
    `factors` is `training.rank_one`; their updates are equal (test_rank_one.py). Both
    step the same parameters and moments, which take 4.4 GB, in turn.
    """
    x, descriptor = maps_of(setup), torch.ones(K, device=setup.device)
    paper = {"name": "hyper", "bases": 32}
    encoder = encoder_of(setup, paper, resnet18(setup), tuple(x.shape[1:]))
    autograd = torch.optim.AdamW(encoder.parameters(), fused=True)
    factors = RankOneAdam(encoder.parameters(), decoupled_weight_decay=True, weight_decay=0.01)
    factors.state = autograd.state
    generated = [torch.randn_like(w) for w in encoder.weights(descriptor).values()]

    def generate() -> None:
        torch.autograd.backward(list(encoder.weights(descriptor).values()), generated)

    def network() -> None:
        encoder(x, descriptor).square().mean().backward()

    for name, backward in (("weights, gradients and step", generate), ("whole step", network)):
        contenders = {
            "autograd": partial(_ordinary_step, encoder, autograd, backward),
            "factors": partial(_step_by_factors, factors, backward),
        }
        most = 0.6 if backward is generate else None
        ratios = [Ratio("factors", "autograd", most=most)]
        yield Comparison(name, {"bases": 32, "batch": len(x)}, contenders, ratios)


def _ordinary_step(
    encoder: AmortisedEncoder, adam: torch.optim.Optimizer, backward: Callable[[], None]
) -> None:
    release(encoder)
    backward()
    adam.step()
    adam.zero_grad()


def _step_by_factors(adam: RankOneAdam, backward: Callable[[], None]) -> None:
    adam.keep_factors()
    backward()
    adam.step()
    adam.zero_grad()


def plain_network(setup: Setup) -> Iterator[Comparison]:
    """Features of 64 one-second clips: the network that `encoder.at(i)` gives, and a ResNet-18
    that was never conditioned, without gradients.
    """
    x, size = maps_of(setup), tuple(maps_of(setup).shape[1:])
    light = encoder_of(setup, SETTINGS[LIGHT[1]], resnet18(setup), size)
    plain = encoder_of(setup, SETTINGS["plain"], resnet18(setup), size).eval().backbone
    at = light.at(light.space.all_on())
    contenders = {"at": torch.no_grad()(lambda: at(x)), "plain": torch.no_grad()(lambda: plain(x))}
    ratios = [Ratio("at", "plain", 0.98, 1.02)]
    yield Comparison("encoder.at(i)", {"batch": len(x)}, contenders, ratios)


def adaptation(setup: Setup) -> Iterator[Comparison]:
    """Learning a descriptor of K = 7 by gradient, on 2,430 clips of the FSDD recipe's size, batch
    16: 50 epochs on the surrogate with its anchors and true steps, against one single epoch of
    joint gradient descent through the encoder (mode `paper`). 50 of those are 20 times the
    surrogate's time where the ratio is 2.5. The final readout, common to all modes, is not in it.
    """
    n, size = (40, (1, 32, 24)) if setup.miniature else (2430, (1, 40, 33))
    conditioned = {**SETTINGS[LIGHT[1]], "signed": True}
    encoder = encoder_of(setup, conditioned, NARROW, size)
    maps = torch.randn(n, *size, generator=generator(0, "maps"))
    targets = torch.randint(10, (n,), generator=generator(0, "targets"))
    classes = [str(label) for label in range(10)]
    rows, none = torch.arange(n), torch.empty(0, dtype=torch.long)
    data = Labelled(targets, "classification", classes, rows, none)
    cache = FeatureCache(encoder, maps, "all")
    contenders = {
        "surrogate, 50 epochs": lambda: learn_by_surrogate(
            encoder, cache, data, AdaptConfig(epochs=50)
        ),
        "paper, 1 epoch": lambda: learn_jointly(encoder, cache, data, AdaptConfig(epochs=1)),
    }
    ratios = [Ratio("surrogate, 50 epochs", "paper, 1 epoch", most=2.5)]
    yield Comparison("adaptation", {"clips": n, "K": K}, contenders, ratios)
