"""What runs on a GPU, on a device that is not there (`pretend_device`): nothing mixes devices, the
processor waits for the loss alone, and results are the CPU's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from audioinv.audio.augment import build_bank, kernels
from audioinv.audio.frontend import LogFrequency, LogMel, LogMelStft, Waveform
from audioinv.base.randomness import generator, seeded
from audioinv.core.bank import AugmentationBank
from audioinv.core.conditioning import PRESETS
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.finetune import finetune, predict
from audioinv.tasks.given import cache_of
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.learn import learn
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.settings.finetune import FinetuneConfig
from audioinv.training import fused_adam
from audioinv.training.calibrate import calibrate
from audioinv.training.loop import pretrain
from audioinv.training.run import Step
from tests.core.small_pretraining import Clips, interrupt_after, settings
from tests.pretend_device import DEVICE, PretendedStrategy, Waits, move, pretending, real

RATE, N = 4000, 2000
Progress = Callable[[int, float, float], None]
RESNET = {
    "name": "resnet18",
    "width": 0.125,
    "dim": 12,
    "options": {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4},
}
VIT = {
    "name": "vit_tiny_patch16_224",
    "dim": 12,
    "options": {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
}
CONDITIONINGS = [name for name in PRESETS if not name.endswith("_paper")]


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU does what a GPU does, not its own loops."""
    monkeypatch.setattr(kernels, "applies", lambda *tensors: False)
    monkeypatch.setattr(fused_adam, "applies", lambda values: False)


@pytest.fixture
def waits() -> Iterator[Waits]:
    with pretending() as found:
        yield found


def front_end(**options: Any) -> LogMel:
    return LogMel(RATE, N / RATE, n_fft=256, hop=64, n_bins=32, **options)


def sounds(n: int = 4) -> Tensor:
    return 0.2 * torch.randn(n, N, generator=generator(0, "sounds"))


class Sounds(Clips):
    """24 short noises."""

    def __init__(self) -> None:
        self.x = sounds(24)


# The stand-in itself


def test_the_stand_in_computes_counts_and_refuses(waits: Waits) -> None:
    x = torch.arange(6.0)
    y = x.to(DEVICE)
    assert y.device == DEVICE and torch.equal(real((y * 2 + 1).roll(1)), (x * 2 + 1).roll(1))
    assert waits.total() == 0 and waits.operations > 3
    with pytest.raises(RuntimeError, match="on one device"):
        y + x
    with pytest.raises(TypeError, match="numpy"):
        y.numpy()
    asked = [y.cpu, y.sum().item, y.tolist, y.nonzero, lambda: y[y > 2], lambda: bool(y.sum() > 1)]
    for number, ask in enumerate(asked, 1):
        ask()
        assert waits.total() == number, waits.found


def test_a_module_moves_and_its_optimiser_with_it(waits: Waits) -> None:
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach().clone()
    move(layer)(torch.ones(4, 3).to(DEVICE)).sum().backward()
    optimiser.step()
    assert layer.weight.device == DEVICE
    torch.testing.assert_close(real(layer.weight), before - 0.4)


# Views and front ends


def audio_bank(**options: Any) -> AugmentationBank:
    return build_bank(RATE, probability=0.7, **options)


def image_bank(**options: Any) -> AugmentationBank:
    vision = pytest.importorskip("vision.augment")
    return vision.build_bank(probability=0.7, **options)


BANKS = {
    "waveform": (audio_bank, sounds),
    "random order": (lambda: audio_bank(order="random"), sounds),
    "fused": (lambda: front_end(views="fused").training_bank(audio_bank()), sounds),
    "image": (image_bank, lambda n=4: torch.rand(n, 3, 16, 16, generator=generator(0, "images"))),
}


