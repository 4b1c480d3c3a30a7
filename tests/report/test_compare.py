"""Several experiments in one table: joining, ranks, paired tests, published rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.stats import permutation_test, rankdata

from audioinv.base.errors import UserError
from audioinv.report.collect import read_experiment
from audioinv.report.compare import beside, comparisons, join, paired, published, ranks, tidy
from audioinv.tasks.result import Result

Make = Callable[..., Path]
HEAD = "row,corpus,task,protocol,metric,value,source\n"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that writes one result, and its scores by clip, into an experiment."""

    def write(
        experiment: str,
        label: str,
        task: str,
        value: float,
        seed: int = 0,
        scores: Sequence[float] = (),
        clips: Sequence[int] = (),
        **more: Any,
    ) -> Path:
        name = f"{label}_s{seed}".replace(" ", "_")
        folder = tmp_path / experiment / name / "tasks" / task / "fixed_all" / "linear"
        folder.mkdir(parents=True)
        row = {"protocol": "linear-v1", "task": task, "method": label, "mode": "fixed:all"}
        row |= {"label": label, "metric": "accuracy", "value": value, "seed": seed} | more
        (folder / "result.json").write_text(json.dumps(row))
        if len(scores):
            ids = np.array(clips if len(clips) else range(len(scores)))
            tensors = {"clips": ids, "score": np.array(scores, np.float32)}
            save_file(tensors, folder / "per_clip.safetensors")
        return tmp_path / experiment

    return write


def results_of(folder: Path, label: str) -> list[Result]:
    return [r for r in read_experiment(folder).results if r.label == label]


def test_paired_is_the_sign_flip_test_over_all_flips(make: Make) -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(0.3, 1, 9), draw.normal(0, 1, 9)
    make("e", "a", "t", 0.5, scores=a)
    folder = make("e", "b", "t", 0.4, scores=b)
    difference, p, n = paired(results_of(folder, "a"), results_of(folder, "b"))
    d = a.astype(np.float32).astype(float) - b.astype(np.float32).astype(float)
    exact = permutation_test(
        (d,), lambda x: abs(x.mean()), permutation_type="samples", alternative="greater"
    ).pvalue
    assert (difference, n) == (pytest.approx(d.mean()), 9)
    assert 0.02 < exact < 0.98
    assert p == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 10000))


def test_paired_of_a_row_with_itself_and_of_a_clear_winner(make: Make) -> None:
    make("e", "right", "t", 1.0, scores=[1.0] * 40)
    folder = make("e", "wrong", "t", 0.0, scores=[0.0] * 40)
    right, wrong = results_of(folder, "right"), results_of(folder, "wrong")
    assert paired(right, right) == (0.0, 1.0, 40)
    difference, p, _ = paired(right, wrong)
    assert (difference, p) == (1.0, pytest.approx(1 / 10001))
    assert paired(wrong, right)[0] == -1.0


def test_paired_averages_seeds_by_clip_and_keeps_the_clips_in_common(make: Make) -> None:
    make("e", "a", "t", 0.5, seed=0, scores=[1, 0, 1], clips=[7, 3, 5])
    make("e", "a", "t", 0.5, seed=1, scores=[0, 0, 1], clips=[7, 3, 5])
    folder = make("e", "b", "t", 0.5, scores=[1, 1, 0], clips=[3, 5, 9])
    difference, _, n = paired(results_of(folder, "a"), results_of(folder, "b"))
    assert (difference, n) == (pytest.approx(((0 - 1) + (1 - 1)) / 2), 2)


def test_paired_needs_scores_by_clip_and_a_clip_in_common(make: Make) -> None:
    make("e", "a", "t", 0.5, scores=[1, 0], clips=[1, 2])
    make("e", "b", "t", 0.5, scores=[1, 0], clips=[3, 4])
    folder = make("e", "c", "t", 0.5)
    a, b, c = (results_of(folder, label) for label in "abc")
    with pytest.raises(UserError, match=r"result\.json.*result\.json"):
        paired(a, b)
    with pytest.raises(UserError, match=r"per_clip\.safetensors.*evaluate again"):
        paired(a, c)


