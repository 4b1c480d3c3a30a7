"""A pack of tones, and an encoder that was never trained: whose neighbours differ by corner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile

import audioinv as ai
from audioinv.base.randomness import seeded
from audioinv.cli import main
from audioinv.core.descriptor import DescriptorSpace
from audioinv.search.explore import Explorer, explorer
from audioinv.search.index import Index, index
from audioinv.search.server import Server

RATE = 8000
NAMES = ["pitch_shift", "white_noise"]


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> ai.Pack:
    """Five classes of six tones."""
    folder, random = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    time = np.arange(RATE * 4 // 10) / RATE
    for label in range(5):
        for number in range(6):
            hz = 220 * 2 ** (label / 3) * random.uniform(0.97, 1.03)
            tone = 0.4 * np.sin(2 * np.pi * hz * time) + 0.05 * random.standard_normal(len(time))
            path = folder / "audio" / f"tone{label}" / f"{label}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone, RATE)
    made, packed = str(folder / "data"), str(folder / "pack")
    assert main(["prepare", "folder", "--root", str(folder / "audio"), "--out", made]) == 0
    assert main(["pack", made, "--out", packed, "--sample_rate", str(RATE), "--nj", "1"]) == 0
    return ai.open_pack(packed)


def write_encoder(pack: ai.Pack, folder: Path, seed: int) -> Path:
    """A small one at random weights, with its statistics of the pack."""
    audio = ai.modality("audio")
    front = audio.frontend("log_mel", sample_rate=RATE, clip_s=0.4, n_fft=512, hop=256, n_bins=24)
    with seeded(seed, "encoder"):
        network = ai.backbone(
            "resnet18", front.output_size, width=0.125, dim=16, options={"layers": [1, 1, 1, 1]}
        )
        encoder = ai.Encoder(front, network, "norm", DescriptorSpace.single(NAMES))
        for weight in encoder.conditioning.parameters():
            weight.data.normal_(0, 0.5)
    encoder.calibrate([audio.clips(front, pack, range(len(pack)))])
    encoder.save(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(pack: ai.Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(pack, tmp_path_factory.mktemp("encoder"), 0)


@pytest.fixture(scope="session")
def made(pack: ai.Pack, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """The index of the pack."""
    return index(pack, encoder, tmp_path_factory.mktemp("search") / "index")


@pytest.fixture(scope="session")
def shown(made: Index) -> Explorer:
    """What a page shows of it."""
    return explorer(made, 30)


@pytest.fixture(scope="session")
def server(shown: Explorer) -> Iterator[Server]:
    """It is served."""
    with Server(shown, port=0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
