"""WebDataset shards: the clips that WebDataset reads, and nothing of what a hostile tar offers."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile
import torch

from audioinv.audio.clips import RandomCrops, fixed_clips
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.data import shards
from audioinv.data.shards import Shards, open_shards

wds = pytest.importorskip(
    "webdataset", reason="webdataset is not installed: pip install 'audioinv[webdataset]'"
)
RATE = 8000


def sound(seed: int, n: int = 900, kind: str = "WAV") -> bytes:
    """A file of n random 16-bit samples."""
    samples = np.random.default_rng(seed).integers(-32768, 32768, n).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind)
    return file.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> str:
    """Three shards of four examples by WebDataset's writer; every third example is flac."""
    pattern = f"{tmp_path}/part-%06d.tar"
    with wds.ShardWriter(pattern, maxcount=4, verbose=0) as sink:
        for k in range(12):
            kind = "flac" if k % 3 == 0 else "wav"
            label = {"json": {"label": k}, "txt": f"clip {k}"}
            name = f"deep/er/clip{k}"
            sink.write({"__key__": name, kind: sound(k, 900 + 10 * k, kind.upper()), **label})
    return f"{tmp_path}/part-{{000000..000002}}.tar"


def decoded(content: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(content), dtype="int16")[0]


def test_the_clips_are_those_of_webdatasets_reader_in_its_order(written: str) -> None:
    clips = open_shards(written, Sounds(RATE))
    raw = list(wds.WebDataset(written, shardshuffle=False))
    assert len(clips) == len(raw) == 12
    for index, example in enumerate(raw):
        kind = "flac" if "flac" in example else "wav"
        key = f"part-{index // 4:06d}.tar/{example['__key__']}.{kind}"
        assert clips.frame["id"][index] == key
        np.testing.assert_array_equal(clips.samples(index), decoded(example[kind]))
    backwards = [clips.samples(k) for k in reversed(range(12))]
    assert [len(samples) for samples in backwards] == [900 + 10 * k for k in reversed(range(12))]
    with pytest.raises(IndexError):
        clips.samples(12)


def test_batches_do_not_depend_on_how_many_share_them(written: str) -> None:
    crops = RandomCrops(open_shards(written, Sounds(RATE)), range(12), 700)
    order = torch.randperm(12, generator=generator(0))
    whole = crops.batch(order, generator(1))
    parts = [crops.batch(order, generator(1), slice(6 * r, 6 * r + 6)) for r in range(2)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert fixed_clips(crops.pack, range(12), 700).shape == (12, 700)


def test_a_copy_in_another_process_is_the_same(written: str) -> None:
    clips = open_shards(written, Sounds(RATE))
    copy = pickle.loads(pickle.dumps(clips))
    assert isinstance(copy, Shards) and copy.content_key == clips.content_key
    np.testing.assert_array_equal(copy.samples(5), clips.samples(5))


def test_the_key_is_of_what_the_shards_hold(written: str, tmp_path: Path) -> None:
    first = open_shards(written, Sounds(RATE)).content_key
    assert open_shards(written, Sounds(RATE)).content_key == first
    assert open_shards(f"{tmp_path}/part-000000.tar", Sounds(RATE)).content_key != first


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size = kind, len(content)
    return found


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def test_hidden_members_are_no_clips(tmp_path: Path) -> None:
    """macOS writes ._x.wav beside x.wav when it makes a tar."""
    names = ("./a/x.wav", "./a/._x.wav", "._b.wav", ".trash/c.wav", "d.wav")
    tar = write_tar(tmp_path / "a.tar", *((member(n, sound(0)), sound(0)) for n in names))
    assert open_shards(tar, Sounds(RATE)).frame["id"].tolist() == ["a.tar/./a/x.wav", "a.tar/d.wav"]


def test_members_that_are_no_clips_are_told_and_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, secret = sound(0), tmp_path / "secret.wav"
    secret.write_bytes(sound(1))
    link = member("link.wav", kind=tarfile.SYMTYPE)
    link.linkname = str(secret)
    hard = member("hard.wav", kind=tarfile.LNKTYPE)
    hard.linkname = "clip.wav"
    bomb = b"cos\nsystem\n(S'touch %s'\ntR." % str(tmp_path / "ran").encode()
    names = [
        "clip.wav",
        "../up.wav",
        "/abs.wav",
        "bomb.pyd",
        "bomb.pickle",
        "bomb.pth",
        "no ending",
    ]
    contents = [good, good, good, bomb, bomb, bomb, good]
    files = [(member(n, c), c) for n, c in zip(names, contents, strict=True)]
    device, pipe = member("null.wav", kind=tarfile.CHRTYPE), member("p.wav", kind=tarfile.FIFOTYPE)
    odd = [
        (info, b"") for info in (link, hard, device, pipe, member("d.wav", kind=tarfile.DIRTYPE))
    ]
    name = write_tar(tmp_path / "a.tar", *files, *odd)
    with caplog.at_level("WARNING"):
        clips = open_shards(name, Sounds(RATE))
    assert clips.frame["id"].tolist() == ["a.tar/clip.wav"]
    np.testing.assert_array_equal(clips.samples(0), decoded(good))
    assert not (tmp_path / "ran").exists()
    (line,) = caplog.messages
    assert "7 ignored: ../up.wav (its path leaves the shard)" in line and line.endswith(", ...")
    monkeypatch.setattr(shards, "LARGEST_BYTES", 10)
    with pytest.raises(UserError, match="no audio files"):
        open_shards(name, Sounds(RATE))
    assert "larger than" in caplog.text


def claims(size: int) -> Callable[[Path], None]:
    """A tar whose second member claims a size that is not there."""

    def make(path: Path) -> None:
        whole = sound(0)
        write_tar(path, (member("a.wav", whole), whole), (member("b.wav", whole), whole))
        content = bytearray(path.read_bytes())
        at = -(-len(whole) // 512) * 512 + 512
        info = member("b.wav")
        info.size = size
        content[at : at + 512] = info.tobuf(tarfile.GNU_FORMAT)
        path.write_bytes(content)

    return make


def compressed(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(member("a.wav", b"x"), io.BytesIO(b"x"))


def sparse(path: Path) -> None:
    info = member("a.wav", b"x" * 512, tarfile.GNUTYPE_SPARSE)
    write_tar(path, (info, b"x" * 512))


def cut(path: Path) -> None:
    claims(900)(path)
    os.truncate(path, 2000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b"this is no tar" * 100), "no tar that can be read"),
        (lambda path: path.write_bytes(b""), "no tar that can be read|no audio files"),
        (lambda path: write_tar(path), "no audio files"),
        (compressed, "must not be compressed"),
        (cut, "no tar that can be read"),
        (sparse, "no audio files"),
        (claims(1 << 50), "no tar that can be read|no audio files"),
        (claims(1 << 29), "promised 536870912 bytes|unexpected end"),
        (claims(-1), "negative size"),
        (claims(-4096), "negative size"),
    ],
)
def test_shards_that_are_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "a.tar")
    with pytest.raises(UserError, match=message):
        open_shards(str(tmp_path / "a.tar"), Sounds(RATE))


