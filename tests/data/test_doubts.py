"""What a task cannot learn from its split is said before anyone waits for a score of 0."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from audioinv.data.doubts import task_doubts
from audioinv.data.parts import labelled, parts
from audioinv.data.task import Task

N = 24


def frame(**columns: Any) -> pd.DataFrame:
    k = range(N)
    values: dict[str, Any] = {
        "split": [("train", "valid", "test")[i % 3] for i in k],
        "word": [f"w{i // 3 % 2}" for i in k],
        "speaker": [f"s{i % 3}" for i in k],  # each in one part alone
        "level": [i / 10 for i in k],
        "tags": ["a;b" if i // 3 % 2 else "a" for i in k],
    }
    return pd.DataFrame({**values, **columns})


@pytest.mark.parametrize(
    "task",
    [
        Task("word", "word"),
        Task("unseen", "word", groups="speaker"),
        Task("level", "level", "regression"),
        Task("tags", "tags", "multilabel"),
        Task("shift", "offset_s", "regression", augmentation="time_shift"),
    ],
)
def test_good_tasks_are_not_doubted(task: Task) -> None:
    assert task_doubts(frame(), task) == []


@pytest.mark.parametrize(
    ("task", "columns", "told"),
    [
        (Task("t", "speaker"), {}, "tested on and never trained on: s2"),
        (Task("t", "word"), {"split": "test"}, "no training clips"),
        (Task("t", "word"), {"split": "train"}, "no test clips"),
        (Task("t", "word"), {"word": ["odd", *["w"] * (N - 1)]}, "single clip, .*: odd"),
        (Task("t", "word"), {"word": "w"}, "'w'.* nothing to learn"),
        (Task("t", "word"), {"word": ["w0 ", "w0", *["w1"] * (N - 2)]}, "blanks .*'w0 '"),
        (Task("t", "word"), {"word": ["caf\u00e9", "cafe\u0301"] * 12}, "nothing to learn"),
        (Task("t", "word"), {"word": ["Dog", "dog", "cat"] * 8}, "capitals .*Dog, dog"),
        (Task("t", "word"), {"word": ["a; b", "a"] * 12}, "'a; b'.*multilabel"),
        (Task("t", "word"), {"word": ["a|b", "a", "b"] * 8}, "'a|b' may be several.*as a;b"),
        (Task("t", "word"), {"word": ["a, b", "a", "b"] * 8}, "'a, b' may be several"),
        (Task("t", "word"), {"word": ["", " ", "w0"] * 8}, "16 of 24 clips have no label"),
        (Task("t", "word"), {"word": " "}, "no clip has a label"),
        (Task("t", "level", "regression"), {"level": 3.0}, "'3.0'.* nothing to learn"),
        (Task("t", "tags", "multilabel"), {"tags": ""}, "no label: there is nothing to learn"),
        (Task("t", "word", groups="word"), {}, "needs 3 groups"),
        (Task("t", "word", split="own"), {"own": ["train", "test", ""] * 8}, "8 of .* or part"),
    ],
)
def test_what_cannot_be_learnt_is_told(task: Task, columns: dict[str, Any], told: str) -> None:
    message = "\n".join(task_doubts(frame(**columns), task))
    assert pd.Series([message]).str.contains(told).all(), message


def test_folds_that_never_train_a_class_are_told() -> None:
    rows = frame(fold=[str(i % 3) for i in range(N)]).drop(columns="split")
    assert "s0, s1, s2" in "\n".join(task_doubts(rows, Task("t", "speaker")))
    assert task_doubts(rows, Task("t", "word")) == []


def test_a_task_may_have_a_split_of_its_own() -> None:
    """The speakers of the manifest's parts differ: a column of its own makes them a task."""
    own = [("train", "train", "test", "")[i // 3 % 4] for i in range(N)]
    task = Task("speaker", "speaker", split="own")
    assert Task.from_json(task.to_json()) == task
    assert "split" not in Task("word", "word").to_json()  # as ever
    rows = frame(own=own)
    assert "never trained" not in "\n".join(task_doubts(rows, task))
    ((train, valid, test),) = parts(rows, task)
    assert [train.sum(), valid.sum(), test.sum()] == [own.count("train"), 0, own.count("test")]
    assert labelled(rows, task).sum() == N - own.count("")
