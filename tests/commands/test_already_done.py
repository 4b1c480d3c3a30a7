"""What is there was made as it is asked for now, or the command says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from audioinv.cli import main
from audioinv.commands.judging import ROWS_BY
from audioinv.conf.schema import Config
from audioinv.data.modality import known_modalities, registered
from audioinv.tasks.protocols import PROTOCOLS

pytestmark = pytest.mark.slow

Refuse = Callable[[Sequence[str]], str]
MODES = "adapt.modes=[fixed:all,search,soft,paper]"
QUICK = [
    "finetune.epochs=1",
    "averaging.draws=[1,2]",
    "robustness.strengths=[0,1]",
    "factors.clips=40",
    *(
        f"{name}.{word}"
        for name in ("fewshot", "fewshot_published")
        for word in ("n_way=3", "n_tasks=5", "class_split=[0.5,0,0.5]", "modes=[fixed:all,soft]")
    ),
]


@pytest.fixture(scope="module")
def adapted(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words that name results of their own, with one task adapted."""
    words = [*finished.settings(), f"out={tmp_path_factory.mktemp('out')}", "tasks=[label]", *QUICK]
    assert main(["adapt", *words, MODES]) == 0
    return words


def without(folder: Path, name: str, *keys: str) -> None:
    """The files of a name, as earlier code wrote them: without these keys."""
    for path in folder.rglob(name):
        known = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in known.items() if k not in keys}))


@pytest.mark.parametrize(
    ("mode", "word", "told"),
    [
        ("search", "adapt.max_labels=20", "max_labels 500 -> 20"),
        ("soft", "adapt.max_labels=20", "max_labels 500 -> 20"),
        ("soft", "adapt.top_corners=3", "top_corners 8 -> 3"),
        ("soft", "adapt.evidence_steps=2", "evidence_steps 40 -> 2"),
        ("paper", "adapt.epochs=2", "epochs 1 -> 2"),
        ("paper", "adapt.batch_size=2", "batch_size 16 -> 2"),
        ("paper", "adapt.lr=0.5", "lr 0.01 -> 0.5"),
        ("paper", "adapt.rounding=true", "rounding False -> True"),
    ],
)
def test_what_a_mode_reads_may_not_change(
    adapted: list[str], refuse: Refuse, mode: str, word: str, told: str
) -> None:
    line = refuse(["adapt", *adapted, f"adapt.modes=[{mode}]", word])
    assert told in line and "remove the folder" in line


def test_what_a_mode_does_not_read_may_change(adapted: list[str]) -> None:
    other = ["adapt.lr=0.5", "adapt.true_steps=3", "adapt.top_corners=3"]
    assert main(["adapt", *adapted, "adapt.modes=[fixed:all,search]", *other]) == 0
    assert main(["adapt", *adapted, "adapt.modes=[paper]", "adapt.max_labels=20"]) == 0


def test_adaptations_by_earlier_code_are_taken_as_they_are(finished: Any, tmp_path: Path) -> None:
    shutil.copytree(finished.run / "tasks", tmp_path / "tasks")
    without(tmp_path, "adapted.json", "epochs", "batch_size", "lr", "rounding")
    words = [*finished.settings(), f"out={tmp_path}", "adapt.modes=[paper]", "adapt.epochs=2"]
    assert main(["adapt", *words, "adapt.lr=0.5"]) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_result_records_every_setting_of_its_protocol(adapted: list[str], protocol: str) -> None:
    words = [*adapted, MODES, f"protocol={protocol}"]
    assert main(["evaluate", *words]) == 0
    assert main(["evaluate", *words]) == 0, "the same again is already done"
    (out,) = (Path(word.removeprefix("out=")) for word in adapted if word.startswith("out="))
    made = [json.loads(path.read_text()) for path in out.rglob("result.json")]
    of_protocol = [row for row in made if row["protocol"].split("-v1")[0] == protocol]
    assert of_protocol
    for schema in {registered(modality.name).schema for modality in known_modalities()}:
        own = getattr(schema(), protocol, None)
        assert (own is None) == (protocol == "linear")
        keys = [] if own is None else [f.name for f in fields(own) if f.name not in ROWS_BY]
        for row in of_protocol:
            assert {f"{protocol}.{key}" for key in keys} <= row.get("settings", {}).keys()


