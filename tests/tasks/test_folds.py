from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile
import torch
from torch import Tensor

from audioinv.audio.augment import build_bank
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.data import rows as of_packs
from audioinv.data.manifest import Corpus, Manifest, read_manifest, write_manifest
from audioinv.data.pack import Pack, build_pack
from audioinv.data.rows import training_rows
from audioinv.data.task import Task
from audioinv.tasks.folds import (
    MOST_GROUP_FOLDS,
    _label_matrix,
    find_tasks,
    folds,
    target_index,
    task_parameters,
)
from audioinv.tasks.labelled import Labelled

RATE, N = 8000, 56
TASKS = (
    Task("word", "word"),
    Task("level", "level", "regression"),
    Task("tags", "tags", "multilabel"),
    Task("word_unseen_speaker", "word", groups="speaker"),
    Task("shift", "offset_s", "regression", augmentation="time_shift", unit="s"),
    Task("shift_again", "offset_s", "regression", augmentation="time_shift", unit="s"),
)


def make_pack(folder: Path, column: str) -> Pack:
    """56 clips: 7 speakers, 4 words, in three splits or in folds 0 to 3."""
    random = np.random.default_rng(0)
    soundfile.write(folder / "a.wav", 0.3 * random.standard_normal(RATE * N // 4), RATE)
    k = np.arange(N)
    parts = (
        np.array(["train", "train", "valid", "test"])
        if column == "split"
        else np.arange(4).astype(str)
    )
    frame = pd.DataFrame(
        {
            "id": [f"c{i}" for i in k],
            "path": "a.wav",
            "start": k * 0.25,
            "duration": 0.25,
            "sample_rate": RATE,
            column: parts[random.permutation(k) % 4],
            "word": [f"w{i % 4}" for i in k],
            "speaker": [f"s{i % 7}" for i in k],
            "level": k / 10.0,
            "tags": [("", "a", "b", "a;b")[i % 4] for i in k],
        }
    )
    corpus = Corpus("toy", "Toy", "made here", "none", ".", RATE, TASKS)
    manifest = write_manifest(folder, frame, corpus)
    return build_pack(read_manifest(manifest), folder / "pack", Sounds(RATE))


@pytest.fixture(scope="module")
def split_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return make_pack(tmp_path_factory.mktemp("split"), "split")


@pytest.fixture(scope="module")
def fold_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return make_pack(tmp_path_factory.mktemp("fold"), "fold")


def task(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def disjoint(data: Labelled, test: torch.Tensor) -> bool:
    rows = torch.cat([data.train, data.valid, test])
    return len(rows.unique()) == len(rows)


def values(pack: Pack, column: str, rows: Sequence[int] | torch.Tensor) -> set[str]:
    return set(pack.frame[column].iloc[list(map(int, rows))])


def test_the_manifests_split_is_one_fold(split_pack: Pack) -> None:
    ((data, test),) = folds(split_pack, task("word"), None)
    for rows, part in ((data.train, "train"), (data.valid, "valid"), (test, "test")):
        assert rows.tolist() == np.flatnonzero(split_pack.frame["split"] == part).tolist()
    assert data.classes == ["w0", "w1", "w2", "w3"]
    assert data.targets.tolist() == [k % 4 for k in range(N)]


@pytest.mark.parametrize("packs", ["split_pack", "fold_pack"])
def test_no_group_is_trained_or_chosen_and_tested_on(
    packs: str, request: pytest.FixtureRequest
) -> None:
    pack: Pack = request.getfixturevalue(packs)
    tested: list[int] = []
    parts = list(folds(pack, task("word_unseen_speaker"), None))
    assert len(parts) == min(MOST_GROUP_FOLDS, 7)
    for data, test in parts:
        train, valid, held_out = (
            values(pack, "speaker", r) for r in (data.train, data.valid, test)
        )
        assert not held_out & train and not held_out & valid and not train & valid
        assert disjoint(data, test)
        assert len(data.train) and len(data.valid)
        tested += test.tolist()
    assert sorted(tested) == list(range(N)), "every clip is tested once"


def test_folds_of_the_manifest(fold_pack: Pack) -> None:
    parts = list(folds(fold_pack, task("word"), None))
    assert len(parts) == 4
    for k, (data, test) in enumerate(parts):
        assert values(fold_pack, "fold", test) == {str(k)}
        assert values(fold_pack, "fold", data.valid) == {str((k + 1) % 4)}
        assert disjoint(data, test) and len(data.fit_rows) + len(test) == N


def test_targets_of_other_kinds(split_pack: Pack) -> None:
    ((level, _),) = folds(split_pack, task("level"), None)
    assert level.classes == [] and level.targets.tolist() == pytest.approx(
        [k / 10 for k in range(N)]
    )
    ((tags, _),) = folds(split_pack, task("tags"), None)
    assert tags.classes == ["a", "b"]
    assert tags.targets[:4].tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def shift_parameters(name: str = "shift") -> Tensor:
    return task_parameters(task(name), build_bank(RATE).augmentations["time_shift"], N)


def test_the_target_of_an_augmentation_is_the_drawn_parameter(split_pack: Pack) -> None:
    params = shift_parameters()
    ((data, test),) = folds(split_pack, task("shift"), params[:, 0])
    assert torch.equal(data.targets, params[:, 0]) and data.kind == "regression"
    assert float(data.targets.std()) > 0
    assert test.tolist() == of_packs.test_rows(split_pack)


class Shifted(Augmentation):
    name = "time_shift"
    parameters = (Parameter("first", "", 0, 1, 0), Parameter("offset_s", "", 5, 6, 0))

    def apply(self, x: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
        return x


def test_the_target_is_the_parameter_that_the_label_names() -> None:
    """And the first where it names none, as "fsdd"'s "shift" does."""
    assert target_index(task("shift"), Shifted()) == 1
    assert target_index(replace(task("shift"), label="first"), Shifted()) == 0
    assert target_index(replace(task("shift"), label="other"), Shifted()) == 0
    real = build_bank(RATE).augmentations["time_shift"]
    assert target_index(task("shift"), real) == 0


def test_several_values_are_columns(split_pack: Pack) -> None:
    points = [f"{k};{k / 4};-1e-3" for k in range(N)]
    pack = replace(split_pack, frame=split_pack.frame.assign(level=points))
    ((data, _),) = folds(pack, task("level"), None)
    assert data.targets.shape == (N, 3) and data.targets.dtype == torch.float32
    assert data.targets[3].tolist() == pytest.approx([3, 0.75, -1e-3])
    assert data.n_outputs == 3


def test_every_method_sees_the_same_clips() -> None:
    """Whatever was drawn before; another task sees others."""
    first = shift_parameters()
    torch.rand(3)
    assert torch.equal(first, shift_parameters())
    assert not torch.equal(first, shift_parameters("shift_again"))


def test_a_task_predicts_the_parameter_it_names_else_the_first() -> None:
    augmentation = build_bank(RATE).augmentations["time_mask"]
    named = Task("mask", "length", "regression", augmentation="time_mask")
    assert [p.name for p in augmentation.parameters][target_index(named, augmentation)] == "length"
    assert target_index(task("shift"), augmentation) == 0


def test_scores_on_validation_clips_hide_the_test_clips(split_pack: Pack) -> None:
    ((usual, test),) = folds(split_pack, task("word"), None)
    ((tuned, scored),) = folds(split_pack, task("word"), None, "valid")
    assert torch.equal(scored, usual.valid) and torch.equal(tuned.train, usual.train)
    assert len(tuned.valid) == 0
    assert not set(test.tolist()) & set(tuned.fit_rows.tolist() + scored.tolist())
    with pytest.raises(UserError, match=r"score_on.*'dev'.*test.*valid"):
        list(folds(split_pack, task("word"), None, "dev"))


def test_finding_tasks(split_pack: Pack) -> None:
    assert find_tasks(split_pack, None) == list(TASKS)
    assert find_tasks(split_pack, ["level", "word"]) == [task("level"), task("word")]
    with pytest.raises(UserError, match=r"words, tag.*word, level"):
        find_tasks(split_pack, ["words", "tag"])


def repacked(pack: Pack, folder: Path, **columns: object) -> Pack:
    frame = pack.frame.drop(columns="n_samples").assign(**columns)
    manifest = Manifest(frame, pack.corpus, pack.directory.parent)
    return build_pack(manifest, folder, Sounds(RATE))


def test_too_few_groups(split_pack: Pack, tmp_path: Path) -> None:
    speaker = ["s0", "s1"] * (N // 2)
    pack = repacked(split_pack, tmp_path, speaker=speaker)
    with pytest.raises(UserError, match=r"3 groups.*\['s0', 's1'\]"):
        list(folds(pack, task("word_unseen_speaker"), None))


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_split_without_training_or_test_clips(
    split_pack: Pack, tmp_path: Path, missing: str
) -> None:
    split = split_pack.frame["split"].replace(missing, "valid")
    with pytest.raises(UserError, match="task word"):
        list(folds(repacked(split_pack, tmp_path, split=split), task("word"), None))


def test_a_pack_of_test_clips_alone_is_told(split_pack: Pack, tmp_path: Path) -> None:
    pack = repacked(split_pack, tmp_path, split="test")
    assert training_rows(pack) == []
    with pytest.raises(UserError, match=r"no clips to train on.* test part"):
        of_packs.some_training_rows(pack)


def test_a_corpus_without_labels(split_pack: Pack) -> None:
    bare = Corpus("bare", "Bare", "", "", ".", RATE)
    pack = Pack(split_pack.directory, split_pack.frame, RATE, bare, "", {})
    with pytest.raises(UserError, match=r"bare.*labels"):
        find_tasks(pack, None)


def test_training_rows_leave_the_test_split_out(split_pack: Pack, fold_pack: Pack) -> None:
    assert not values(split_pack, "split", training_rows(split_pack)) & {"test"}
    assert set(training_rows(split_pack)) | set(of_packs.test_rows(split_pack)) == set(range(N))
    assert training_rows(fold_pack) == of_packs.test_rows(fold_pack) == list(range(N))


def test_labels_of_texts_are_those_of_a_loop() -> None:
    texts = pd.Series(["b;a", "", "c", "a;;b", "a", ";"])
    said = [set(text.split(";")) - {""} for text in texts]
    targets, classes = _label_matrix(texts)
    assert classes == ["a", "b", "c"] and targets.dtype == torch.uint8
    assert targets.tolist() == [[int(name in s) for name in classes] for s in said]


def test_clips_without_a_label_are_left_out_of_their_task_alone(
    split_pack: Pack, tmp_path: Path
) -> None:
    some = np.arange(N) % 5 != 0
    word = split_pack.frame["word"].where(some, " ")
    level = split_pack.frame["level"].where(some)
    speaker = split_pack.frame["speaker"].where(some, "")
    pack = repacked(split_pack, tmp_path, word=word, level=level, speaker=speaker)
    for name in ("word", "level", "word_unseen_speaker"):
        for data, test in folds(pack, task(name), None):
            rows = torch.cat([data.fit_rows, test])
            assert sorted(rows.tolist()) == np.flatnonzero(some).tolist()
            assert "" not in data.classes
    ((tags, test),) = folds(pack, task("tags"), None)
    assert len(tags.fit_rows) + len(test) == N


def test_blanks_make_no_class_of_their_own(split_pack: Pack, tmp_path: Path) -> None:
    k = np.arange(N)
    word = split_pack.frame["word"] + np.where(k % 2, " ", "")
    tags = ["a; b" if i % 2 else "b ;" for i in k]
    pack = repacked(split_pack, tmp_path, word=word, tags=tags)
    ((data, _),) = folds(pack, task("word"), None)
    assert data.classes == ["w0", "w1", "w2", "w3"]
    ((data, _),) = folds(pack, task("tags"), None)
    assert data.classes == ["a", "b"]
    assert data.targets.sum(0).tolist() == [N // 2, N]


def test_a_task_by_a_split_of_its_own(split_pack: Pack, tmp_path: Path) -> None:
    own = np.array([("train", "valid", "test", "")[i % 4] for i in range(N)])
    pack = repacked(split_pack, tmp_path, own=own)
    ((data, test),) = folds(pack, replace(task("word"), split="own"), None)
    for part, rows in (("train", data.train), ("valid", data.valid), ("test", test)):
        assert rows.tolist() == np.flatnonzero(own == part).tolist()


@pytest.mark.parametrize(
    ("name", "column", "told"),
    [
        ("tags", "", "no clip has a label in the column tags"),
        ("word", "  ", "no clip has a label in the column word"),
        ("level", 3.0, r"the label is 3\.0 for every training clip"),
    ],
)
def test_labels_that_say_nothing_are_explained(
    split_pack: Pack, tmp_path: Path, name: str, column: object, told: str
) -> None:
    pack = repacked(split_pack, tmp_path, **{name: column})
    with pytest.raises(UserError, match=told):
        list(folds(pack, task(name), None))


def test_a_task_of_columns_that_are_not_there(split_pack: Pack) -> None:
    with pytest.raises(UserError, match=r"task mine reads colour, hour; there are .*word"):
        split_pack.task(Task("mine", "colour", split="hour"))
