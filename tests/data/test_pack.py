"""Packs: exact samples, restarts, rebuilds only when something changed, and no half pack ever."""

from __future__ import annotations

import json
import os
import pickle
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import scipy.signal
import soundfile
import torch

from audioinv.audio.clips import waveforms
from audioinv.audio.io import write_wav
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data import pack as pack_module
from audioinv.data.manifest import Corpus, Manifest
from audioinv.data.pack import build_pack, open_pack
from audioinv.data.parallel import Local
from audioinv.data.task import Task

RATE = 8000
CORPUS = Corpus("tiny", "Tiny", "made here", "CC0-1.0", ".", RATE, (Task("kind", "kind"),))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Seven clips of random 16-bit samples and growing length."""
    root = tmp_path / "audio"
    random = np.random.default_rng(0)
    lengths = [1000 + 100 * i for i in range(7)]
    for i, n in enumerate(lengths):
        write_wav(root / f"{i}.wav", random.integers(-32768, 32768, n) / 32768, RATE)
    frame = pd.DataFrame(
        {
            "id": [f"clip{i}" for i in range(7)],
            "path": [f"{i}.wav" for i in range(7)],
            "start": 0.0,
            "duration": np.array(lengths) / RATE,
            "sample_rate": RATE,
            "split": ["train"] * 5 + ["valid", "test"],
            "kind": ["a", "b, c", "ü", "a", "a", "a", "a"],
        }
    )
    return Manifest(frame, CORPUS, root)


def pcm(manifest: Manifest, index: int) -> np.ndarray:
    return soundfile.read(manifest.root / f"{index}.wav", dtype="int16")[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def times(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_are_exactly_the_files(manifest: Manifest, tmp_path: Path, workers: int) -> None:
    pack = build_pack(manifest, tmp_path / "pack", Sounds(RATE), Local(workers), shard_clips=3)
    assert (len(pack), pack.size, pack.corpus, pack.reused) == (7, RATE, CORPUS, False)
    for index in range(7):
        np.testing.assert_array_equal(pack.samples(index), pcm(manifest, index))
    expected = manifest.frame.assign(n_samples=[1000 + 100 * i for i in range(7)])
    pd.testing.assert_frame_equal(pack.frame, expected, check_dtype=False)


def test_samples_are_views_of_the_memory_map(manifest: Manifest, tmp_path: Path) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    pack = build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=2)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert np.shares_memory(pack.samples(3), pack.samples(3))
    assert not pack.samples(3).flags.writeable
    assert str(tmp_path / "pack" / "shard-00001.arrow") in Path("/proc/self/maps").read_text()


def test_a_segment_resampled_agrees_with_scipy(manifest: Manifest, tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(manifest.root / "0.wav", np.stack([tone, tone], 1), 44100)
    row = manifest.frame.iloc[:1].assign(start=0.25, duration=0.5)
    pack = build_pack(Manifest(row, CORPUS, manifest.root), tmp_path / "pack", Sounds(16000))
    reference = scipy.signal.resample_poly(tone[11025 : 11025 + 22050], 160, 441)
    assert pack.frame["n_samples"].tolist() == [8000]
    np.testing.assert_allclose(pack.samples(0)[400:-400] / 32768, reference[400:-400], atol=2e-3)


def test_a_batch_slices_scales_and_pads(manifest: Manifest, tmp_path: Path) -> None:
    pack = build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=3)
    batch = waveforms(pack, [6, 0, 4], 1200, offsets=[10, 900, 0])
    expected = torch.zeros(3, 1200)
    for row, (index, offset) in enumerate([(6, 10), (0, 900), (4, 0)]):
        part = pcm(manifest, index)[offset : offset + 1200]
        expected[row, : len(part)] = torch.from_numpy(part / np.float32(32768))
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch, expected, rtol=0, atol=0)
    torch.testing.assert_close(
        waveforms(pack, torch.tensor([0, 1]), 50), waveforms(pack, [0, 1], 50, offsets=[0, 0])
    )


@pytest.mark.parametrize(("indices", "offsets"), [([7], None), ([-1], None), ([0], [1000])])
def test_a_batch_of_what_is_not_there_is_refused(
    manifest: Manifest, tmp_path: Path, indices: list[int], offsets: list[int] | None
) -> None:
    with pytest.raises(IndexError):
        waveforms(build_pack(manifest, tmp_path / "pack", Sounds(RATE)), indices, 10, offsets)


def test_a_pack_reopens_and_travels_to_a_worker(manifest: Manifest, tmp_path: Path) -> None:
    built = build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=3)
    for pack in (open_pack(tmp_path / "pack"), pickle.loads(pickle.dumps(built))):
        assert pack.content_key == built.content_key
        torch.testing.assert_close(waveforms(pack, range(7), 99), waveforms(built, range(7), 99))


def test_an_unchanged_pack_is_not_touched(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=3)
    before = times(tmp_path / "pack")
    again = build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=3)
    assert again.reused
    assert times(tmp_path / "pack") == before
    assert "up to date" in capsys.readouterr().err


def test_an_interrupted_build_resumes_to_the_identical_pack(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_pack(manifest, tmp_path / "whole", Sounds(RATE), shard_clips=3)
    out = tmp_path / "pack"
    write = pack_module._write_shard

    def interrupt(shard: pack_module._Shard, *rest: object) -> None:
        if shard.file.name == "shard-00001.arrow":
            raise KeyboardInterrupt
        write(shard, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pack_module, "_write_shard", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    (out / ".shard-00001.arrow.123.tmp").write_bytes(b"half")  # as a killed process leaves it
    with pytest.raises(UserError, match="not a finished pack"):
        open_pack(out)
    first = times(out)["shard-00000.arrow"]
    pack = build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    assert not pack.reused
    assert times(out)["shard-00000.arrow"] == first
    assert contents(out) == contents(tmp_path / "whole")


def test_a_changed_row_rebuilds_its_shard_only(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    old = build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    before = times(out)
    manifest.frame.loc[6, "kind"] = "new"
    new = build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    assert (new.reused, new.frame.loc[6, "kind"]) == (False, "new")
    assert new.content_key != old.content_key
    changed = {name for name, time in times(out).items() if before[name] != time}
    assert changed == {"pack.json", "shard-00002.arrow"}


def test_a_changed_file_rate_or_length_rebuilds(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    write_wav(manifest.root / "1.wav", -np.flip(pcm(manifest, 1) / 32769), RATE)
    pack = build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    np.testing.assert_array_equal(pack.samples(1), pcm(manifest, 1))
    halved = build_pack(manifest, out, Sounds(RATE // 2), shard_clips=3)
    assert halved.frame["n_samples"].tolist() == [500 + 50 * i for i in range(7)]
    fewer = replace(manifest, frame=manifest.frame[:2])
    assert len(build_pack(fewer, out, Sounds(RATE), shard_clips=3)) == 2
    assert {file.name for file in out.iterdir()} == {"pack.json", "shard-00000.arrow"}


def test_new_tasks_need_no_new_audio(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    build_pack(manifest, out, Sounds(RATE))
    shard = times(out)["shard-00000.arrow"]
    corpus = replace(CORPUS, tasks=(Task("other", "split"),))
    assert build_pack(replace(manifest, corpus=corpus), out, Sounds(RATE)).corpus == corpus
    assert open_pack(out).corpus == corpus
    assert times(out)["shard-00000.arrow"] == shard


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_clip_fails_and_leaves_no_pack(
    manifest: Manifest, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "pack"
    build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    (manifest.root / "4.wav").write_text("this is no audio" * 10)
    with pytest.raises(UserError, match=r"clip clip4: .*4\.wav.*--on-error skip"):
        build_pack(manifest, out, Sounds(RATE), Local(workers), shard_clips=3)
    assert not list(out.glob(".*"))
    with pytest.raises(UserError, match="not a finished pack"):
        open_pack(out)


def test_skipping_lists_what_was_left_out(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    (manifest.root / "4.wav").write_text("this is no audio" * 10)
    (manifest.root / "5.wav").unlink()
    pack = build_pack(manifest, out, Sounds(RATE), on_error="skip", shard_clips=2)
    assert pack.frame["id"].tolist() == ["clip0", "clip1", "clip2", "clip3", "clip6"]
    np.testing.assert_array_equal(pack.samples(4), pcm(manifest, 6))
    table = pd.read_csv(out / "skipped.csv")
    assert dict(zip(table["id"], table["reason"], strict=True)) == pack.skipped
    assert pack.skipped.keys() == {"clip4", "clip5"}
    assert "no such file" in pack.skipped["clip5"]
    assert build_pack(manifest, out, Sounds(RATE), on_error="skip", shard_clips=2).reused
    with pytest.raises(UserError, match="clip clip4"):  # a pack with gaps is not what fail asks for
        build_pack(manifest, out, Sounds(RATE), on_error="fail", shard_clips=2)


def test_a_clip_that_comes_back_is_taken_in(manifest: Manifest, tmp_path: Path) -> None:
    clip = (manifest.root / "5.wav").read_bytes()
    (manifest.root / "5.wav").unlink()
    assert len(build_pack(manifest, tmp_path / "pack", Sounds(RATE), on_error="skip")) == 6
    (manifest.root / "5.wav").write_bytes(clip)
    assert len(build_pack(manifest, tmp_path / "pack", Sounds(RATE), on_error="skip")) == 7
    assert not (tmp_path / "pack" / "skipped.csv").exists()


def test_a_pack_of_nothing_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    empty = replace(manifest, root=tmp_path)
    with pytest.raises(UserError, match=r"no clip could be read; the first: .*no such file"):
        build_pack(empty, tmp_path / "pack", Sounds(RATE), on_error="skip")


def test_a_full_disk_ends_in_one_error_and_no_pack(manifest: Manifest, tmp_path: Path) -> None:
    """A limit on file sizes makes the kernel refuse the write, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*shard-00000"):
            build_pack(manifest, tmp_path / "pack", Sounds(RATE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "pack").iterdir())
    assert len(build_pack(manifest, tmp_path / "pack", Sounds(RATE))) == 7


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_damaged_shard_is_refused_and_mended(
    manifest: Manifest, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "pack"
    build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    good = contents(out)
    shard = out / "shard-00001.arrow"
    content = {"cut": good[shard.name][:-100], "foreign": good["shard-00000.arrow"]}
    shard.unlink()
    if damage in content:
        shard.write_bytes(content[damage])
    with pytest.raises(UserError, match=r"shard-00001\.arrow: .*pack again"):
        open_pack(out)
    build_pack(manifest, out, Sounds(RATE), shard_clips=3)
    assert contents(out) == good


def test_pack_json_describes_the_pack(manifest: Manifest, tmp_path: Path) -> None:
    pack = build_pack(manifest, tmp_path / "pack", Sounds(RATE), shard_clips=3)
    description = json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert description["key"] == pack.content_key
    assert len(bytes.fromhex(pack.content_key)) == 32
    assert description["size"] == RATE
    assert [shard["file"] for shard in description["shards"]] == [
        f"shard-0000{i}.arrow" for i in range(3)
    ]
    assert description["corpus"]["tasks"][0]["name"] == "kind"


def test_the_key_does_not_depend_on_where_the_audio_lies(
    manifest: Manifest, tmp_path: Path
) -> None:
    old = build_pack(manifest, tmp_path / "pack", Sounds(RATE))
    manifest.root.rename(tmp_path / "moved")
    new = build_pack(replace(manifest, root=tmp_path / "moved"), tmp_path / "pack", Sounds(RATE))
    assert new.reused
    assert new.content_key == old.content_key


@pytest.mark.parametrize(
    "settings",
    [{"on_error": "ignore"}, {"engine": Local(0)}, {"media": Sounds(0)}, {"shard_clips": 0}],
)
def test_bad_settings_are_refused(
    manifest: Manifest, tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(UserError, match="; give"):
        build_pack(manifest, tmp_path / "pack", **{"media": Sounds(RATE), **settings})  # type: ignore[arg-type]
