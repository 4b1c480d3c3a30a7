"""What may differ when a finished or interrupted pre-training is asked for again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    assert told in refuse(["pretrain", *finished.settings(), word])


def test_what_is_set_for_the_method_itself_may_not(finished: Any, refuse: Refuse) -> None:
    line = refuse(["pretrain", *finished.settings(), "+method_pretrain.amortised={lr: 0.5}"])
    assert "method_pretrain.amortised.lr: nothing -> 0.5" in line
