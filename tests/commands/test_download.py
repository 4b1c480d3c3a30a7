"""`audioinv download`: fetches what a corpus names, or says how else to get it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.corpora import CORPORA
from audioinv.audio.io import write_wav
from audioinv.cli import main
from audioinv.data.download import Download
from audioinv.data.manifest import read_manifest


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "public").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def release(path: Path) -> str:
    """An archive in the shape of FSDD's; its checksum."""
    noise = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as archive:
        for take in range(12):
            write_wav(path.parent / "one.wav", 0.1 * noise.standard_normal(800), 8000)
            content = (path.parent / "one.wav").read_bytes()
            member = tarfile.TarInfo(
                f"free-spoken-digit-dataset-1.0.10/recordings/0_ann_{take}.wav"
            )
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"


def test_download_then_prepare(
    tmp_path: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    checksum = release(tmp_path / "public" / "fsdd.tar.gz")
    item = Download(f"{address}/fsdd.tar.gz", "fsdd.tar.gz", checksum)
    monkeypatch.setattr(CORPORA["fsdd"], "downloads", lambda: (item,))
    root = tmp_path / "audio"
    with caplog.at_level("INFO"):
        assert main(["download", "fsdd", "--root", str(root)]) == 0
    assert "fsdd.tar.gz: 0.0 of 0.0 MB" in caplog.text
    assert main(["prepare", "fsdd", "--root", str(root), "--out", str(tmp_path / "data")]) == 0
    assert len(read_manifest(tmp_path / "data" / "manifest.csv")) == 12


def test_a_corpus_without_public_files_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("folder", "table", "sonograph"):
        assert main(["download", name, "--root", str(tmp_path)]) == 2
        assert CORPORA[name].ACCESS in capsys.readouterr().err


def test_only_the_options_that_choose_files_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["download", "sonograph", "--root", str(tmp_path), "--n_train", "5"])
    assert "--n_train" in capsys.readouterr().err
