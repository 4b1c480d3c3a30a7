"""The configs of images: the backbones that they name, built, and what the command line says."""

from __future__ import annotations

import math
import re
from dataclasses import asdict

import pytest
import torch

from audioinv.base.randomness import generator
from audioinv.cli import main
from audioinv.conf.compose import compose_config
from audioinv.conf.unread import refuse_unread
from audioinv.core.backbone import build_backbone
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.penalty import GradientPenalty
from audioinv.training.loop import PretrainConfig
from audioinv.training.optimiser import make_optimiser
from vision.augment import build_bank
from vision.frontend import Pixels


def test_the_tiny_vit_takes_small_images_and_a_prompt() -> None:
    config = compose_config(["modality=image", "backbone=vit_tiny_cifar", "conditioning=prompt"])
    parts = asdict(config.backbone), asdict(config.conditioning)
    encoder = AmortisedEncoder(Pixels(32), *parts, build_bank(names=["crop", "blur"]).space)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    on, off = (encoder(x, torch.tensor(i)) for i in ([1.0, 1.0], [1.0, 0.0]))
    assert on.shape == (2, 192) and not torch.allclose(on, off, atol=1e-3)
    assert len(encoder.backbone.trunk.blocks) == 6


def test_quick_views_keep_colour_and_brightness_where_nothing_should_take_them() -> None:
    """An inactive component acts alike on both views; at one strength on all images."""
    bank = build_bank(**asdict(compose_config(["modality=image", "experiment=image_quick"]).bank))
    corner = bank.space.parse("-grayscale+solarise")
    first, second = bank.sample_pair(300, corner, generator(0, "views"))
    kept = {"grayscale": first["grayscale"] < 0.5, "solarise": first["solarise"] > 0.75}
    for name, rows in kept.items():
        assert 0.35 < rows.float().mean() < 0.65, name
        assert torch.equal(first[name], second[name])


@pytest.mark.parametrize(
    ("overrides", "dim", "heads"),
    [
        (["backbone=vit_small"], 384, 6),
        (["backbone=vit_small", "+backbone.options.num_heads=12"], 384, 12),
        (["backbone=vit_base"], 768, 12),
    ],
)
def test_the_other_vits_are_stock(overrides: list[str], dim: int, heads: int) -> None:
    options = asdict(compose_config(["modality=image", *overrides]).backbone)
    with torch.device("meta"):
        vit = build_backbone(input_size=(3, 224, 224), **options)
    assert (vit.dim, vit.trunk.blocks[0].attn.num_heads) == (dim, heads)
    assert vit.trunk.patch_embed.grid_size == (14, 14)


@pytest.mark.parametrize("corpus", ["cifar10", "cifar100"])
@pytest.mark.parametrize("words", [[], ["method=invclr"], ["method=simclr"]])
def test_invclr_s_settings_are_the_paper_s(corpus: str, words: list[str]) -> None:
    config = compose_config(["modality=image", f"experiment=paper_invclr_{corpus}", *words])
    told = config.pretrain
    assert (told.batch_size, told.lr) == (512, 1.5 * 512 / 256)
    assert (told.optimiser, told.weight_decay, told.temperature) == ("lars", 1e-6, 0.5)
    assert (told.steps, told.warmup_steps) == (1000 * (50000 // 512), 10 * (50000 // 512))
    assert (told.projector_layers, told.projector_hidden, told.projector_dim) == (2, 2048, 128)
    assert told.projector_norm and told.corners == "all"
    plain = words == ["method=simclr"]
    assert config.method == ("simclr" if plain else "invclr")
    assert told.penalty == (0.0 if plain else 0.1)
    assert (told.penalty_clamp, told.penalty_draws) == (1.0, 100)
    assert told.penalty_longest == math.inf
    assert (config.backbone.name, config.backbone.stem, config.backbone.dim) == (
        "resnet50", "cifar", 0,
    )  # fmt: skip
    assert config.conditioning.name == "none"
    assert (config.adapt.readout, config.adapt.l2) == ("logistic", 1e-5)
    assert max(config.averaging.draws) == 100
    bank = build_bank(**asdict(config.bank))
    assert GradientPenalty(bank, 4, 0.1, names=told.penalty_on).names == ["colour_jitter"]
    jitter = bank.augmentations["colour_jitter"].parameters
    assert [p.low for p in jitter] == pytest.approx([0.6, 0.6, 0.6, -0.1])
    assert [p.high for p in jitter] == pytest.approx([1.4, 1.4, 1.4, 0.1])
    params = bank.sample(4000, bank.space.all_on(), torch.Generator().manual_seed(0))
    acts = {n: float(a.acts(params[n]).float().mean()) for n, a in bank.augmentations.items()}
    expected = {"crop": 1, "horizontal_flip": 0.5, "colour_jitter": 0.8, "grayscale": 0.2}
    assert acts == pytest.approx(expected, abs=0.03)


def test_lars_trusts_a_thousandth() -> None:
    optimiser = make_optimiser(torch.nn.Linear(2, 2), PretrainConfig(optimiser="lars"))
    assert optimiser.defaults["trust_coeff"] == 1e-3
    assert optimiser.defaults["momentum"] == 0.9


def test_what_an_experiment_brings_along_is_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A queue that SimCLR does not read."""
    words = ["modality=image", "experiment=image_debug"]
    refuse_unread(compose_config(words), words)
    assert caplog.text == ""


@pytest.mark.parametrize("first", [True, False])
def test_defaults_in_the_help_are_those_of_the_modality_and_method(
    capsys: pytest.CaptureFixture[str], first: bool
) -> None:
    words = ["modality=image", "method=moco"]
    with pytest.raises(SystemExit):
        main(["pretrain", *(["--help", *words] if first else [*words, "--help"])])
    text = capsys.readouterr().out
    for word in (
        "frontend.image_size=32", "pretrain.objective=moco_v2", "method=moco",
        "bank.groups={spatial:[crop,horizontal_flip],"
        "appearance:[colour_jitter,grayscale,blur,solarise]}",
        "conditioning.rank=0", "conditioning.gain=1.0",
    ):  # fmt: skip
        assert re.search(rf"^  {re.escape(word)}( |$)", text, re.MULTILINE), word
    assert "sample_rate" not in text and "image2" in text
    assert not re.search("audio7|log_mel|simclr_time|benchmark_quick", text), "groups of sounds"
