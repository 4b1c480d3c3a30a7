"""What may differ when a finished or interrupted pre-training is asked for again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

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


# What pre-training does not read; a new key of a schema must be put here or into READ.
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
    assert main(["measure", f"run={finished.run}", f"pack={finished.pack}"]) == 0
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
