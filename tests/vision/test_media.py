"""Images of a pack: of one size, untouched where they have it, and where a label says they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audioinv.base.errors import UserError
from audioinv.data.manifest import Corpus, Manifest
from audioinv.data.modality import media_of
from audioinv.data.pack import build_pack
from audioinv.data.shards import open_shards
from vision.clips import TrainingImages, batches, pixels
from vision.media import Images


def save(path: Path, image: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Five random images of 8 pixels a side."""
    random = np.random.default_rng(0)
    for k in range(5):
        save(tmp_path / "images" / f"{k}.png", random.integers(0, 256, (8, 8, 3), np.uint8))
    frame = pd.DataFrame(
        {"id": [f"i{k}" for k in range(5)], "path": [f"{k}.png" for k in range(5)], "index": 0,
         "split": "train"}
    )  # fmt: skip
    corpus = Corpus("tiny", "Tiny", "made here", "CC0-1.0", ".", 0, modality="image")
    return Manifest(frame, corpus, tmp_path / "images")


def test_images_of_the_right_size_are_packed_as_they_are(
    manifest: Manifest, tmp_path: Path
) -> None:
    pack = build_pack(manifest, tmp_path / "pack", Images(8), shard_clips=2)
    expected = torch.stack(
        [torch.from_numpy(np.array(Image.open(manifest.root / f"{k}.png"))) for k in (4, 0)]
    ).permute(0, 3, 1, 2)
    torch.testing.assert_close(pixels(pack, [4, 0]), expected / 255)
    x, rows = zip(*batches(pack, batch_size=2), strict=True)
    torch.testing.assert_close(torch.cat(x)[4], expected[0] / 255)
    assert torch.cat(rows).tolist() == [0, 1, 2, 3, 4]
    training = TrainingImages(pack, [4, 0])
    assert len(training) == 2
    drawn = training.batch(torch.tensor([1, 0]), torch.Generator())
    torch.testing.assert_close(drawn, expected.flip(0) / 255)


def test_another_fit_is_another_pack(manifest: Manifest, tmp_path: Path) -> None:
    packs = [build_pack(manifest, tmp_path / f, Images(8, f)) for f in ("crop", "squash")]
    assert packs[0].content_key != packs[1].content_key


def test_crop_takes_the_centre_and_squash_the_whole() -> None:
    """A wide image, black but for its middle third, which is white."""
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert Images(10).fitted(wide).min() == 255
    squashed = Images(9, "squash").fitted(wide)[:, :, 0]
    assert squashed[:, 4].min() == 255 and squashed[:, [0, 8]].max() == 0
    assert np.abs(squashed.mean() - 255 / 3) < 3


def test_scaling_down_does_not_alias() -> None:
    """Stripes of one pixel become grey, not stripes."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = Images(16).fitted(stripes).astype(float)[2:-2, 2:-2]
    assert np.abs(small - 127.5).max() < 12


def test_how_other_proportions_fit_is_an_option_of_the_pack() -> None:
    given = {"image_size": 32, "image_fit": "squash", "sample_rate": None}
    assert media_of("image", given) == Images(32, "squash")
    assert media_of("image", {**given, "image_fit": None}) == Images(32, "crop")
    with pytest.raises(UserError, match="not --image_fit"):
        media_of("spirograph", {"image_size": 32, "image_fit": "squash"})
    with pytest.raises(UserError, match=r"fit.*'stretch'.*crop.*squash"):
        Images(8, "stretch")


def test_shards_of_images_are_read_as_those_of_sounds_are(tmp_path: Path) -> None:
    """What else shards promise, tests/data/test_shards.py shows."""
    wds = pytest.importorskip(
        "webdataset", reason="webdataset is not installed: pip install 'audioinv[webdataset]'"
    )
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    with wds.TarWriter(str(tmp_path / "a.tar")) as sink:
        sink.write({"__key__": "a", "png": image, "cls": 3})
    clips = open_shards(str(tmp_path / "a.tar"), Images(8), "image")
    np.testing.assert_array_equal(clips.samples(0), image.transpose(2, 0, 1).ravel())
