"""What fuzzing has found once, as code: each of these ended in a traceback, or worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audioinv.base.errors import UserError
from audioinv.core.descriptor import DescriptorSpace
from audioinv.data.manifest import Corpus, read_manifest
from audioinv.data.pack import build_pack, open_pack
from audioinv.data.task import Task
from audioinv.tasks.adapted import load_adapted
from audioinv.training.state import load_latest, save_checkpoint
from tests.halves import of_sounds

CORPUS: dict[str, Any] = {
    "name": "n", "title": "t", "source": "s", "licence": "l", "root": ".", "sample_rate": 8000,
    "tasks": [Task("t", "label").to_json()], "modality": "audio",
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        None, 3, [], {**CORPUS, "root": None}, {**CORPUS, "tasks": None},
        {**CORPUS, "tasks": [None]},
        {**CORPUS, "sample_rate": "8000"}, {**CORPUS, "sample_rate": True}, {**CORPUS, "name": 1},
        {**CORPUS, "modality": None}, {**CORPUS, "extra": 1},
        {**CORPUS, "tasks": [{"name": "t", "label": ["a"]}]},
        {**CORPUS, "tasks": [{"name": "t", "label": "l", "groups": 3}]},
    ],
    ids=repr,
)  # fmt: skip
def test_the_description_of_a_corpus(value: Any) -> None:
    with pytest.raises(UserError, match="not the description of a"):
        Corpus.from_json(value)


@pytest.mark.parametrize(
    "value",
    [
        None, [], {"groups": None, "min_active": 1}, {"groups": {"a": "xy"}, "min_active": 1},
        {"groups": {"a": [None]}, "min_active": 1}, {"groups": {"a": ["x"]}, "min_active": None},
        {"groups": {"a": ["x"]}, "min_active": True}, {"groups": {"what": 3}, "min_active": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_the_description_of_a_space(value: Any) -> None:
    with pytest.raises(UserError):
        DescriptorSpace.from_json(value)


def write_pack(folder: Path) -> Path:
    from audioinv.audio.io import write_wav
    from audioinv.audio.media import Sounds

    write_wav(folder / "a.wav", np.zeros(800), 8000)
    (folder / "corpus.json").write_text(json.dumps(CORPUS))
    (folder / "manifest.csv").write_text(
        "id,path,start,duration,sample_rate,split,label\na,a.wav,0,0.1,8000,train,x\n"
    )
    build_pack(read_manifest(folder), folder / "pack", Sounds(8000))
    return folder / "pack"


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda described: {**described, key: value}


@of_sounds
@pytest.mark.parametrize(
    "change",
    [
        lambda described: None, lambda described: [], changed("format", None),
        changed("key", 3), changed("size", "8000"), changed("size", 0), changed("shards", []),
        changed("shards", [None]), changed("shards", [{"file": "../pack/x", "key": "k"}]),
        changed("skipped", None), changed("skipped", [3]), changed("corpus", None),
    ],
)  # fmt: skip
def test_pack_json(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = write_pack(tmp_path) / "pack.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(UserError):
        open_pack(file.parent)


@of_sounds
def test_a_pack_of_no_corpus(tmp_path: Path) -> None:
    file = write_pack(tmp_path) / "pack.json"
    described = json.loads(file.read_text())
    del described["corpus"]
    file.write_text(json.dumps(described))
    with pytest.raises(UserError, match="'corpus' is missing"):
        open_pack(file.parent)


@pytest.mark.parametrize("value", [None, [], {"folds": None}, {"folds": 1, "kind": 3}], ids=repr)
def test_adapted_json(tmp_path: Path, value: Any) -> None:
    (tmp_path / "adapted.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match="no readable adaptation"):
        load_adapted(tmp_path)


@pytest.mark.parametrize("state", [[1, 2], {}, {"step": "1"}, {"step": None}], ids=repr)
def test_a_checkpoint_of_something_else(tmp_path: Path, state: Any) -> None:
    save_checkpoint(tmp_path, 1, state)
    with pytest.raises(UserError, match="no checkpoint"):
        load_latest(tmp_path)


@of_sounds
def test_a_row_longer_than_the_header(tmp_path: Path) -> None:
    """pandas would drop what is too much, with a warning."""
    write_pack(tmp_path)
    file = tmp_path / "manifest.csv"
    file.write_text(file.read_text().replace(",train,x", ",train,x,y"))
    with pytest.raises(UserError, match="cannot read"):
        read_manifest(tmp_path)