def test_comparisons_are_of_every_other_row_by_task(make: Make) -> None:
    for label, shift in (("ours", 0.0), ("simclr", -1.0), ("logmel", -2.0)):
        for task in ("digit", "speaker"):
            folder = make("e", label, task, 0.5, scores=np.arange(6) + shift)
    folder = make("e", "late", "digit", 0.5, scores=np.arange(6))
    table = comparisons(read_experiment(folder).results, "simclr")
    assert list(table.columns) == ["protocol", "task", "label", "difference", "p", "clips"]
    found = {(r.task, r.label): r.difference for r in table.itertuples()}
    assert found == {
        ("digit", "ours"): 1.0, ("speaker", "ours"): 1.0, ("digit", "logmel"): -1.0,
        ("speaker", "logmel"): -1.0, ("digit", "late"): 1.0,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"'SimCLR'.*simclr; late; ours; logmel"):
        comparisons(read_experiment(folder).results, "SimCLR")


def test_ranks_are_scipys_means_over_the_tasks_that_all_rows_have(make: Make) -> None:
    values = {
        "a": [0.9, 0.5, 0.7, 0.1],
        "b": [0.8, 0.5, 0.9, 0.2],
        "c": [0.1, 0.6, 0.8],
    }
    for label, row in values.items():
        for task, value in zip("uvwx", row, strict=False):
            folder = make("e", label, task, value)
    order = ranks(tidy(read_experiment(folder).results))
    shared = np.array([row[:3] for row in values.values()])
    by_hand = np.stack([rankdata(-column) for column in shared.T]).mean(0)
    assert {label: order["linear-v1", label] for label in values} == pytest.approx(
        dict(zip(values, by_hand, strict=True))
    )
    assert order["linear-v1", "a"] == pytest.approx((1 + 2.5 + 3) / 3)


def test_of_errors_the_lowest_ranks_first(make: Make) -> None:
    for label, value in (("a", 0.2), ("b", 0.4)):
        for task in ("t", "u"):
            folder = make("e", label, task, value, metric="mse")
    order = ranks(tidy(read_experiment(folder).results))
    assert dict(order) == {("linear-v1", "a"): 1.0, ("linear-v1", "b"): 2.0}


def test_protocols_are_ranked_apart_and_a_single_task_not_at_all(make: Make) -> None:
    for label, value in (("a", 0.2), ("b", 0.4)):
        for task in ("t", "u"):
            make("e", label, task, value)
        more = {"protocol": "knn-v1"}
        folder = make("f", label, "t", value, **more)
    both = pd.concat([tidy(read_experiment(f).results) for f in (folder, folder.with_name("e"))])
    assert dict(ranks(both)) == {("linear-v1", "a"): 2.0, ("linear-v1", "b"): 1.0}
    assert ranks(tidy(read_experiment(folder).results)).empty


def test_tidy_has_a_line_for_each_protocol_task_and_row(make: Make) -> None:
    for seed, value in enumerate((0.5, 0.6, 0.9)):
        make("e", "a", "t", value, seed=seed, interval=[value - 0.1, value + 0.2])
    folder = make("e", "b", "t", 0.3)
    table = tidy(read_experiment(folder).results).set_index("label")
    assert list(table.columns) == [
        "protocol", "task", "metric", "method", "seeds", "mean", "sd", "low", "high",
    ]  # fmt: skip
    a, b = table.loc["a"], table.loc["b"]
    assert a["seeds"] == 3 and a["sd"] == pytest.approx(np.std([0.5, 0.6, 0.9], ddof=1))
    assert [a["mean"], a["low"], a["high"]] == pytest.approx([2 / 3, 2 / 3 - 0.1, 2 / 3 + 0.2])
    assert b["seeds"] == 1 and np.isnan([b["sd"], b["low"], b["high"]]).all()


def test_join_names_the_corpus_where_there_are_several(make: Make) -> None:
    one = make("one", "a", "digit", 0.5, corpus="fsdd")
    two = make("two", "a", "digit", 0.5, corpus="speech")
    assert [r.task for r in join([one]).results] == ["digit"]
    joined = join([one, two])
    assert [r.task for r in joined.results] == ["fsdd: digit", "speech: digit"]
    assert len(joined.runs) == 2


def test_join_of_one_corpus_keeps_the_names_of_its_tasks(make: Make) -> None:
    one = make("one", "a", "digit", 0.5, corpus="fsdd")
    two = make("two", "b", "digit", 0.5, corpus="fsdd")
    assert [r.task for r in join([one, two]).results] == ["digit", "digit"]


def test_join_refuses_the_same_row_twice(make: Make) -> None:
    """Else a row of two experiments would be averaged as if it were of two seeds."""
    one = make("one", "a", "digit", 0.5, corpus="fsdd")
    two = make("two", "a", "digit", 0.6, corpus="fsdd")
    with pytest.raises(UserError, match=r"'a'.*digit.*seed 0.*every protocol.*label=NAME"):
        join([one, two])