def test_every_protocol_has_settings_of_its_name() -> None:
    """What has none is judged by what the task learnt alone."""
    named = {f.name for f in fields(Config) if is_dataclass(getattr(Config(), f.name))}
    assert set(PROTOCOLS) - named == {"linear"}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("knn.k=3", "knn.k 20 -> 3"),
        ("knn.temperature=1", "knn.temperature 0.07 -> 1"),
        ("factors.clips=20", "factors.clips 40 -> 20"),
        ("factors.clips=40 features.layers=all", "features.layers last -> all"),
        ("averaging.draws=[1]", "averaging.draws [1, 2] -> [1]"),
        ("averaging.draws=[1,2] adapt.readout=lda", "adapt.readout ridge -> lda"),
        ("robustness.strengths=[1]", "robustness.strengths [0.0, 1.0] -> [1.0]"),
        ("robustness.clips=5", "robustness.clips 500 -> 5"),
        ("fewshot.n_tasks=6", "fewshot.n_tasks 5 -> 6"),
        ("fewshot.inverse_l2=2", "fewshot.inverse_l2 1.0 -> 2"),
        ("fewshot.n_tasks=5 adapt.top_corners=2", "adapt.top_corners 8 -> 2"),
        ("fewshot_published.n_tasks=6", "fewshot_published.n_tasks 5 -> 6"),
        ("finetune.lr=0.1", "finetune.lr 0.001 -> 0.1"),
        ("finetune.epochs=2", "finetune.epochs 1 -> 2"),
        ("finetune.epochs=1 seed=1", "seed 0 -> 1"),
    ],
)
def test_another_setting_of_a_protocol_is_refused(
    adapted: list[str], refuse: Refuse, snapshot: Any, word: str, told: str
) -> None:
    words = ["evaluate", *adapted, MODES, f"protocol={word.partition('.')[0]}"]
    assert main(words) == 0
    (out,) = (Path(w.removeprefix("out=")) for w in adapted if w.startswith("out="))
    before = snapshot(out)
    line = refuse([*words, *word.split()])
    assert told in line and "give the same, remove it, or give out=ANOTHER" in line
    assert snapshot(out) == before


def test_results_by_earlier_code_are_taken_as_they_are(finished: Any, tmp_path: Path) -> None:
    words = [*finished.settings(), f"out={tmp_path}", "tasks=[label]", "adapt.modes=[fixed:all]"]
    words.append("protocol=knn")
    for command in ("adapt", "evaluate"):
        assert main([command, *words]) == 0
    without(tmp_path, "result.json", "settings")
    assert main(["evaluate", *words, "knn.k=3"]) == 0
    (path,) = tmp_path.rglob("result.json")
    assert "k=20" in json.loads(path.read_text())["readout"]


def test_measurements_with_other_settings_are_refused(
    finished: Any, refuse: Refuse, tmp_path: Path
) -> None:
    words = ["measure", *finished.settings(), f"out={tmp_path}"]
    assert main(words) == 0
    line = refuse([*words, "measure.n_clips=5"])
    assert "measure.n_clips 12 -> 5" in line and "give out=ANOTHER" in line
    assert "seed 0 -> 1" in refuse([*words, "seed=1"])
    other = tmp_path / "other"
    plain = [word for word in finished.settings(other) if not word.startswith("pretrain.")]
    assert main(["pretrain", *plain, "trained=false"]) == 0
    line = refuse(["measure", *plain, f"out={tmp_path}"])
    assert "another encoder" in line and str(tmp_path / "measure.json") in line
    without(tmp_path, "measure.json", "settings", "encoder")
    assert main([*words, "measure.n_clips=5"]) == 0, "by earlier code"


@pytest.mark.parametrize("content", ["[]", '{"settings": 3}'])
def test_what_was_damaged_is_one_clear_error(
    finished: Any, refuse: Refuse, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "measure.json"
    path.write_text(content)
    line = refuse(["measure", *finished.settings(), f"out={tmp_path}"])
    assert str(path) in line and "remove it" in line


def test_measuring_reads_no_key_of_features(finished: Any, tmp_path: Path) -> None:
    """So that none need be recorded."""
    features = ["layers=all", "hop_s=0.05", "pool=max", "views=2", "strength=0.5"]
    words = [f"features.{word}" for word in features]
    assert main(["measure", *finished.settings(), f"out={tmp_path}", *words]) == 0
    made = [(folder / "measure.json").read_text() for folder in (tmp_path, finished.run)]
    assert made[0] == made[1]
