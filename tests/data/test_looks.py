"""A file that is not what its name says is told for what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from audioinv.data.looks import looks_like

FILES = [
    (b"\xef\xbb\xbf\n<!DOCTYPE HTML><title>404", "web page"),
    (b"<?xml version='1.0'?><Error>AccessDenied", "web page"),
    (b"\0\0\0\x1cftypM4A \0", "m4a"),
    (b"\x1a\x45\xdf\xa3\x01", "webm"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    (b"/annex/objects/SHA256E-s9--0.wav\n", "git annex get"),
    (b"PK\x03\x04\x14", "zip"),
    (b"\x89PNG\r\n", "PNG"),
    (bytes(600), "zeros"),
    ("h\u00e9llo, world\n".encode(), "text"),
]


@pytest.mark.parametrize(("content", "told"), FILES)
def test_what_it_is_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert told in looks_like(path)


@pytest.mark.parametrize("content", [b"", b"RIFF\x24\x80\0\0WAVEfmt ", b"\xff\xfb\x90\x64"])
def test_nothing_is_said_where_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert looks_like(path) == ""
    assert looks_like(tmp_path / "none.wav") == ""
