"""What may differ when a finished or interrupted pre-training is asked for again."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from audioinv.cli import main
from audioinv.conf.keys import keys_of
from audioinv.data.modality import known_modalities, registered
from audioinv.runs.settings import HARMLESS, READ, reads

MODALITIES = [modality.name for modality in known_modalities()]

Refuse = Callable[[Sequence[str]], str]


def test_settings_that_do_not_touch_pretraining_may_change(finished: Any, snapshot: Any) -> None:
    before = snapshot(finished.run)
    free = ["adapt.readout=lda", "measure.n_clips=5", "tasks=[label]", "features.layers=all"]
    free += ["fewshot.k_shot=2", "finetune.epochs=3", "protocol=knn", "knn.k=3", "score_on=valid"]
    free += [f"out={finished.folder}/elsewhere", "label=mine", "averaging.draws=[1]"]
    free += ["factors.clips=9", "robustness.clips=9", "trusted_modules=[x]", "timeout_s=5"]
    free += ["pretrain.keep_checkpoints=3", "+method_pretrain.simclr={lr: 0.5}"]
    assert main(["pretrain", *finished.settings(), *free]) == 0
    assert snapshot(finished.run) == before


# What pre-training does not read; a new key of a schema must be put here or into READ. The values
# in the file of `statistics` count, its path does not.
FREE = {
    *("run", "pack", "statistics", "out", "protocol", "score_on", "label", "trusted_modules"),
    *("tasks", "accelerator", "devices", "nodes", "timeout_s", "allow_changes", "features"),
    *(
        "adapt",
        "fewshot",
        "fewshot_published",
        "finetune",
        "knn",
        "factors",
        "averaging",
        "robustness",
        "measure",
        "monitor",
        "log",
    ),
}


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_key_either_touches_pretraining_or_does_not(modality: str) -> None:
    for name in keys_of(registered(modality).schema):
        top = name.partition(".")[0]
        assert (top in READ) != (top in FREE), f"say in READ or FREE whether pretrain reads {name}"
        assert reads(name) == (top in READ and name not in HARMLESS)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("pretrain.lr=0.5", "pretrain.lr: 0.002 -> 0.5"),
        ("pretrain.checkpoint_every=3", "checkpoint_every: 2 -> 3"),
        ("seed=1", "seed: 0 -> 1"),
        ("precision=bf16-mixed", "precision: 32-true -> bf16-mixed"),
        ("frontend.n_bins=32", "frontend.n_bins: 24 -> 32"),
        ("bank.inactive=shared", "bank.inactive: identity -> shared"),
        ("bank.ranges.pitch_shift.max_semitones=3", "bank.ranges"),
        ("backbone.dim=8", "backbone.dim: 16 -> 8"),
        ("conditioning.rank=1", "conditioning.rank: 2 -> 1"),
        ("init_weights=w.safetensors", "init_weights: None -> w.safetensors"),
        ("trained=false", "trained: True -> False"),
    ],
)
def test_settings_that_touch_pretraining_may_not_change(
    finished: Any, refuse: Refuse, word: str, told: str
) -> None:
    words = finished.settings()
    if word == "trained=false":  # words about training would be refused beside it
        words = [given for given in words if not given.startswith("pretrain.")]
    assert told in refuse(["pretrain", *words, word])


def test_what_is_set_for_the_method_itself_may_not(finished: Any, refuse: Refuse) -> None:
    line = refuse(["pretrain", *finished.settings(), "+method_pretrain.amortised={lr: 0.5}"])
    assert "method_pretrain.amortised.lr: nothing -> 0.5" in line


def shifted(finished: Any, folder: Path) -> str:
    """Statistics of other values, as a word."""
    values = json.loads(finished.statistics.read_text())
    (folder / "other.json").write_text(json.dumps({**values, "mean": values["mean"] + 40}))
    return f"statistics={folder / 'other.json'}"


@pytest.fixture
def stopped(finished: Any, tmp_path: Path) -> Path:
    """A run that was begun and has a checkpoint, the one before its last."""
    run = tmp_path / "run"
    shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("encoder", "tasks"))
    max(run.glob("checkpoints/step_*.pt")).unlink()
    assert any(run.glob("checkpoints/step_*.pt"))
    return run


def mean_of(run: Path) -> float:
    return float(load_file(run / "encoder" / "encoder.safetensors")["frontend.mean"])


def test_other_statistics_are_refused(
    finished: Any, stopped: Path, refuse: Refuse, snapshot: Any, tmp_path: Path
) -> None:
    """Of a finished run, and of one that goes on; none are others too."""
    for run in (finished.run, stopped):
        before = snapshot(run)
        for word in (shifted(finished, tmp_path), "statistics=none"):
            line = refuse(["pretrain", *finished.settings(run), word])
            assert "was begun with statistics" in line and "allow_changes=true" in line
            assert str(json.loads(finished.statistics.read_text())["mean"]) in line
        assert snapshot(run) == before


def test_statistics_that_are_not_given_are_computed_kept_and_told(
    packed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run is the one that was given those of `audioinv statistics`; it goes on with them."""
    runs = {word: tmp_path / word for word in ("given", "null", "none")}
    for word, run in runs.items():
        given = [] if word == "given" else [f"statistics={word}"]
        with caplog.at_level(logging.INFO):
            assert main(["pretrain", *packed.settings(run), "pretrain.steps=1", *given]) == 0
        told = "no statistics= is given: mean" in caplog.text
        assert told is (word == "null")
        caplog.clear()
    values = [json.loads((run / "statistics.json").read_text()) for run in runs.values()]
    assert values[0] == values[1] and values[2] == {}
    encoders = [(r / "encoder" / "encoder.safetensors").read_bytes() for r in runs.values()]
    assert encoders[0] == encoders[1] != encoders[2]
    assert mean_of(runs["none"]) == 0
    shutil.rmtree(runs["null"] / "encoder")
    again = [*packed.settings(runs["null"]), "pretrain.steps=1", "statistics=null"]
    assert main(["pretrain", *again]) == 0
    assert mean_of(runs["null"]) == mean_of(runs["given"])


