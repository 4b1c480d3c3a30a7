"""The gradient penalty on sounds: first and second derivatives through log-mel, by differences."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.audio.augment import AUGMENTATIONS, AudiomentationsAugmentation, build_bank
from audioinv.audio.frontend import LogMel
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.penalty import GradientPenalty, PenaltyDraws, gradient_penalty

RATE, N = 8000, 2048
BANK = build_bank(RATE, ranges={"time_shift": {"fractional": True}})  # finite differences
FREE = [
    (name, k)
    for name, augmentation in BANK.augmentations.items()
    for k, parameter in enumerate(augmentation.parameters)
    if parameter.differentiable
]
NAMES = [f"{name} {BANK.augmentations[name].parameters[k].name}" for name, k in FREE]


def clips(sounds: ModuleType, n: int = 3) -> Tensor:
    """Harmonic sounds of other pitches with a little noise and silence at one end, (n, N)."""
    tones = torch.stack([sounds.harmonic(130.0 + 61 * k, RATE, N, torch.float64) for k in range(n)])
    x = tones * torch.linspace(1, 0.3, N) + 0.01 * sounds.noise(n, N, dtype=torch.float64)
    return F.pad(x[:, :-200], (0, 200))


def frontend() -> LogMel:
    made = LogMel(RATE, N / RATE, 256, 64, 24, min_hz=50, floor_db=-80)
    made.set_statistics(-40, 20)
    return made.double()


def network() -> nn.Sequential:
    with seeded(0, "network"):
        layers = [nn.Flatten(), nn.Linear(24 * (N // 64 + 1), 8), nn.Tanh(), nn.Linear(8, 5)]
        return nn.Sequential(*layers).double()


def sampled(augmentation: Augmentation, n: int = 3) -> Tensor:
    return augmentation.sample(n, generator(0, augmentation.name)).double()


def differences(value: Callable[[float], Tensor], step: float) -> Tensor:
    """Central, of fourth order."""
    near, far = value(step) - value(-step), value(2 * step) - value(-2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize(("name", "column"), FREE, ids=NAMES)
def test_first_derivatives_through_log_mel(name: str, column: int, sounds: ModuleType) -> None:
    augmentation, x, front, net = BANK.augmentations[name], clips(sounds), frontend(), network()
    params = sampled(augmentation)

    def h(params: Tensor) -> Tensor:
        return F.normalize(net(front(augmentation.apply(x, params))), dim=1)

    alpha = params.clone().requires_grad_()
    e = torch.randn(3, 5, generator=generator(0, "e")).sign().double()
    (found,) = torch.autograd.grad((e * h(alpha)).sum(), alpha)

    def moved(step: float) -> Tensor:
        there = params.clone()
        there[:, column] += step
        with torch.no_grad():
            return (e * h(there)).sum(1)

    # A vocoder's phases jump where the frame or the peak that it follows changes.
    expected = differences(moved, 1e-8 if name == "pitch_shift" else 1e-6)
    torch.testing.assert_close(found[:, column], expected, rtol=1e-3, atol=1e-5)
    assert bool(found.isfinite().all()) and float(found[:, column].abs().max()) > 1e-4


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_second_derivatives_through_log_mel(name: str, sounds: ModuleType) -> None:
    bank = build_bank(RATE, names=[name])
    x, front, net, corner = clips(sounds), frontend(), network(), torch.ones(1)
    alphas = {name: sampled(bank.augmentations[name]).requires_grad_()}
    draws = GradientPenalty(bank, 5, 0.1, 10, [name]).draw(alphas, corner, generator(0, "p"))
    assert draws is not None
    maps = front(bank.apply(x, alphas))
    check_second_derivatives(lambda: net(maps), list(net.parameters()), alphas, draws)


def check_second_derivatives(
    z: Callable[[], Tensor],
    weights: list[nn.Parameter],
    alphas: dict[str, Tensor],
    draws: PenaltyDraws,
    step: float = 1e-5,
) -> None:
    """Of the penalty of `z()` along a direction in `weights`, against differences."""
    penalty = gradient_penalty(z(), alphas, draws)
    penalty.backward(inputs=weights, retain_graph=True)
    keyed = generator(0, "direction")
    directions = [torch.randn(w.shape, generator=keyed).double() * w.std() for w in weights]
    found = sum(
        (w.grad * d).sum().item()
        for w, d in zip(weights, directions, strict=True)
        if w.grad is not None
    )

    def value(step: float) -> Tensor:
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(step * direction)
        penalty = gradient_penalty(z(), alphas, draws).detach()
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.sub_(step * direction)
        return penalty

    assert found == pytest.approx(differences(value, step).item(), rel=1e-5)
    assert penalty.item() > 1e-6 and abs(found) > 1e-6


@pytest.mark.parametrize("conditioning", ["none", "hyper", "norm"])
def test_second_derivatives_through_a_whole_encoder(conditioning: str, sounds: ModuleType) -> None:
    """All seven augmentations, a ResNet with smooth activations, BatchNorm, `functional_call`."""
    options = {"layers": [1, 1, 1, 1], "act_layer": "gelu"}
    backbone = {"name": "resnet18", "width": 0.0625, "dim": 5, "options": options}
    with seeded(0, "encoder"):
        encoder = AmortisedEncoder(
            frontend(), backbone, {"name": conditioning, "bases": 2}, BANK.space
        )
    encoder.double().train()
    corner = BANK.space.parse("-time_mask").double()
    alphas = {name: sampled(a, 6).requires_grad_() for name, a in BANK.augmentations.items()}
    names = [name for name in BANK.augmentations if name != "time_mask"]
    draws = GradientPenalty(BANK, 5, 0.1, 10, names).draw(alphas, corner, generator(0, "p"))
    assert draws is not None and list(draws.moves) == names
    maps = encoder.frontend(BANK.apply(clips(sounds, 6), alphas))
    weights = [p for p in encoder.parameters() if p.requires_grad]
    check_second_derivatives(lambda: encoder.run(maps, corner), weights, alphas, draws, 1e-7)


def test_silence_gives_finite_gradients() -> None:
    x, front, net = torch.zeros(3, N).double(), frontend(), network()
    alphas = {n: sampled(a).requires_grad_() for n, a in BANK.augmentations.items()}
    names = list(BANK.augmentations)
    draws = GradientPenalty(BANK, 5, 0.1, 10, names).draw(alphas, torch.ones(7), generator(0, "p"))
    assert draws is not None
    value = gradient_penalty(net(front(BANK.apply(x, alphas))), alphas, draws)
    value.backward(inputs=list(net.parameters()))
    assert all(bool(w.grad.isfinite().all()) for w in net.parameters() if w.grad is not None)


def test_what_moves_partials_in_time_or_pitch_is_left_out_unless_named() -> None:
    taken = GradientPenalty(BANK, 5, 0.1).names
    assert taken == ["fade", "white_noise", "coloured_noise"]
    assert GradientPenalty(BANK, 5, 0.1, names=["time_shift", "pitch_shift"]).names == [
        "pitch_shift",
        "time_shift",
    ]


def test_audiomentations_transforms_are_refused_behind_what_is_penalised() -> None:
    audiomentations = pytest.importorskip("audiomentations")
    last = AudiomentationsAugmentation(audiomentations.Gain(), RATE)
    bank: AugmentationBank = build_bank(RATE, names=["fade"], extra=[last])
    with pytest.raises(UserError, match=r"gain.*fade.*pretrain\.penalty=0"):
        GradientPenalty(bank, 5, 0.1)
