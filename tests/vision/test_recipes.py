"""The recipes of images: their methods, their corpora, their papers' settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.recipes.recipes import (
    IMAGES,
    LANDMARKS,
    RECIPES,
    after,
    commands,
    composed,
    copied,
    results,
)


@pytest.mark.slow
def test_every_method_of_the_image_recipes_composes() -> None:
    stage = ("--stage", "pretrain", "--stop_stage", "pretrain")
    words = {w for name in IMAGES[:-1] for line in commands(name, *stage) for w in line}
    methods = sorted(word for word in words if word.startswith("method="))
    assert len(methods) >= 8
    for method in methods:
        config = composed("cifar10", "experiment=cpu_quick", method)
        assert f"method={config.method}" == method


def test_imagenet100_takes_the_hundred_classes() -> None:
    listed = RECIPES / "imagenet100" / "ssl1" / after(commands("imagenet100")[0], "--classes")
    assert len(listed.read_text().split()) == 100


@pytest.mark.parametrize("corpus", LANDMARKS)
def test_landmarks_squash_and_keep_corpora_apart(corpus: str) -> None:
    lines = commands("landmarks", "--corpus", corpus)
    assert lines[0][:2] == ["prepare", corpus]
    assert after(next(words for words in lines if words[0] == "pack"), "--image_fit") == "squash"
    assert f"run=exp/{corpus}/cpu_quick/moco_s0" in [word for words in lines for word in words]
    assert f"landmarks/ssl1/run.sh --corpus {corpus} --config" in after(lines[-1], "--made_by")


def test_landmarks_of_another_corpus_are_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        commands("landmarks", "--corpus", "cifar10")
    assert "'cifar10'; give one of ibug_300w celeba" in refused.value.stderr


def test_imagenet100s_paper_config_is_the_papers_moco_v2() -> None:
    own, published = (
        composed("imagenet100", f"experiment={name}") for name in ("paper", "paper_moco_v2_image")
    )
    assert (own.pretrain, own.bank, own.backbone, own.conditioning, own.adapt) == (
        published.pretrain, published.bank, published.backbone, published.conditioning,
        published.adapt,
    )  # fmt: skip


def test_papers_invclr_config_is_that_of_facts() -> None:
    config = composed("spirograph", "experiment=paper_invclr_spirograph", "method=invclr")
    told, own = config.pretrain, config.method_pretrain["invclr"]
    assert told.steps == 50 * (100000 // 512) and told.warmup_steps == 10 * (100000 // 512)
    assert (told.batch_size, told.optimiser, told.weight_decay) == (512, "lars", 1e-6)
    assert told.lr == pytest.approx(1.5 * 512 / 256) and told.temperature == 0.5
    assert (told.projector_hidden, told.projector_dim, told.projector_norm) == (512, 128, True)
    assert (own["penalty"], own["penalty_clamp"], own["penalty_draws"]) == (0.01, 1000, 100)
    assert (config.backbone.name, config.backbone.width, config.backbone.dim) == ("resnet18", 1, 0)
    assert config.adapt.l2 == 1e-8 and max(config.averaging.draws) == 30


def write_cifar10(root: Path) -> Path:
    """CIFAR-10's binary layout: a byte of label and 3 x 32 x 32 of pixels an image."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        images = noise.integers(0, 256, (40, 3073), np.uint8)
        images[:, 0] = np.arange(40) % 10
        (folder / f"{name}.bin").write_bytes(images.tobytes())
    classes = "\n".join(f"class{k}" for k in range(10))
    (folder / "batches.meta.txt").write_text(classes + "\n")
    return root


def write_imagenet(root: Path) -> Path:
    """Two classes of 30 images to train on and 10 to test on, none of them square."""
    noise = np.random.default_rng(0)
    for part, count in (("train", 30), ("val", 10)):
        for label in ("n01", "n02"):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (40, 56, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{label}_{number}.JPEG")
    (root / "classes.txt").write_text("n01\nn02\n")
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_debug_config_of_cifar10_runs(tmp_path: Path) -> None:
    options = ["--data_root", write_cifar10(tmp_path / "images"), "--measured", "moco"]
    few = "tasks=[category,hue] pretrain.calibration_clips=32"
    methods = ["--methods", "amortised moco", "--audioinv_opts", few]
    told = results(copied("cifar10", tmp_path), tmp_path, *options, *methods)
    assert "category (accuracy, %)" in told and "hue (R²)" in told
    assert "| *test clips* | 40 | 40 |" in told and "Amortised MoCo-v2" in told
    assert "data:image/png" in (tmp_path / "exp" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_debug_config_of_imagenet_runs(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path / "images")
    options = ["--data_root", root, "--prepare_opts", f"--classes {root / 'classes.txt'}"]
    script = copied("imagenet100", tmp_path)
    told = results(script, tmp_path, *options, "--methods", "amortised", "--skip_stages", "measure")
    assert "category (accuracy, %)" in told and "| *test clips* | 20 |" in told
