"""Images are searched and shown as sounds are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import audioinv as ai
from audioinv.base.randomness import seeded
from audioinv.cli import main
from audioinv.core.descriptor import DescriptorSpace
from audioinv.search.explore import explorer
from audioinv.search.page import media_of, render


def test_images_are_searched_and_shown(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(14):
        colour = random.integers(0, 255, (1, 1, 3)) + random.integers(0, 30, (16, 16, 3))
        path = tmp_path / "images" / f"kind{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colour.clip(0, 255).astype(np.uint8)).save(path)
    data, packed = str(tmp_path / "data"), str(tmp_path / "pack")
    given = ["--root", str(tmp_path / "images"), "--out", data]
    assert main(["prepare", "image_folder", *given]) == 0
    assert main(["pack", data, "--out", packed, "--image_size", "16", "--nj", "1"]) == 0
    pack, image = ai.open_pack(packed), ai.modality("image")
    front = image.frontend("pixels", image_size=16)
    with seeded(0, "encoder"):
        network = ai.backbone("resnet18", front.output_size, width=0.125, stem="no_pool", dim=8)
        encoder = ai.Encoder(front, network, "norm", DescriptorSpace.single(["blur"]))
    encoder.calibrate([image.clips(front, pack, range(14))])
    encoder.save(tmp_path / "encoder")
    index = ai.index(pack, tmp_path / "encoder", tmp_path / "index")
    file = tmp_path / "images" / pack.frame["path"][3]
    assert index.similar(file, k=1)["id"].tolist() == [pack.frame["id"][3]]
    shown = explorer(index, 14)
    assert shown.ask(file)[1]["1"][0] == 3
    told = media_of(shown.show(3))
    assert told["picture"].startswith("data:image/png") and told["sound"] == ""
    assert "are played" not in render(shown)
