"""Every container and codec, and what docs/formats.md says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audioinv.audio.io import AudioError, check, probe
from tests.audio.formats import Kind, fare, kinds, noise

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
KINDS = list(kinds())
OTHERWISE = ("HTK", "SD2")  # libsndfile itself refuses, or the header is in another file


def rows() -> dict[tuple[str, str], tuple[str, ...]]:
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines()]
    return {(cells[0], cells[1]): tuple(cells[2:5]) for cells in lines if len(cells) == 6}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_fares_as_the_page_says(kind: Kind, tmp_path: Path) -> None:
    whole, part, cut = fare(kind, tmp_path)
    assert (whole, part) == ("yes", "yes")
    assert rows()[kind.container, kind.codec] == (whole, part, cut)
    assert cut == "named" or kind.container in ("PAF", "PVF", "IRCAM", "XI", "SD2")


def test_the_page_has_every_kind_and_no_other() -> None:
    named = {("container", "codec"), ("---", "---")}
    assert set(rows()) - named == {(kind.container, kind.codec) for kind in KINDS}


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k.container not in OTHERWISE], ids=lambda k: k.name
)
def test_two_files_joined_into_one_are_named(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / ("a.mp3" if kind.container == "MP3" else "a.audio")
    kind.write(path, noise(kind.rate, 1))
    first = path.read_bytes()
    kind.write(path, noise(kind.rate, 2))
    path.write_bytes(first + path.read_bytes())
    if kind.codec in ("II", "III, no length tag"):  # frames behind frames: one recording
        assert probe(path).frames == pytest.approx(2 * kind.rate, abs=5000)
        return
    for look in (lambda: probe(path), lambda: check(path, 0, 0.5, kind.rate)):
        with pytest.raises(AudioError) as caught:
            look()
        assert caught.value.kind in ("joined", "truncated", "unread", "unreadable")
