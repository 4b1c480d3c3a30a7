"""GTZAN: the fault-filtered split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from audioinv.audio.corpora import gtzan
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

Write = Callable[..., None]


def numbers(split: str, genre: str) -> list[int]:
    return gtzan._numbers(gtzan.FILTERED[split][genre])


def test_the_published_split_has_its_published_sizes() -> None:
    sizes = {split: sum(len(numbers(split, g)) for g in gtzan.FILTERED[split]) for split in
             gtzan.FILTERED}  # fmt: skip
    assert sizes == {"train": 443, "valid": 197, "test": 290}
    for genre in gtzan.FILTERED["test"]:
        every = [number for split in gtzan.FILTERED for number in numbers(split, genre)]
        assert max(Counter(every).values()) == 1
        assert set(every) <= set(range(100))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pieces a genre: the first of each split."""
    first = {
        split: {genre: ranges.split()[0].split("-")[0] for genre, ranges in genres.items()}
        for split, genres in gtzan.FILTERED.items()
    }
    monkeypatch.setattr(gtzan, "FILTERED", first)


def tiny(root: Path, write: Write, ending: str = "wav") -> Path:
    pieces = [(genre, n) for genre in gtzan.FILTERED["test"] for n in (0, 1, 2, 5, 81, 10, 99)]
    pieces += [(g, number) for s in gtzan.FILTERED for g in gtzan.FILTERED[s]
               for number in numbers(s, g)]  # fmt: skip
    write(root / "genres", {f"{g}/{g}.{number:05d}.{ending}" for g, number in pieces}, 22050)
    return root


@pytest.mark.parametrize("ending", ["wav", "au"])
def test_pieces_outside_the_split_are_left_out(
    tmp_path: Path,
    write_audio: Write,
    read_valid: Callable[[Path], Manifest],
    short: None,
    ending: str,
) -> None:
    root = tiny(tmp_path / "gtzan", write_audio, ending)
    frame = read_valid(gtzan.prepare(root, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 10, "valid": 10, "test": 10}
    assert frame.set_index("id").loc["blues.00012", "split"] == "test"
    assert (frame["genre"] == frame["id"].str.split(".").str[0]).all()


def test_a_missing_piece_is_named(tmp_path: Path, write_audio: Write, short: None) -> None:
    root = tiny(tmp_path, write_audio)
    (root / "genres/jazz/jazz.00073.wav").unlink()
    with pytest.raises(UserError, match=r"1 of 30 files .* such as jazz/jazz\.00073\.wav"):
        gtzan.prepare(root, tmp_path / "out")
