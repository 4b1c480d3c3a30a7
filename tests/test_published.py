"""Values of the published pipelines, computed with the code of their authors (docs/faithful.md)."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("audioinv.audio", reason="this page is of both halves")
pytest.importorskip("vision", reason="this page is of both halves")

import torch
import torch.nn.functional as F
import torchaudio
from omegaconf import OmegaConf
from sklearn.metrics import r2_score

from audioinv.audio import augment as sounds
from audioinv.audio.augment import build_bank
from audioinv.base.randomness import generator
from audioinv.conf.compose import compose_config
from audioinv.conf.schema import ConditioningConfig
from audioinv.core.auxiliary import ParameterPredictor, quantities
from audioinv.core.bank import AugmentationBank
from audioinv.core.objectives import moco_v3, nt_xent
from audioinv.core.projector import EMBEDDING
from audioinv.data.modality import build_frontend
from audioinv.tasks.adapt import AdaptConfig, learn_jointly
from audioinv.tasks.episodes import EPOCHS, RATE, split_classes
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.scores import score
from audioinv.tasks.settings.fewshot import PublishedFewShotConfig
from audioinv.training.optimiser import learning_rate
from tests.core.small_encoder import small_encoder, small_maps
from vision import augment as images
from vision.augment import build_bank as build_image_bank
from vision.drawing import FACTORS, render


def hold(config: list[str], published: dict[str, Any], config_dir: str | None = None) -> None:
    """Compares a composed configuration with what was published: dotted key -> value."""
    told = vars(compose_config(config, config_dir))
    composed = OmegaConf.create(told, flags={"allow_objects": True})
    ours = {key: OmegaConf.select(composed, key) for key in published}
    assert ours == published


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    k = torch.arange(12, dtype=torch.float64).view(3, 4)
    return k.sin(), (k + 0.5).cos()


# --- contrast -------------------------------------------------------------------------------------


def test_nt_xent() -> None:
    a, b = rows()
    assert float(nt_xent(a, b, 0.5)) == pytest.approx(3.022317147185454, abs=1e-12)


def test_moco_v3() -> None:
    a, b = rows()
    loss = moco_v3(a, b, b.flip(0), 2 * a, 0.2)
    assert float(loss) == pytest.approx(1.7728435614439235, abs=1e-12)


# --- amortised encoders of images -----------------------------------------------------------------

RESNET = {
    "backbone.name": "resnet50",
    "backbone.stem": "stock",
    "backbone.pool": "global",
    "backbone.dim": 0,
    "frontend.image_size": 224,
    "conditioning": {**vars(ConditioningConfig()), "bases": 32, "embedding": 16, "start": "paper"},
    "bank.inactive": "identity",
    "bank.probability": 1.0,
    "bank.ranges": {},
    "pretrain.corners": "space",
    "pretrain.steps": 300 * (126_689 // 128),
    "pretrain.batch_size": 128,
    "pretrain.optimiser": "adam",
    "pretrain.lr": 5e-4,
    "pretrain.weight_decay": 2e-5,
    "pretrain.warmup_steps": 0,
    "pretrain.temperature": 0.1,
    "pretrain.projector": "per_descriptor",
    "pretrain.projector_layers": 2,
    "pretrain.projector_hidden": 2048,
    "pretrain.projector_dim": 128,
    "pretrain.projector_batch_norm": False,
    "pretrain.projector_norm": False,
    "pretrain.dropout": 0.2,
}
DOWNSTREAM = {
    "adapt.modes": ["paper", "fixed:all"],
    "adapt.lr": 0.01,
    "adapt.epochs": 100,
    "adapt.batch_size": 16,
    "adapt.rounding": False,
}
SPATIAL = ["crop", "horizontal_flip"]
APPEARANCE = ["colour_jitter", "grayscale", "blur", "solarise"]
ACTING = {"colour_jitter": 0.8, "grayscale": 0.2, "blur": 0.5, "solarise": 0.5}
TWO_GROUPS = {
    "bank.groups": {"spatial": SPATIAL, "appearance": APPEARANCE},
    "bank.min_active": 1,
    "bank.probabilities": {"all": ACTING, "appearance": {"solarise": 0.5}},
}


def image_bank(experiment: str) -> AugmentationBank:
    options = asdict(compose_config(["modality=image", f"experiment={experiment}"]).bank)
    return build_image_bank(**options)


def test_paper_simclr_image() -> None:
    single = {
        "bank.groups": {name: [name] for name in ("crop", *APPEARANCE)},
        "bank.min_active": 2,
        "bank.probabilities": {"every": ACTING},
        "pretrain.objective": "simclr",
    }
    hold(["modality=image", "experiment=paper_simclr_image"], {**RESNET, **DOWNSTREAM, **single})


def test_paper_moco_v2_image() -> None:
    own = {
        "pretrain.objective": "moco_v2",
        "pretrain.momentum": 0.99,
        "pretrain.queue_size": 65_536,
    }
    config = ["modality=image", "experiment=paper_moco_v2_image"]
    hold(config, {**RESNET, **DOWNSTREAM, **TWO_GROUPS, **own})


def test_paper_moco_v3_image() -> None:
    own = {
        "backbone.name": "vit_base_patch16_224",
        "backbone.pool": "token",
        "backbone.dim": 0,
        "frontend.image_size": 224,
        "conditioning.name": "prompt",
        "conditioning.mlps": 256,
        "conditioning.signed": False,
        "conditioning.start": "paper",
        "init_weights": "vit-b-300ep.pth.tar",
        "pretrain.objective": "moco_v3",
        "pretrain.corners": "space",
        "pretrain.steps": 300 * (1_281_167 // 1024),
        "pretrain.warmup_steps": 40 * (1_281_167 // 1024),
        "pretrain.batch_size": 1024,
        "pretrain.optimiser": "adam",
        "pretrain.lr": 1.5e-4 * 1024 / 256,
        "pretrain.weight_decay": 0.1,
        "pretrain.temperature": 0.2,
        "pretrain.momentum": 0.99,
        "pretrain.projector": "per_descriptor",
        "pretrain.projector_layers": 3,
        "pretrain.projector_hidden": 4096,
        "pretrain.projector_dim": 256,
        "pretrain.projector_batch_norm": True,
        "pretrain.dropout": 0.0,
    }
    config = ["modality=image", "experiment=paper_moco_v3_image"]
    hold(config, {**DOWNSTREAM, **TWO_GROUPS, **own})


@pytest.mark.parametrize("experiment", ["paper_simclr_image", "paper_moco_v2_image"])
def test_ranges_of_the_image_augmentations(experiment: str) -> None:
    bank = image_bank(experiment)
    ranges = {
        name: [(p.low, p.high) for p in bank.augmentations[name].parameters]
        for name in ("crop", *APPEARANCE)
    }
    assert ranges["crop"][0] == (0.08, 1.0)
    assert ranges["crop"][1] == pytest.approx((-math.log(4 / 3), math.log(4 / 3)))
    expected = [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
    for ours, theirs in zip(ranges["colour_jitter"], expected, strict=True):
        assert ours == pytest.approx(theirs)
    assert (ranges["blur"], ranges["solarise"]) == ([(0.1, 2.0)], [(0.5, 0.5)])


def test_corners_of_the_image_experiments() -> None:
    assert len(image_bank("paper_simclr_image").space.corners) == 2**5 - 5 - 1
    assert image_bank("paper_moco_v2_image").space.corners.tolist() == [[0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("experiment", "corner", "grey"),
    [
        ("paper_simclr_image", "all", 0.2),
        ("paper_simclr_image", "crop+grayscale", 0.2),
        ("paper_simclr_image", "-grayscale", 0.0),
        ("paper_moco_v2_image", "all", 0.2),
        ("paper_moco_v2_image", "appearance", 1.0),
    ],
)
def test_share_of_grey_images(experiment: str, corner: str, grey: float) -> None:
    """Among drawn views of coloured images."""
    bank = image_bank(experiment)
    x = torch.rand(1200, 3, 1, 1, generator=generator(0, "colours")).expand(-1, -1, 12, 12)
    views, _ = bank.views(x, bank.space.parse(corner), generator(0, "views"))
    for view in views:
        colour = (view.amax(1) - view.amin(1)).amax((1, 2))
        assert float((colour < 1e-4).float().mean()) == pytest.approx(grey, abs=0.035)


def test_the_mean_face_alone_nearly_reaches_the_released_r2() -> None:
    """On outputs and targets of length 1, flattened; by ours, per value, the mean is worth 0."""
    draw = generator(0, "faces")
    mean = 0.2 + 0.6 * torch.rand(68, 2, generator=draw)
    faces = (mean + 0.012 * torch.randn(500, 68, 2, generator=draw)).flatten(1)
    told = faces.mean(0).expand_as(faces)
    theirs = r2_score(F.normalize(faces).flatten(), F.normalize(told).flatten())
    assert theirs == pytest.approx(0.995, abs=0.003)
    assert score(told, faces, "regression") == pytest.approx(0.0, abs=1e-4)


# --- audio protocol -------------------------------------------------------------------------------

PAPER_AUDIO = "experiment=paper_simclr_audio"
FRONT_END = {"sample_rate": 16000, "clip_s": 5.0, "n_bins": 128, "n_fft": 1024, "hop": 512}
HTK = {"mel_scale": "htk", "mel_norm": "none", "short_clips": "repeat", "normalise": "clip"}
SIMCLR_AUDIO = {
    **{f"frontend.{key}": value for key, value in {**FRONT_END, **HTK}.items()},
    "frontend.name": "log_mel_stft",
    "features.hop_s": 5.0,
    "features.drop_last": True,
    "backbone.name": "resnet18",
    "backbone.width": 1.0,
    "backbone.pool": "global",
    "pretrain.objective": "simclr",
    "pretrain.optimiser": "adam",
    "pretrain.lr": 5e-5,
    "pretrain.warmup_steps": 0,
    "pretrain.weight_decay": 1e-6,
    "pretrain.batch_size": 100,
    "pretrain.temperature": 0.07,
    "pretrain.projector": "per_descriptor",
    "pretrain.projector_layers": 2,
    "pretrain.projector_hidden": 512,  # d of a ResNet-18
    "pretrain.projector_dim": 256,
    "pretrain.projector_batch_norm": False,
    "bank.min_active": 2,
    "conditioning.bases": 32,
    "conditioning.stem": False,
    "conditioning.embedding": 16,
    "adapt.modes": ["paper", "fixed:all"],
}
RANGES = {
    "pitch_shift": {"semitones": (-15, 15)},
    "fade": {"fade_in": (0, 1 / 2), "fade_out": (0, 1 / 2)},
    "white_noise": {"snr_db": (3, 30)},
    "coloured_noise": {"snr_db": (3, 30), "decay": (-2, 2)},
    "time_mask": {"length": (0, 1 / 8)},
    "time_shift": {"shift": (-1 / 2, 1 / 2)},
    "time_stretch": {"rate": (1 / 2, 3 / 2)},
}
MT_SLVR = {
    "bank.acting": "shared_uniform",
    "bank.order": "random",
    "pretrain.predict": "applied",
    "pretrain.predict_weight": 1.0,
    "pretrain.corners": "all",
    "conditioning.name": "none",
}


def test_paper_simclr_audio() -> None:
    hold([PAPER_AUDIO], SIMCLR_AUDIO)


def test_ranges_of_the_seven_augmentations() -> None:
    options = asdict(compose_config([PAPER_AUDIO]).bank)
    assert options.pop("audiomentations") == []
    bank = build_bank(16000, **options)
    ours = {
        name: {p.name: (p.low, p.high) for p in a.parameters if p.name in RANGES[name]}
        for name, a in bank.augmentations.items()
    }
    assert ours == RANGES


def paper_frontend(*words: str) -> Any:
    return build_frontend(asdict(compose_config([PAPER_AUDIO, *words]).frontend))


def test_the_peak_of_a_sine_is_where_htk_filters_have_it() -> None:
    """440 Hz of amplitude .5, not normalised, in dB of power against 1."""
    x = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(80000) / 16000)[None]
    decibels = paper_frontend("frontend.normalise=none").decibels(x)[0, 0]
    assert int(decibels.amax(1).argmax()) == 24
    assert float(decibels.max()) == pytest.approx(42.225, abs=1e-3)


def test_three_channels_of_a_noise() -> None:
    """Against torchaudio, with the epsilon that the release adds."""
    x = 0.1 * torch.randn(2, 80000, generator=generator(0, "noise"))
    x = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=0)
    log_mel, magnitude, phase = paper_frontend().decibels(x).unbind(1)
    epsilon = torch.finfo(torch.float64).eps
    mel = torchaudio.transforms.MelSpectrogram(16000, 1024, hop_length=512, n_mels=128)(x)
    torch.testing.assert_close(log_mel, 10 * (mel + epsilon).log10(), atol=2e-3, rtol=0)
    spectra = torch.stft(x, 1024, 512, window=torch.ones(1024), return_complex=True)
    scale = torchaudio.transforms.MelScale(128, 16000, n_stft=513)
    z = torch.complex(scale(spectra.real), scale(spectra.imag))
    loud = z.abs() > 0.1  # the lowest filters are empty
    assert loud.float().mean() > 0.9
    expected = 10 * (z.abs() + epsilon).log10()
    torch.testing.assert_close(magnitude[loud], expected[loud], atol=2e-3, rtol=0)
    turned = (torch.exp(1j * phase) - torch.exp(1j * z.angle())).abs()
    assert float(turned[loud].max()) < 2e-3


def test_mt_slvr() -> None:
    hold([PAPER_AUDIO, "method=mt_slvr"], {**MT_SLVR, "pretrain.lr": 5e-5})
    hold(["method=mt_slvr"], MT_SLVR)
    head = ParameterPredictor(build_bank(16000), 512, 256, "applied").head
    assert [layer.out_features for layer in head[::3]] == [256, 64, 16, 7]


# --- baselines ------------------------------------------------------------------------------------


def test_augself_predicts_quantities_alone() -> None:
    """Ten of the fifteen parameters of sounds; of the images' seventeen all but the flip."""
    assert [p.name for p in quantities(sounds.build_bank(16000))] == [
        "semitones", "rate", "shift", "fade_in", "fade_out", "start", "length", "snr_db",
        "snr_db", "decay",
    ]  # fmt: skip
    told = [p.name for p in quantities(images.build_bank())]
    assert len(told) == 16 and "flip" not in told


