"""Watkins: the split of BEANS, species with readable names, cuts with their tape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from audioinv.audio.corpora import watkins
from audioinv.base.errors import UserError
from audioinv.data.manifest import Manifest

SPECIES = ("Walrus", "Fin,_Finback_Whale", "Killer_Whale")


def tiny(root: Path, write_audio: Callable[..., None]) -> pd.DataFrame:
    """Ten cuts of three species at two rates, two of the seal that is left out."""
    cuts = [(f"{name}/6{k}025{take:03d}.wav", name) for k, name in enumerate(SPECIES)
            for take in range(10)]  # fmt: skip
    table = pd.DataFrame(cuts, columns=["path", "species"]).sample(frac=1, random_state=3)
    seal = pd.DataFrame({"path": [f"Weddell_Seal/7200{k}001.wav" for k in (1, 2)]})
    table = pd.concat([seal.assign(species="Weddell_Seal"), table], ignore_index=True)
    write_audio(root, table["path"][:20], 16000)
    write_audio(root, table["path"][20:], 8000)
    table.to_csv(root / "annotations.csv", index=False)
    return table


def test_the_split_is_that_of_the_benchmark(
    tmp_path: Path, write_audio: Callable[..., None], read_valid: Callable[[Path], Manifest]
) -> None:
    """Done here as a user of the benchmark does: on tables, not on row numbers."""
    table = tiny(tmp_path / "root", write_audio)
    manifest = read_valid(watkins.prepare(tmp_path / "root", tmp_path / "out"))
    frame = manifest.frame.set_index("path")
    table = table[table["species"] != "Weddell_Seal"]
    train, rest = train_test_split(
        table, test_size=0.4, random_state=42, shuffle=True, stratify=table["species"]
    )
    valid, test = train_test_split(
        rest, test_size=0.5, random_state=42, shuffle=True, stratify=rest["species"]
    )
    for name, part in (("train", train), ("valid", valid), ("test", test)):
        assert sorted(frame.index[frame["split"] == name]) == sorted(part["path"])
    row = frame.loc["Fin,_Finback_Whale/61025004.wav"]
    assert row[["id", "species", "tape"]].tolist() == [
        *("Fin,_Finback_Whale/61025004", "Fin, Finback Whale", "61025")
    ]
    assert set(frame["sample_rate"]) == {8000, 16000}


def test_a_short_list_is_refused(tmp_path: Path, write_audio: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"annotations\.csv.*archive\.org"):
        watkins.prepare(tmp_path, tmp_path / "out")
    table = tiny(tmp_path / "root", write_audio)
    (tmp_path / "root" / table["path"][5]).unlink()
    with pytest.raises(UserError, match="1 of 30 files"):
        watkins.prepare(tmp_path / "root", tmp_path / "out")
    table[:9].to_csv(tmp_path / "root" / "annotations.csv", index=False)
    with pytest.raises(UserError, match="5 cuts"):
        watkins.prepare(tmp_path / "root", tmp_path / "out")