def with_bad_clips(path: Path, bad: Sequence[int]) -> str:
    contents = [b"this is no audio" * 9 if k in bad else sound(k) for k in range(5)]
    return write_tar(path, *((member(f"{k}.wav", c), c) for k, c in enumerate(contents)))


def test_a_clip_that_cannot_be_decoded_stops(tmp_path: Path) -> None:
    clips = open_shards(with_bad_clips(tmp_path / "a.tar", [1]), Sounds(RATE))
    clips.samples(0)
    with pytest.raises(UserError, match=r"^a\.tar/1\.wav: .*; on_error=skip takes another"):
        clips.samples(1)


def test_or_the_next_one_takes_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = open_shards(
        with_bad_clips(tmp_path / "a.tar", [1, 2, 4]), Sounds(RATE), "audio", "skip"
    )
    with caplog.at_level("WARNING"):
        for _ in range(2):
            for index, taken in ((0, 0), (1, 3), (2, 3), (3, 3), (4, 0)):
                np.testing.assert_array_equal(clips.samples(index), decoded(sound(taken)))
    assert [line.split(":")[0] for line in caplog.messages] == [f"a.tar/{k}.wav" for k in (1, 2, 4)]
    assert clips.skipped.keys() == {f"a.tar/{k}.wav" for k in (1, 2, 4)}


def test_where_none_can_be_decoded_or_a_shard_is_gone(tmp_path: Path) -> None:
    clips = open_shards(with_bad_clips(tmp_path / "a.tar", range(5)), Sounds(RATE), "audio", "skip")
    with pytest.raises(UserError, match="none of 5 clips can be decoded"):
        clips.samples(2)
    os.truncate(tmp_path / "a.tar", 1024)
    with pytest.raises(UserError, match="has become shorter"):  # never skipped: it may come back
        clips.samples(2)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(UserError, match="cannot read"):
        clips.samples(2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((Sounds(RATE), "sonograph"), "sonograph.*give a pack"),
        ((Sounds(RATE), "audio", "ignore"), "give fail or skip"),
    ],
)
def test_settings_that_are_refused(settings: tuple[object, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_shards("a.tar", *settings)  # type: ignore[arg-type]


def test_nothing_that_a_name_says_is_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        open_shards(f"pipe:touch {tmp_path}/ran", Sounds(RATE))
    with pytest.raises(UserError, match="missing environment variable"):
        open_shards("${NOT_THERE}/a.tar", Sounds(RATE))
    assert not (tmp_path / "ran").exists()
