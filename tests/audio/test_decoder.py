"""Decoders run in a child process: one that dies in C is an error of its file, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audioinv.audio import decoder
from audioinv.audio.decoder import check_parts, read_parts
from audioinv.audio.io import check, read_pcm, write_wav
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data.manifest import Corpus, Manifest
from audioinv.data.pack import build_pack
from audioinv.data.parallel import Local
from audioinv.data.validate import validate

RATE = 8000
ABORTS = """
import os, soundfile
true = soundfile.SoundFile.__init__
def opened(self, file, *args, **options):
    if "bad" in str(file):
        os.abort()
    true(self, file, *args, **options)
soundfile.SoundFile.__init__ = opened
"""


@pytest.fixture
def aborting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manifest]:
    """Three clips, the second of which makes the decoder of child processes abort."""
    hooks, root = tmp_path / "hooks", tmp_path / "root"
    for folder in (hooks, root):
        folder.mkdir()
    (hooks / "sitecustomize.py").write_text(ABORTS)
    monkeypatch.syspath_prepend(hooks)
    monkeypatch.setenv("PYTHONPATH", f"{hooks}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    decoder._CHILD.stop()
    names = ["a", "bad", "c"]
    for seed, name in enumerate(names):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(RATE)
        write_wav(root / f"{name}.wav", noise, RATE)
    frame = pd.DataFrame({"id": names, "path": [f"{name}.wav" for name in names]})
    frame = frame.assign(start=0.0, duration=1.0, sample_rate=RATE, split="train")
    yield Manifest(frame, Corpus("n", "t", "s", "l", ".", RATE), root)
    decoder._CHILD.stop()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_validation_names_the_file_that_kills_the_decoder(
    aborting: Manifest, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audioinv.data.validate.CHUNK", 1)
    (problem,) = validate(aborting, workers)
    assert (problem.id, problem.kind) == ("bad", "unreadable")
    assert "bad.wav: the decoder died of it (SIGABRT)" in problem.message
    assert "\n" not in problem.message


def test_packing_names_or_skips_the_file_that_kills_the_decoder(
    aborting: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"bad\.wav: the decoder died of it \(SIGABRT\).*skip"):
        build_pack(aborting, tmp_path / "pack", Sounds(RATE))
    pack = build_pack(aborting, tmp_path / "pack", Sounds(RATE), Local(1), on_error="skip")
    assert list(pack.frame["id"]) == ["a", "c"]
    whole = soundfile.read(aborting.root / "c.wav", dtype="int16")[0]
    np.testing.assert_array_equal(pack.samples(1), whole)


def test_parts_come_as_if_no_child_were_there(tmp_path: Path) -> None:
    path = tmp_path / "ä b\udce9.flac"  # a name that is no UTF-8
    soundfile.write(
        os.fsencode(path),
        np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2)),
        RATE,
        format="FLAC",
    )
    parts = [(0.5, 0.25), (0.0, None), (0.4, 0.2), (0.9, 0.5)]
    got = read_parts(path, 4000, parts)
    for found, part in zip(got[:3], parts, strict=False):
        np.testing.assert_array_equal(found, read_pcm(path, 4000, *part))
    assert isinstance(got[3], UserError) and "0.900 to 1.400 s" in str(got[3])
    assert check_parts(path, parts)[0] == (check(path, 0.5, 0.25, RATE)[0], RATE)


def test_warnings_come_back_and_the_decoder_s_own_noise_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "long.wav"
    write_wav(path, np.zeros(RATE), RATE)
    content = bytearray(path.read_bytes())
    content[content.index(b"data") + 4] += 8
    path.write_bytes(content)
    check_parts(path, [(0.0, 1.0), (0.5, 0.5)])
    assert [r.getMessage() for r in caplog.records if "8 byte(s) fewer" in r.getMessage()]


def test_a_child_goes_with_its_parent(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(RATE), RATE)
    program = (
        "import os, sys; from pathlib import Path; from audioinv.audio import decoder\n"
        "decoder.check_parts(Path(sys.argv[1]), [(0, 1)])\n"
        "print(decoder._CHILD.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.wav")]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    child = Path(f"/proc/{int(said.stdout)}/stat")
    for _ in range(100):
        if not child.exists() or child.read_text().split()[2] == "Z":
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError("the child lives on")