def test_join_tells_what_all_experiments_say_of_themselves(make: Make) -> None:
    folders = [make(name, name, "t", 0.5) for name in ("one", "two", "three")]
    for folder, command in zip(folders, ("run.sh", "run.sh", "other.sh"), strict=True):
        about = {"title": folder.name, "hardware": "two cores", "command": command}
        (folder / "experiment.json").write_text(json.dumps(about))
    assert join(folders).about == {
        "title": "one; two; three", "hardware": "two cores", "command": "run.sh; other.sh",
    }  # fmt: skip
    for folder in folders:
        (folder / "experiment.json").unlink()
    assert join(folders).about["command"] == ""


def test_published_keeps_figures_as_they_were_printed(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(
        "row,corpus,task,protocol,metric,value,source\n"
        'SimCLR,esc50,category,fewshot_published-v1 5-way 1-shot,"accuracy, %",63.40,Heggan\n'
        'SimCLR,nsynth,,fewshot_published-v1 5-way 1-shot,"accuracy, %",66.44,Heggan\n'
    )
    table = published(file)
    assert table["value"].tolist() == ["63.40", "66.44"]
    assert table["task"].tolist() == ["category", ""]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("row,corpus,task\na,b,c\n", r"rows\.csv.*protocol, metric, value, source"),
        ("row,corpus,task,protocol,metric,value,source\na,b,c,d,e,-,g\n", "line 2: value '-'"),
        ("", "cannot read"),
        (HEAD + "a,b,c,5-way 1-shot,e,1,g\n", r"line 2.*'5-way 1-shot'.*fewshot_published-v1"),
        (
            HEAD + "a,b,c,fewshot-v1 5-way 1-shot,e,1,g\n",
            r"'fewshot-v1 5-way 1-shot'.*fewshot_published-v1",
        ),
    ],
)
def test_published_refuses_other_tables(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=told):
        published(file)
    with pytest.raises(UserError, match="cannot read"):
        published(tmp_path / "absent.csv")


def test_published_rows_stand_beside_ours_of_their_protocol_alone(
    make: Make, tmp_path: Path
) -> None:
    theirs = "fewshot_published-v1 5-way 1-shot"
    for seed, value in enumerate((0.25, 0.35)):
        make("e", "ours", "word", value, seed, corpus="esc50", protocol=theirs)
    make("e", "logistic", "word", 0.9, corpus="esc50", protocol="fewshot-v1 5-way 1-shot")
    make("e", "elsewhere", "word", 0.8, corpus="gtzan", protocol=theirs)
    folder = make(
        "e", "five-shot", "word", 0.7, corpus="esc50", protocol=theirs.replace("1-s", "5-s")
    )
    file = tmp_path / "rows.csv"
    rows = [f"SimCLR,{c},{t},{theirs},m,63.40,Heggan" for c, t in (("esc50", "word"), ("saa", ""))]
    file.write_text(HEAD + "\n".join([*rows, f"SimCLR,esc50,,{theirs},m,1,Heggan"]) + "\n")
    table = beside(join([folder]).results, published(file))
    assert table.drop(columns="protocol").to_numpy().tolist() == [
        ["esc50", "word", "ours", "here", "30.0 ± 7.1"],
        ["esc50", "word", "SimCLR", "Heggan", "63.40"],
    ]


def test_the_published_rows_of_the_repository_are_complete() -> None:
    repository = Path(__file__).parents[2]
    table = published(repository / "data_manifests" / "published" / "mt_slvr.csv")
    episodes = table[table["protocol"] == "fewshot_published-v1 5-way 1-shot"]
    assert episodes.groupby("row").size().tolist() == [10, 10]
    assert (table["protocol"] == "frozen linear evaluation").sum() == 7
    values = episodes.pivot(index="corpus", columns="row", values="value").loc["esc50"]
    assert sorted(values) == ["63.40", "69.53"]
    assert table["source"].str.len().min() > 0


def test_ranks_of_seeds_are_of_their_means(make: Make) -> None:
    for task in ("t", "u"):
        for seed, value in enumerate((0.9, 0.1)):
            make("e", "unsteady", task, value, seed=seed)
        folder = make("e", "steady", task, 0.6)
    results = [replace(r) for r in read_experiment(folder).results]
    assert ranks(tidy(results))["linear-v1", "steady"] == 1.0