def test_the_file_of_statistics_may_move(finished: Any, stopped: Path, tmp_path: Path) -> None:
    moved = shutil.copy(finished.statistics, tmp_path / "moved.json")
    for run in (finished.run, stopped):
        assert main(["pretrain", *finished.settings(run), f"statistics={moved}"]) == 0
    weights = [
        (r / "encoder" / "encoder.safetensors").read_bytes() for r in (finished.run, stopped)
    ]
    assert weights[0] == weights[1]


def test_a_run_that_may_change_keeps_the_statistics_of_its_checkpoint(
    finished: Any, stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = [shifted(finished, tmp_path), "allow_changes=true"]
    with caplog.at_level(logging.WARNING):
        assert main(["pretrain", *finished.settings(stopped), *other]) == 0
    assert "keeps its statistics" in caplog.text
    assert mean_of(stopped) == mean_of(finished.run)
    kept = json.loads((stopped / "statistics.json").read_text())
    assert kept["mean"] == pytest.approx(mean_of(stopped), abs=1e-4)


def test_runs_by_earlier_code_kept_no_statistics_and_go_on(
    finished: Any, stopped: Path, tmp_path: Path
) -> None:
    (stopped / "statistics.json").unlink()
    given = ["pretrain", *finished.settings(stopped), shifted(finished, tmp_path)]
    assert main(given) == 0
    assert mean_of(stopped) == mean_of(finished.run)
    assert not (stopped / "statistics.json").exists(), "what it was begun with is not known"
    assert main(given) == 0, "finished, too"


def test_a_run_without_a_checkpoint_takes_the_statistics_of_now(
    finished: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "statistics.json").write_text('{"mean": 1, "std": 1}')
    assert main(["pretrain", *finished.settings(run)]) == 0
    assert mean_of(run) == mean_of(finished.run)
    values = json.loads(finished.statistics.read_text())
    kept = json.loads((run / "statistics.json").read_text())
    assert kept == {"mean": values["mean"], "std": values["std"]}


JUDGING = ("adapt", "evaluate", "measure", "embed", "export")
OTHER = [
    ("frontend.n_bins=64", "frontend.n_bins=64", "with 24"),
    ("bank.ranges.pitch_shift.max_semitones=3", "max_semitones=3", "with nothing"),
    ("backbone=resnet18", "backbone.options={}", "with nothing"),
    ("conditioning=norm", "conditioning.name=norm", "with hyper"),
    ("pretrain.lr=3", "pretrain.lr=3.0", "with 0.002"),
    ("init_weights=w.safetensors", "init_weights=w.safetensors", "with null"),
    ("trained=false", "trained=false", "with true"),
    ("+method_pretrain.amortised={lr: 0.5}", "method_pretrain.amortised.lr=0.5", "with nothing"),
]


@pytest.mark.parametrize(("word", "said", "run_s"), OTHER)
def test_words_that_the_run_was_not_pretrained_with_are_refused_later(
    finished: Any, refuse: Refuse, word: str, said: str, run_s: str
) -> None:
    line = refuse(["adapt", *finished.settings(), word])
    assert said in line and run_s in line and "leave it out, or pre-train another run" in line


@pytest.mark.parametrize("command", JUDGING)
def test_every_later_command_refuses_them(
    finished: Any, refuse: Refuse, snapshot: Any, command: str
) -> None:
    before = snapshot(finished.folder)
    out = ["--out", str(finished.folder / "new")] if command in ("embed", "export") else []
    words = [f"run={finished.run}", f"pack={finished.pack}", "backbone.width=2"]
    line = refuse([command, *out, *words])
    assert "backbone.width=2.0" in line and "with 0.125" in line and str(finished.run) in line
    assert snapshot(finished.folder) == before


def test_words_that_change_no_run_or_are_not_of_it_pass(
    finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What pre-training itself lets pass in a finished run, and nothing given at all."""
    free = ["pretrain.keep_checkpoints=3", "+method_pretrain.simclr={lr: 0.5}"]
    assert main(["measure", *finished.settings(), *free]) == 0
    own = [word for word in finished.settings() if word.startswith(("run=", "pack=", "measure."))]
    assert main(["measure", *own]) == 0
    told = ["allow_changes=true", "pretrain.lr=3"]
    assert main(["measure", *finished.settings(), *told]) == 0
    assert "pretrain.lr=3.0 is given" in caplog.text


def test_the_method_need_not_be_named_again(packed: Any, tmp_path: Path, refuse: Refuse) -> None:
    """Its own settings are not the words', which are those of the table's other methods."""
    settings = packed.settings(tmp_path / "simclr_s0")
    assert main(["pretrain", *settings, "method=simclr", "pretrain.steps=1"]) == 0
    words = [*settings, "pretrain.steps=1"]
    assert main(["measure", *words]) == 0
    line = refuse(["measure", *words, "backbone.width=2"])
    assert "backbone.width=2.0" in line and "conditioning" not in line


def test_a_run_that_says_what_is_no_key_any_more(
    finished: Any, tmp_path: Path, refuse: Refuse
) -> None:
    """Keys of one protocol that nothing read stand in the config.yaml of every older run."""
    run = tmp_path / "amortised_s0"
    shutil.copytree(finished.run, run)
    config = run / "config.yaml"
    old = "fewshot_published:\n  readouts: [sgd]\n  inverse_l2: 1.0\n"
    config.write_text(config.read_text().replace("fewshot_published:\n", old))
    assert main(["pretrain", *finished.settings(run)]) == 0
    assert main(["measure", *finished.settings(run)]) == 0
    config.write_text(config.read_text().replace("readouts: [sgd]", "reeadouts: [sgd]"))
    assert "reeadouts" in refuse(["measure", *finished.settings(run)])


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("method_pretrain.amortized.lr=1", "amortised"),
        ("accelerator=cup", "cpu"),
        ("precision=32-tru", "32-true"),
        ("pretrain.corners=-pich_shift", "pitch_shift"),
        ("pretrain.optimiser=adamW", "adamw"),
        ("frontend.short_clips=zeroes", "zeros"),
    ],
)
def test_a_mistyped_name_of_pretraining_is_told_the_nearest(
    packed: Any, refuse: Refuse, tmp_path: Path, word: str, near: str
) -> None:
    words = [*packed.settings(tmp_path / "run"), word]
    assert f"(did you mean {near}?)" in refuse(["pretrain", *words])


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("evaluate tasks=[labl]", "label"),
        ("adapt adapt.modes=[sof]", "soft"),
        ("adapt adapt.readout=logstic out={new}", "logistic"),
        ("adapt features.layers=lst out={new}", "last"),
        ("adapt features.pool=maen out={new}", "mean"),
        ("adapt score_on=tset out={new}", "test"),
        ("adapt precision=32-tru out={new}", "32-true"),
        ("adapt accelerator=cup out={new}", "cpu"),
        ("evaluate protocol=lineer", "linear"),
        ("evaluate protocol=fewshot fewshot.n_way=2 fewshot.readouts=[centriod]", "centroid"),
        ("evaluate protocol=fewshot fewshot.modes=[episod]", "episode"),
        ("embed --out f.csv --descriptor -pich_shift", "pitch_shift"),
        ("embed --out f.csv --task labl", "label/soft"),
    ],
)
def test_a_mistyped_name_of_a_later_command_is_told_the_nearest(
    finished: Any, refuse: Refuse, tmp_path: Path, words: str, near: str
) -> None:
    command, *rest = words.format(new=tmp_path).split()
    assert f"(did you mean {near}?)" in refuse([command, *finished.settings(), *rest])


def test_modes_that_were_not_adapted_come_with_those_that_were(
    finished: Any, refuse: Refuse
) -> None:
    given = [*finished.settings(), "tasks=[label]", "adapt.modes=[fixed:all,surrogate]"]
    told = refuse(["evaluate", *given])
    assert f"run audioinv adapt run={finished.run} 'adapt.modes=[surrogate]' first" in told
    assert "by 'adapt.modes=[fixed:-pitch_shift,fixed:all,paper,search,search:validation" in told


@pytest.mark.parametrize("command", ["embed", "export"])
@pytest.mark.parametrize("option", ["--descriptor", "--desc"])
def test_a_descriptor_may_begin_with_a_minus(
    finished: Any, tmp_path: Path, command: str, option: str
) -> None:
    out = tmp_path / ("f.npy" if command == "embed" else "f.pt2")
    words = [option, "-pitch_shift", "--out", str(out), *finished.settings()]
    assert main([command, *words]) == 0 and out.exists()


def test_an_unknown_option_is_told_by_its_command_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ("pack a --out b --samplerate 8000", "prepare fsdd --root a --out b --sede 1"):
        with pytest.raises(SystemExit):
            main(words.split())
    told = capsys.readouterr().err
    assert "audioinv pack: error:" in told and "(did you mean --sample_rate?)" in told
    assert "audioinv prepare fsdd: error:" in told and "(did you mean --seed?)" in told
