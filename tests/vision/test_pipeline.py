"""The whole command line over a tiny folder of images, once; then what it made and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audioinv import load_encoder
from audioinv.cli import main

pytestmark = pytest.mark.slow

SIZE = 16
NAMES = ["crop", "colour_jitter", "grayscale"]
SMALL = (
    "modality=image",
    f"frontend.image_size={SIZE}",
    "bank.groups=null",
    "bank.names=[crop,colour_jitter,grayscale]",
    "bank.min_active=1",
    "backbone=resnet10_narrow_cifar",
    "backbone.width=0.125",
    "backbone.dim=16",
    "conditioning.bases=2",
    "pretrain.steps=3",
    "pretrain.batch_size=12",
    "pretrain.projector_hidden=16",
    "pretrain.projector_dim=8",
    "adapt.modes=[fixed:all,search,soft]",
    "measure.n_clips=12",
    "accelerator=cpu",
)


def write_images(root: Path) -> None:
    """Three classes of grey level, 12 to train on, 4 to choose on and 4 to test on each."""
    random = np.random.default_rng(0)
    for label in range(3):
        for number in range(20):
            split = "train" if number < 12 else "valid" if number < 16 else "test"
            image = 60 + 60 * label + random.integers(-40, 40, (SIZE, SIZE, 3))
            path = root / split / f"grey{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every command has run."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder / "images")
    settings = [*SMALL, f"pack={folder / 'pack'}", f"statistics={folder / 'exp/statistics.json'}"]
    settings.append(f"run={folder / 'exp/amortised_s0'}")
    manifest = str(folder / "data" / "manifest.csv")
    packed = ["--out", str(folder / "pack"), "--image_size", str(SIZE), "--nj", "1"]
    commands = [
        [
            "prepare",
            "image_folder",
            "--root",
            str(folder / "images"),
            "--out",
            str(folder / "data"),
        ],
        ["validate", manifest, "--nj", "1"],
        ["pack", manifest, *packed],
        ["statistics", *settings],
        ["pretrain", *settings],
        ["adapt", *settings],
        ["evaluate", *settings],
        ["evaluate", *settings, "protocol=factors"],
        ["measure", *settings],
        ["embed", "--out", str(folder / "features.parquet"), *settings],
        ["export", "--out", str(folder / "encoder.pt2"), *settings],
        ["report", str(folder / "exp"), "--pack", str(folder / "pack")],
    ]
    for command in commands:
        assert main(command) == 0, command
    return folder


def test_tasks_are_scored_with_those_that_images_give_without_labels(world: Path) -> None:
    found = {}
    for path in (world / "exp/amortised_s0/tasks").glob("*/*/*/result.json"):
        row = json.loads(path.read_text())
        found[row["task"], row["mode"], row["protocol"].split("-")[0]] = row
    label = next(t for t, _, p in found if p == "linear")
    assert {t for t, _, p in found if p == "regression"} == {
        "rotation", "hue", "crop_position", "blur",
    }  # fmt: skip
    assert found[label, "search", "linear"]["value"] > 0.5, "grey levels are plain to see"
    assert set(found[label, "soft", "linear"]["descriptor"]) == set(NAMES)
    assert ("crop.x", "off", "factors") in found


def test_invariance_is_measured_for_every_component(world: Path) -> None:
    measured = json.loads((world / "exp/amortised_s0/measure.json").read_text())
    assert measured["names"] == NAMES
    assert measured["matrix"]["columns"] == NAMES


def test_the_page_shows_every_augmentation_as_images(world: Path) -> None:
    page = (world / "exp/report.html").read_text()
    assert page.count("data:image/png;base64") >= 6 and "<audio" not in page
    examples = json.loads((world / "exp/examples/examples.json").read_text())
    for example in examples:
        before, after = (
            Image.open(world / "exp/examples" / example[s][0]) for s in ("before", "after")
        )
        assert before.size == after.size and before.size[1] >= 64
        assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).max() > 0


def test_a_plain_network_is_embedded_exported_and_loaded_alike(world: Path) -> None:
    table = pd.read_parquet(world / "features.parquet")
    encoder = load_encoder(world / "exp/amortised_s0/encoder")
    program = torch.export.load(world / "encoder.pt2").module()
    x = torch.rand(5, 3, SIZE, SIZE)
    assert program(x).shape == (5, 16) == encoder(x, encoder.space.all_on()).shape
    assert len(table) == 60 and len(table["feature"][0]) == 16


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["pack", "{data}", "--out", "{new}", "--sample_rate", "8000"], "give --image_size"),
        (["pretrain", *SMALL, "pack={pack}", "run={new}", "frontend.image_size=8"], "size 16"),
        (["pretrain", *SMALL, "pack={pack}", "run={new}", "frontend.clip_s=1"], "clip_s"),
        (["pretrain", "modality=smell", "pack={pack}", "run={new}"], "give one of audio, image"),
        (["statistics", "pack={pack}", "statistics={new}"], "modality image"),
    ],
)
def test_what_does_not_fit_is_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], said: str
) -> None:
    data, pack, new = world / "data/manifest.csv", world / "pack", tmp_path / "new"
    filled = [
        word.replace("{data}", str(data)).replace("{pack}", str(pack)).replace("{new}", str(new))
        for word in command
    ]
    assert main(filled) == 2
    assert said in capsys.readouterr().err
    assert not new.exists()
