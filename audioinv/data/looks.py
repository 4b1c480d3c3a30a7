"""What a file that cannot be read looks like by its first bytes: often not what its name says."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 512
MARKS = (  # offset, bytes, what it is and what to do
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file: git lfs pull"),
    (0, b"/annex/objects/", "a git-annex pointer; fetch the file: git annex get"),
    (4, b"ftyp", "MPEG-4 (m4a, mp4, heic); convert it: ffmpeg -i OLD NEW.wav"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media; convert it: ffmpeg -i OLD NEW.wav"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska (webm, mka); convert it: ffmpeg -i OLD NEW.wav"),
    (0, b"#!AMR", "AMR; convert it: ffmpeg -i OLD NEW.wav"),
    (0, b"wvpk", "WavPack; convert it: wvunpack OLD"),
    (0, b"MAC ", "Monkey's Audio; convert it: ffmpeg -i OLD NEW.wav"),
    (0, b"MThd", "MIDI: notes, no sound; render it first"),
    (0, b"PK\x03\x04", "a zip archive; unpack it"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (0, b"Rar!", "a rar archive; unpack it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
)
PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")


def remedy(path: Path) -> str:
    """What a file looks like, or else what may help."""
    return looks_like(path) or "; fetch it again, or convert it: ffmpeg -i OLD NEW.wav"


def looks_like(path: Path) -> str:
    """ "; it looks like ..." of a file of another kind; "" where nothing is told."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    if any(mark in head.lower() for mark in PAGES):
        return "; it looks like a web page, as a failed download leaves; download it again"
    for offset, mark, what in MARKS:
        if head[offset:].startswith(mark):
            return f"; it looks like {what}"
    if head and not head.strip(b"\0"):
        return "; it begins with zeros alone, as a broken download leaves; download it again"
    return "; it looks like text" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    try:
        text = head[: HEAD_BYTES - 4].decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and all(sign.isprintable() or sign.isspace() for sign in text)