def test_equimod_and_cassle_as_released() -> None:
    weights = {"pretrain.predict_weight": 1.0, "pretrain.predict_temperature": 0.2}
    hold(["method=equimod"], {"pretrain.predict": "embeddings", **weights})
    hold(["method=cassle"], {"pretrain.projector": "parameters"})
    assert EMBEDDING == [64] * 6


# --- few-shot -------------------------------------------------------------------------------------


def test_the_released_few_shot_protocol() -> None:
    published = {"n_way": 5, "k_shot": 1, "n_query": 1, "n_tasks": 10000}
    hold([], {f"fewshot_published.{key}": value for key, value in published.items()})
    assert (EPOCHS, RATE) == (20, 0.1)
    shares = PublishedFewShotConfig().class_split
    assert [len(part) for part in split_classes(50, shares, 0)] == [35, 5, 10], "of ESC-50"


# --- downstream adaptation ------------------------------------------------------------------------


def test_the_papers_downstream_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam at .01 without weight decay moves i from .5 and a linear head, 16 clips at a time."""
    hold([], {"adapt.lr": 0.01, "adapt.batch_size": 16, "adapt.epochs": 100})
    hold(["experiment=paper_simclr_audio"], {"adapt.lr": 0.01, "adapt.epochs": 100})
    encoder, x = small_encoder(), small_maps(40)
    targets = torch.arange(40) % 2
    rows = torch.arange(40)
    data = Labelled(targets, "classification", ["-", "+"], rows[:32], rows[32:])
    features = FeatureCache(encoder, x)
    made: list[tuple[list[torch.Tensor], dict[str, Any]]] = []
    adam = torch.optim.Adam

    class Watched(adam):  # type: ignore[misc, valid-type]
        def __init__(self, params: list[torch.Tensor], **settings: Any) -> None:
            made.append((list(params), settings))
            super().__init__(made[-1][0], **settings)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    started = learn_jointly(encoder, features, data, AdaptConfig(epochs=0))
    assert started.tolist() == [0.5, 0.5, 0.5]
    (descriptor, weight, bias), settings = made[0]
    assert descriptor.shape == (3,) and weight.shape == (2, encoder.dim) and bias.shape == (2,)
    assert settings == {"lr": 0.01}  # torch's Adam has no weight decay unless told
    moved = learn_jointly(encoder, features, data, AdaptConfig(epochs=1))
    assert 0 < float((moved - 0.5).abs().max()) <= 2 * 0.01 + 1e-6  # two batches of 16
    far = learn_jointly(encoder, features, data, AdaptConfig(epochs=3, lr=0.8))
    assert bool(((far >= 0) & (far <= 1)).all())


# --- InvCLR and Spirograph ------------------------------------------------------------------------


SPIROGRAPH = ["modality=spirograph", "experiment=paper_invclr_spirograph", "method=invclr"]
SPIROGRAPH_CONF = str(Path(__file__).parents[1] / "recipes" / "spirograph" / "ssl1" / "conf")


def test_spirograph() -> None:
    told = {"m": 3.1, "b": 0.6, "h": 1.2, "sigma": 0.5}
    colours = (1, 0.9, 0.8, 0, 0.1, 0.2)
    assert list(FACTORS)[:4] == list(told)
    factors = torch.tensor([[*told.values(), *colours]], dtype=torch.float64)
    red = render(factors)[0, 0]
    assert float(red.sum()) == pytest.approx(166.8949, abs=1e-4)
    assert int((red > 0.5).sum()) == 167


INVCLR = {
    "method": "invclr",
    "conditioning.name": "none",
    "backbone.stem": "cifar",
    "backbone.width": 1.0,
    "backbone.dim": 0,
    "backbone.pool": "global",
    "backbone.options": {"zero_init_last": False},
    "pretrain.objective": "simclr",
    "pretrain.corners": "all",
    "pretrain.batch_size": 512,
    "pretrain.optimiser": "lars",
    "pretrain.lr": 1.5 * 512 / 256,
    "pretrain.weight_decay": 1e-6,
    "pretrain.schedule": "cosine_from_start",
    "pretrain.temperature": 0.5,
    "pretrain.projector": "shared",
    "pretrain.projector_layers": 2,
    "pretrain.projector_dim": 128,
    "pretrain.projector_norm": True,
    "pretrain.calibration_clips": 0,
}


@pytest.mark.parametrize("corpus", ["cifar10", "cifar100"])
def test_invclr_on_cifar(corpus: str) -> None:
    per_epoch = 50_000 // 512
    published = {
        "backbone.name": "resnet50",
        "bank.names": ["crop", "horizontal_flip", "colour_jitter", "grayscale"],
        "bank.probabilities": {"all": {"colour_jitter": 0.8, "grayscale": 0.2}},
        "bank.ranges": {
            "colour_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
        },
        "pretrain.steps": 1000 * per_epoch,
        "pretrain.warmup_steps": 10 * per_epoch,
        "pretrain.projector_hidden": 2048,
        "pretrain.penalty": 0.1,
        "pretrain.penalty_draws": 100,
        "pretrain.penalty_clamp": 1.0,
        "pretrain.penalty_longest": math.inf,
        "pretrain.penalty_on": ["colour_jitter"],
        "adapt.readout": "logistic",
        "adapt.l2": 1e-5,
        "averaging.draws": [1, 10, 30, 100],
    }
    words = ["modality=image", f"experiment=paper_invclr_{corpus}", "method=invclr"]
    hold(words, INVCLR | published)


def test_invclr_on_spirograph() -> None:
    per_epoch = 100_000 // 512
    own = {"penalty": 0.01, "penalty_draws": 100, "penalty_clamp": 1000.0}
    colours = [f"background_{colour}" for colour in ("red", "green", "blue")]
    published = {
        "backbone.name": "resnet18",
        "bank.names": ["h", "foreground_green", "foreground_blue", *colours],
        "bank.probability": 1.0,
        "bank.ranges": {},
        "frontend.image_size": 32,
        "frontend.drawing": 2,
        "pretrain.steps": 50 * per_epoch,
        "pretrain.warmup_steps": 10 * per_epoch,
        "pretrain.projector_hidden": 512,
        "method_pretrain.invclr": {**own, "penalty_longest": math.inf},
        "adapt.l2": 1e-8,
    }
    hold(SPIROGRAPH, INVCLR | published, SPIROGRAPH_CONF)


def test_the_rate_of_invclr_on_spirograph() -> None:
    """After ten of 50 epochs, the warm-up's; it never reaches 3."""
    told = compose_config(SPIROGRAPH, SPIROGRAPH_CONF).pretrain
    rates = [learning_rate(told, step) for step in range(told.steps)]
    assert rates[told.warmup_steps] == pytest.approx(2.71353, abs=1e-5)
    assert max(rates) < 2.77


def test_the_readout_of_invclr() -> None:
    """The gradient of their criterion, the mean over images and values + l2 |W|^2, is zero."""
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :4] @ torch.ones(4, 4).triu() + x[:, 4:] ** 2
    readout = fit_readout(x, y, "regression", [], l2=0.1)
    z, weight = (x - readout.mean) / readout.std, readout.weight.clone().requires_grad_()
    loss = torch.nn.functional.mse_loss(z @ weight.T + readout.bias, y)
    (gradient,) = torch.autograd.grad(loss + 0.1 * weight.pow(2).sum(), weight)
    assert float(gradient.abs().max()) < 1e-5 < float(readout.weight.abs().min())