def views_of(bank: AugmentationBank, x: Tensor) -> tuple[Tensor, ...]:
    return bank.views(x, bank.space.all_on(), generator(0, "views"))[0]


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.usefixtures("twins")
def test_views_are_those_of_the_cpu_and_wait_for_nothing(name: str) -> None:
    make, clips = BANKS[name]
    bank, x = make(), clips()
    expected = views_of(bank, x)
    with pretending() as waits:
        if hasattr(bank, "frontend"):
            move(bank.frontend)
        views_of(bank, x.to(DEVICE))  # fills what is kept from one batch to the next
        waits.found.clear()
        found = views_of(bank, x.to(DEVICE))
    assert not waits.found
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(real(mine), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", BANKS)
def test_a_larger_batch_takes_no_more_launches(name: str, waits: Waits) -> None:
    make, clips = BANKS[name]
    bank = make()
    if hasattr(bank, "frontend"):
        move(bank.frontend)
    every = {n: a.sample(16, generator(0)) for n, a in bank.augmentations.items()}
    launches = []
    for n in (4, 16):
        params = {name: rows[[0] * n] for name, rows in every.items()}  # sizes are equal
        waits.operations = 0
        bank.apply(clips(n).to(DEVICE), params)
        launches.append(waits.operations)
    assert launches[0] == launches[1]


FRONT_ENDS = {
    "log_mel": front_end,
    "normalised": lambda: front_end(normalise="clip", channels_last=True),
    "stft": lambda: LogMelStft(sample_rate=RATE, clip_s=N / RATE, n_fft=256, hop=64, n_bins=32),
    "log_frequency": lambda: LogFrequency(RATE, N / RATE, 256, 64, 32, 55.0),
    "waveform": lambda: Waveform(sample_rate=RATE, clip_s=N / RATE),
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_front_end_is_that_of_the_cpu(name: str, waits: Waits) -> None:
    front: Any = FRONT_ENDS[name]()
    expected = front(sounds())
    torch.testing.assert_close(
        real(move(front)(sounds().to(DEVICE))), expected, atol=1e-3, rtol=1e-5
    )
    assert not waits.found


# The loop

QUICK = [*product(CONDITIONINGS, ["simclr"]), ("hyper", "moco_v2"), ("hyper_light", "moco_v3")]
PAIRS = [
    pair if pair in QUICK else pytest.param(*pair, marks=pytest.mark.slow)
    for pair in product(CONDITIONINGS, ["simclr", "moco_v2", "moco_v3"])
]


def make(
    conditioning: str, views: str = "fused", names: list[str] | None = None
) -> tuple[AmortisedEncoder, AugmentationBank]:
    bank = build_bank(RATE, names)
    backbone = VIT if conditioning == "prompt" else RESNET
    with seeded(0, "encoder"):
        front = front_end(views=views)
        encoder = AmortisedEncoder(front, backbone, conditioning, bank.space)
    return encoder, front.training_bank(bank)


def train(
    folder: Path,
    made: tuple[AmortisedEncoder, AugmentationBank],
    progress: Progress = lambda *_: None,
    fabric: Fabric | None = None,
    **changed: Any,
) -> AmortisedEncoder:
    """On the device, unless another fabric is given."""
    small = {"steps": 2, "log_every": 100, "queue_size": 16, "batch_size": 4}
    config = settings(**{**small, **changed})
    fabric = fabric or Fabric(strategy=PretendedStrategy())
    return pretrain(*made, Sounds(), config, folder, fabric, 0, progress)


def losses_of_both(
    folder: Path, conditioning: str, views: str = "fused", **changed: Any
) -> tuple[list[float], list[float], int]:
    """The CPU's and the device's, and how often the processor waited in the first step."""
    cpu: list[float] = []
    device: list[float] = []
    counts: list[int] = []
    train(
        folder / "cpu",
        make(conditioning, views),
        lambda done, loss, lr: cpu.append(loss),
        Fabric(accelerator="cpu"),
        **changed,
    )
    with pretending() as waits:

        def see(done: int, loss: float, lr: float) -> None:
            device.append(loss)
            counts.append(waits.total())

        train(folder / "device", make(conditioning, views), see, **changed)
    return cpu, device, counts[0]


@pytest.mark.parametrize(("conditioning", "objective"), PAIRS)
@pytest.mark.usefixtures("twins")
def test_the_loop_is_that_of_the_cpu_and_waits_for_the_loss(
    conditioning: str, objective: str, tmp_path: Path
) -> None:
    cpu, device, waits = losses_of_both(tmp_path, conditioning, objective=objective)
    assert device[0] == pytest.approx(cpu[0], rel=1e-5) and device == pytest.approx(cpu, rel=2e-3)
    assert waits == 1


# Setting -> how often the processor waits in a step.
FURTHER: dict[str, tuple[dict[str, Any], int]] = {
    "waveform": ({"views": "waveform"}, 1),
    "per_descriptor": ({"projector": "per_descriptor"}, 1),
    "conditioned": ({"projector": "conditioned", "dropout": 0.2}, 1),
    "parameters": ({"projector": "parameters", "optimiser": "adam"}, 1),
    "differences": ({"predict": "differences", "optimiser": "sgd"}, 1),
    "embeddings": ({"predict": "embeddings"}, 1),
    "lars": ({"optimiser": "lars"}, 1),
    # what acts, and what a draw moves, of three augmentations whose parameters are on the device
    "penalty": ({"penalty": 0.1, "penalty_draws": 4, "corners": "all", "views": "waveform"}, 7),
    "skip": ({"not_finite": "skip"}, 2),  # the gradient's norm is looked at
    "log": ({"log_gradient_norm": True, "log_every": 1}, 2),
}


@pytest.mark.parametrize("name", FURTHER)
@pytest.mark.usefixtures("twins")
def test_so_is_it_with_every_setting(name: str, tmp_path: Path) -> None:
    changed, allowed = FURTHER[name]
    cpu, device, waits = losses_of_both(tmp_path, "hyper_light", **changed)
    assert device[0] == pytest.approx(cpu[0], rel=1e-5) and device == pytest.approx(cpu, rel=2e-3)
    assert waits == allowed


def test_a_run_resumes_on_its_device(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 3, "checkpoint_every": 2}
    with pretending():
        whole = train(tmp_path / "whole", make("hyper"), **settings)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", make("hyper"), interrupt_after(2), **settings)
        resumed = train(tmp_path / "run", make("hyper"), **settings)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert two.device == DEVICE and torch.equal(real(one), real(two))


@pytest.mark.parametrize("what", ["cpu", "item"])
def test_a_question_put_into_the_loop_is_seen(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        "cpu": lambda loss: loss.detach().cpu(),
        "item": lambda loss: loss.item(),
    }
    backward = Step.backward

    def asking(step: Step, losses: dict[str, Tensor]) -> None:
        asked[what](losses["contrast"])
        backward(step, losses)

    monkeypatch.setattr(Step, "backward", asking)
    *_, waits = losses_of_both(tmp_path, "none")
    assert waits == 2


# The encoder


def test_a_trained_encoder_is_used_on_its_device_under_descriptors_from_the_cpu() -> None:
    """Statistics, features at a corner and between corners, one descriptor an example, `at`."""
    here, there = (make("hyper_light", names=["fade", "time_shift"])[0].eval() for _ in range(2))
    corner = here.space.all_on()
    every = corner * torch.tensor([[1.0], [0.5], [1.0], [0.0]])
    calibrate(here, Sounds(), 16)
    with pretending(), torch.no_grad():
        calibrate(move(there), Sounds(), 16)
        x = sounds().to(DEVICE)
        for i in (corner, 0.5 * corner, every):
            torch.testing.assert_close(real(there(x, i)), here(sounds(), i), atol=1e-5, rtol=1e-4)
        plain = there.at(corner)(x)
        torch.testing.assert_close(real(plain), here.at(corner)(sounds()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["fixed:all", "search", "soft", "paper", "surrogate"])
@pytest.mark.usefixtures("twins")
def test_a_task_learns_on_the_encoders_device_from_clips_on_the_cpu(mode: str) -> None:
    here, there = (make("hyper_light", names=["fade", "time_shift"])[0].eval() for _ in range(2))
    calibrate(here, Sounds(), 16)
    rows, x = torch.arange(24), sounds(24)
    data = Labelled(rows % 2, "classification", ["a", "b"], rows[:16], rows[16:])
    settings = AdaptConfig(epochs=1, batch_size=8, anchor_clips=8, true_steps=1)

    def learnt(encoder: AmortisedEncoder) -> tuple[Tensor, Tensor, Tensor]:
        encoder.requires_grad_(False)
        cache = cache_of(encoder, x, FeatureConfig())
        folds, _ = learn(encoder, cache, [data], mode, settings)
        scores = folds[0].readout.scores(folds[0].mixture.features(cache))
        corner = folds[0].mixture.descriptors[0]
        tuned = finetune(
            encoder.at(corner).backbone, cache.first_maps(rows), data, FinetuneConfig(epochs=1)
        )
        return folds[0].mixture.reported, scores, predict(tuned, cache.first_maps(rows))

    expected = learnt(here)
    with pretending():
        calibrate(move(there), Sounds(), 16)
        found = learnt(there)
    for one, two in zip(found, expected, strict=True):
        assert one.device == torch.device("cpu")
        torch.testing.assert_close(one, two, atol=1e-2, rtol=1e-2)


# One graph


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_an_encoder_is_one_graph(conditioning: str) -> None:
    """From waveforms to features, at one descriptor: dynamo's own report."""
    encoder = make(conditioning)[0].eval()
    torch._dynamo.reset()
    told = torch._dynamo.explain(encoder)(sounds(), encoder.space.all_on())
    assert told.graph_count == 1 and told.graph_break_count == 0, told.break_reasons
