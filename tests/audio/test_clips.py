"""What pre-training draws of a pack: every recording in proportion to its length."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import soundfile
import torch

import audioinv as ai
from audioinv.audio.clips import RandomCrops
from audioinv.audio.corpora import folder
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.data.manifest import Corpus, Manifest, read_manifest
from audioinv.data.pack import Pack, build_pack
from audioinv.training.order import batch_indices

RATE = 8000
CORPUS = Corpus("long", "Long", "made here", "CC0-1.0", ".", RATE)


def packed(folder: Path, lengths: Sequence[int]) -> Pack:
    """Clips of these many samples, which count up through all of them together (modulo 2^16)."""
    folder.mkdir()
    values = np.arange(sum(lengths)).astype(np.uint16).view(np.int16)
    ends = np.cumsum(lengths)
    for k, clip in enumerate(np.split(values, ends[:-1])):
        soundfile.write(folder / f"{k}.wav", clip, RATE)
    names = [f"{k}.wav" for k in range(len(lengths))]
    durations = np.array(lengths) / RATE
    rows = {"id": names, "path": names, "start": 0.0, "duration": durations, "sample_rate": RATE}
    manifest = Manifest(pd.DataFrame({**rows, "split": "train"}), CORPUS, folder)
    return build_pack(manifest, folder / "pack", Sounds(RATE))


def starts(x: torch.Tensor) -> np.ndarray:
    """Where crops of `packed` begin in all the sound."""
    return (x[:, 0].double().numpy() * 32768).astype(np.int64) % 65536


def test_crops_begin_anywhere_in_all_the_sound_alike(tmp_path: Path) -> None:
    """Kolmogorov and Smirnov's test, over three epochs; and the share of every recording."""
    lengths, n = [12_000, 31_000, 22_000], 50
    crops = RandomCrops(packed(tmp_path / "long", lengths), range(3), n)
    assert len(crops) == sum(lengths) // n == 1300
    found = [
        starts(crops.batch(batch_indices(1300, 100, 0, step), generator(0, "crops", step, 0)))
        for step in range(39)
    ]
    where = np.concatenate(found)
    assert scipy.stats.kstest(where / sum(lengths), "uniform").pvalue > 0.01
    shares = np.diff(np.searchsorted(np.sort(where), [0, 12_000, 43_000, 65_000]))
    assert shares.tolist() == [3 * length // n for length in lengths]
    ends = np.cumsum(lengths)  # a crop is of one recording and does not run over into the next
    assert (
        np.searchsorted(ends, where, "right") == np.searchsorted(ends, where + n - 1, "right")
    ).all()


def test_clips_below_two_windows_are_drawn_as_ever(tmp_path: Path) -> None:
    """One entry a clip, in the order of rows: against the rule written out."""
    lengths, n, rows = [99, 100, 101, 199, 30, 150], 100, [5, 0, 2, 3, 4]
    pack = packed(tmp_path / "short", lengths)
    crops = RandomCrops(pack, rows, n)
    assert len(crops) == 5
    indices = torch.tensor([4, 1, 0, 2, 3])
    x = crops.batch(indices, generator(3))
    position = torch.rand(5, generator=generator(3)).double()
    for b, index in enumerate(indices.tolist()):
        clip = pack.samples(rows[index])
        start = int(position[b] * (max(len(clip) - n, 0) + 1))
        expected = np.zeros(n, np.float32)
        part = clip[start : start + n]
        expected[: len(part)] = part / np.float32(32768)
        np.testing.assert_array_equal(x[b].numpy(), expected)


def test_batches_of_long_clips_do_not_depend_on_how_many_share_them(tmp_path: Path) -> None:
    crops = RandomCrops(packed(tmp_path / "long", [5000, 300]), [1, 0], 100)
    order = torch.randperm(len(crops), generator=generator(0))[:12]
    whole = crops.batch(order, generator(1))
    parts = [crops.batch(order, generator(1), slice(6 * r, 6 * r + 6)) for r in range(2)]
    assert torch.equal(torch.cat(parts), whole)
    rows = torch.tensor([7, 0, 7])  # with a twin
    assert torch.equal(crops.batch(order, generator(1), rows), whole[rows])


def pretrain(pack: Pack, run: Path, **settings: Any) -> None:
    modality = ai.modality("audio")
    bank = modality.bank(RATE, names=["time_shift", "fade"])
    with seeded(0, "encoder"):
        frontend = modality.frontend(
            "log_mel", sample_rate=RATE, clip_s=0.25, n_fft=256, hop=128, n_bins=32
        )
        network = {"name": "resnet18", "width": 0.0625, "dim": 4}
        encoder = ai.Encoder(frontend, network, "norm", bank.space)
    ai.pretrain(encoder, bank, pack, run, device="cpu", **settings)


def test_three_long_recordings_fill_batches(tmp_path: Path) -> None:
    pack = packed(tmp_path / "long", [20_000, 30_000, 15_000])
    pretrain(pack, tmp_path / "run", steps=2, batch_size=16)
    assert (tmp_path / "run/encoder/encoder.json").exists()
    with pytest.raises(UserError, match=r"32 training clips .*batch of 33; lower pretrain\.batch"):
        pretrain(pack, tmp_path / "more", steps=2, batch_size=33)


def write_hours(root: Path, hours: float, files: int = 3) -> None:
    """Noise, a minute at a time."""
    root.mkdir()
    minute = (np.random.default_rng(0).standard_normal(60 * RATE) * 3000).astype(np.int16)
    for k in range(files):
        with soundfile.SoundFile(root / f"{k}.wav", "w", RATE, 1, "PCM_16") as file:
            for _ in range(round(60 * hours / files)):
                file.write(minute)


@pytest.mark.slow
def test_an_hour_in_three_files_pre_trains(tmp_path: Path, hours: float = 1.0) -> None:
    """From files to an encoder; beside the sound itself, in the memory that six minutes take."""
    peaks = []
    for name, length in (("short", 0.1), ("long", hours)):
        write_hours(tmp_path / name, length)
        manifest = read_manifest(folder.prepare(tmp_path / name, tmp_path / f"{name}_data"))
        pack = build_pack(manifest, tmp_path / f"{name}_pack", Sounds(RATE))
        pretrain(pack, tmp_path / f"{name}_run", steps=20, batch_size=128)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert len(pack) == 3
    sound = hours * 3600 * RATE * 2 / 2**20  # mapped, so the system may take it back
    assert peaks[1] - peaks[0] < sound + 100, peaks
