"""Landmarks through the whole command line: several values from one readout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from scipy.io import savemat

from audioinv.cli import main

N, WIDTH, HEIGHT = 80, 24, 12


def write_poses(root: Path) -> None:
    """Every image has one bright spot, and all fourteen joints are at it."""
    random = np.random.default_rng(0)
    spots = random.uniform(0.2, 0.8, (N, 2)) * (WIDTH, HEIGHT)
    (root / "images").mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for k, (px, py) in enumerate(spots, 1):
        light = 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)
        image = np.repeat(light[..., None].astype(np.uint8), 3, axis=2)
        Image.fromarray(image).save(root / "images" / f"im{k:04d}.jpg", quality=95)
    joints = np.concatenate([spots.T, np.zeros((1, N))])
    savemat(root / "joints.mat", {"joints": np.repeat(joints[:, None], 14, axis=1)})


@pytest.mark.slow
def test_joints_are_adapted_to_and_scored_as_one_task(tmp_path: Path) -> None:
    write_poses(tmp_path / "lsp")
    settings = [
        "modality=image", "frontend.image_size=16", "bank.groups=null", "bank.min_active=1",
        "bank.names=[crop,grayscale]", "backbone=resnet10_narrow_cifar", "backbone.width=0.25",
        "backbone.dim=32", "conditioning.bases=2", "pretrain.steps=2", "pretrain.batch_size=12",
        "pretrain.projector_hidden=16", "pretrain.projector_dim=8", "accelerator=cpu",
        "adapt.modes=[fixed:all,search,search:validation,soft,paper]", "adapt.epochs=2",
        "tasks=[joints]", "features.layers=all", f"pack={tmp_path / 'pack'}",
        f"run={tmp_path / 'run'}", "finetune.epochs=2",
    ]  # fmt: skip
    manifest = str(tmp_path / "data" / "manifest.csv")
    pack = ["--out", str(tmp_path / "pack"), "--image_size", "16", "--image_fit", "squash"]
    commands = [
        ["prepare", "leeds_sports_pose", "--root", str(tmp_path), "--out", str(tmp_path / "data")],
        ["validate", manifest, "--nj", "1"],
        ["pack", manifest, *pack, "--nj", "1"],
        ["pretrain", *settings],
        ["adapt", *settings],
        ["evaluate", *settings],
        ["evaluate", *settings, "protocol=finetune", "adapt.modes=[fixed:all]"],
    ]
    for command in commands:
        assert main(command) == 0, command
    rows = {path: json.loads(path.read_text()) for path in (tmp_path / "run").rglob("result.json")}
    assert len(rows) == 6
    for path, row in rows.items():
        assert (row["task"], row["metric"], row["n_test"]) == ("joints", "r2", N // 2)
        assert load_file(path.with_name("per_clip.safetensors"))["score"].shape == (N // 2,)
        if row["protocol"] == "regression-v1":
            assert row["value"] > 0.3, (path, row)
    fitted = load_file(next((tmp_path / "run").rglob("adapted.safetensors")))
    assert fitted["0.weight"].shape[0] == 28
