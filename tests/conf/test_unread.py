"""What the command line sets to no effect is refused, and what groups bring along is not."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.conf.compose import compose_config
from audioinv.conf.keys import keys_of
from audioinv.conf.schema import ConditioningConfig, Config
from audioinv.conf.unread import CONDITIONS, WITH_SETTINGS, refuse_unread, refuse_unread_by
from audioinv.core.backbone import OTHERS
from audioinv.core.conditioning import CONDITIONINGS
from audioinv.data.modality import registered
from audioinv.tasks.protocols import PROTOCOLS
from tests.halves import HAVE, of_sounds

UNREAD = [
    (["conditioning=norm", "conditioning.rank=4"], "conditioning.rank=4", "name=hyper"),
    (["conditioning=norm", "++conditioning.signed=true"], "signed=true", "hyper or"),
    (["conditioning=none", "conditioning.scale=2"], "scale=2.0", "name=norm"),
    (["conditioning.rank=8"], "rank=8", "name=hyper"),
    (["conditioning.mlps=2"], "mlps=2", "name=prompt"),
    (["conditioning=hyper", "conditioning.gain=6"], "gain=6.0", "conditioning.rank other than 0"),
    (["conditioning={rank: 8}"], "rank=8", "hyper"),
    (["backbone.name=statistics", "backbone.width=0.5"], "backbone.width=0.5", "statistics"),
    (["backbone.name=statistics", "backbone.options.a=1"], "backbone.options.a=1", "statistics"),
    (["backbone.name=hear", "backbone.options={module: m, layers: 3}"], "options.layers=3", "hear"),
    (["backbone.name=concat", "backbone.options.module=m"], "options.module=m", "concat"),
    (["frontend=waveform", "frontend.n_bins=12"], "frontend.n_bins=12", "waveform"),
    (["modality=sonograph", "frontend.short_clips=repeat"], "short_clips=repeat", "sonograph"),
    (["on_error=skip"], "on_error=skip", "only with shards= given"),
    (["frontend=waveform", "frontend.n_fft=512"], "frontend.n_fft=512", "waveform"),
    (["frontend=waveform", "frontend.hop=256"], "frontend.hop=256", "waveform"),
    (["conditioning=hyper_paper", "conditioning.scale=2"], "scale=2.0", "start other than paper"),
    (["conditioning=prompt_paper", "conditioning.scale=2"], "scale=2.0", "start other than paper"),
    (["trained=false", "pretrain.lr=3"], "pretrain.lr=3.0", "trained=true"),
    (["trained=false", "pretrain.penalty_on=[fade]"], "penalty_on=[fade]", "trained=true"),
    (["pretrain.projector_layers=1", "pretrain.projector_hidden=8"], "projector_hidden=8",
     "projector_layers above 1"),
    (["pretrain.projector_layers=1", "pretrain.projector_batch_norm=false"],
     "projector_batch_norm=false", "projector_layers above 1"),
    (["pretrain.projector=none", "pretrain.predict=applied", "pretrain.projector_hidden=8"],
     "projector_hidden=8", "predict=differences"),
    (["pretrain.queue_size=64"], "queue_size=64", "objective=moco_v2"),
    (["pretrain.objective=moco_v3", "pretrain.queue_size=64"], "queue_size=64", "moco_v2"),
    (["pretrain.momentum=0.5"], "momentum=0.5", "moco_v2 or pretrain.objective=moco_v3"),
    (["pretrain.projector=none", "pretrain.projector_hidden=8"], "projector_hidden=8", "predict"),
    (["pretrain.projector=none", "pretrain.projector_dim=8"], "projector_dim=8", "projector"),
    (["pretrain.predict_weight=2"], "predict_weight=2.0", "pretrain.predict other than none"),
    (["pretrain.penalty_draws=3"], "penalty_draws=3", "pretrain.penalty other than 0"),
    (["method=simclr", "pretrain.penalty_on=[fade]"], "penalty_on=[fade]", "other than 0"),
    (["pretrain.skip_limit=3"], "skip_limit=3", "not_finite=skip"),
    (["conditioning=norm", "conditioning.stem=true"], "stem=true", "name=hyper"),
    (["pretrain.twins=0.5"], "twins=0.5", "bank.inactive=shared"),
    (["conditioning=norm", "conditioning.rank=1"], "rank=1", ""),
]  # fmt: skip


@of_sounds
@pytest.mark.parametrize(("words", "key", "reader"), UNREAD)
def test_what_nothing_reads_is_refused(words: list[str], key: str, reader: str) -> None:
    with pytest.raises(UserError) as refused:
        refuse_unread(compose_config(words), words)
    told = str(refused.value)
    assert key in told and "is read only with" in told and reader in told


@of_sounds
@pytest.mark.parametrize(
    "words",
    [
        ["conditioning=hyper_light", "conditioning.rank=4", "conditioning.gain=2"],
        ["conditioning=hyper", "conditioning.stem=false", "conditioning.bases=3"],
        ["pretrain.twins=0.5", "bank.inactive=shared"],
        ["conditioning=hyper_paper", "conditioning.stem=true"],
        ["conditioning=norm", "conditioning.hidden=8", "conditioning.scale=1"],
        ["conditioning=norm", "conditioning.rank=0"],  # the default, said aloud
        ["conditioning=none", "backbone=resnet10_narrow"],
        ["backbone.options.layers=[1,1,1,1]", "backbone.width=0.5"],
        ["frontend=waveform", "frontend.clip_s=2", "frontend.short_clips=repeat"],
        ["modality=sonograph", "frontend.n_bins=32"],
        ["shards=a.tar", "on_error=skip"],
        ["conditioning=norm", "conditioning.scale=2"],
        ["conditioning=hyper", "conditioning.scale=2"],
        ["trained=false", "pretrain.corners=all"],  # which the commands after it read
        ["pretrain.projector_layers=1", "pretrain.projector_dim=8"],
        [
            "pretrain.objective=moco_v3",
            "pretrain.projector_layers=1",
            "pretrain.projector_hidden=8",
        ],
        [
            "pretrain.projector_layers=1",
            "pretrain.predict=differences",
            "pretrain.projector_hidden=8",
        ],
        ["pretrain.projector=none", "pretrain.predict=embeddings", "pretrain.projector_dim=8"],
        ["pretrain.objective=moco_v2", "pretrain.queue_size=64", "pretrain.momentum=0.5"],
        ["pretrain.projector=none", "pretrain.predict=differences", "pretrain.projector_hidden=8"],
        ["method=invclr", "pretrain.penalty_draws=3"],
        ["method=amortised", "method_pretrain.amortised.penalty=1", "pretrain.penalty_draws=3"],
        ["pretrain.not_finite=skip", "pretrain.skip_limit=3"],
        ["experiment=paper_simclr_audio", "conditioning=norm"],
        ["~method_pretrain", "run='a b'"],
    ],
)
def test_what_is_read_or_comes_along_is_not(
    words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    refuse_unread(compose_config(words), words)
    assert caplog.text == ""


@of_sounds
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["method=simclr", "conditioning.scale=4"], "conditioning.scale=4.0"),
        (["method=logmel", "backbone.width=0.5"], "backbone.width=0.5"),
        (["method=random", "pretrain.lr=3"], "pretrain.lr=3.0"),
        (["method=hear", "backbone.options.module=m", "frontend.n_bins=9"], "frontend.n_bins=9"),
    ],
)
def test_words_for_all_methods_of_a_table_are_told_of(
    words: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        refuse_unread(compose_config(words), words)
    assert f"{told} is read only with" in caplog.text and words[0] in caplog.text


def test_every_option_of_a_conditioning_is_known() -> None:
    """The conditions say of each what its constructor says, of which help needs no torch."""
    for option in keys_of(ConditioningConfig):
        if option == "name":
            continue
        for name, kind in CONDITIONINGS.items():
            values = {"conditioning.name": name, "conditioning.rank": 1}
            values["conditioning.start"] = "scaled"
            rules = [c for c in CONDITIONS if re.fullmatch(c.keys, f"conditioning.{option}")]
            read = all(condition.holds(values) for condition in rules)
            assert read == (option in inspect.signature(kind).parameters), (option, name)


def test_every_option_of_a_network_of_our_own_is_known() -> None:
    for name, kind in OTHERS.items():
        known = set(inspect.signature(kind).parameters) - {"input_size"}
        for option in ("parts", "module", "weights", "width"):
            rules = [c for c in CONDITIONS if re.fullmatch(c.keys, f"backbone.options.{option}")]
            read = all(condition.holds({"backbone.name": name}) for condition in rules)
            assert read == (option in known), (name, option)


@of_sounds
def test_conditions_are_about_keys_that_exist() -> None:
    known = {name for modality in HAVE for name in keys_of(registered(modality).schema)}
    for condition in CONDITIONS:
        patterns = (condition.keys, condition.keys.replace(r"\..*", r"\.any"))
        assert any(re.fullmatch(p, k) for p in patterns for k in [*known, "backbone.options.any"])


@of_sounds
@pytest.mark.parametrize("command", ["pretrain", "profile"])
def test_the_commands_refuse_before_anything_is_made(
    command: str, tmp_path: Path, capsys: Any
) -> None:
    words = ["conditioning=norm", "conditioning.rank=4", f"run={tmp_path / 'run'}", "pack=nowhere"]
    assert main([command, *words]) == 2
    assert "conditioning.rank=4 is read only with" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_protocols_with_settings_are_known() -> None:
    assert set(WITH_SETTINGS) == {name for name in PROTOCOLS if name in vars(Config())}


@of_sounds
def test_words_of_another_protocol_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    words = ["protocol=fewshot_published", "fewshot_published.n_way=3", "fewshot.n_tasks=50"]
    with caplog.at_level(logging.WARNING):
        refuse_unread_by("fewshot_published", compose_config(words), words)
    (told,) = caplog.messages
    assert "fewshot.n_tasks=50 " in told and "protocol=fewshot," in told
    assert told.endswith("protocol=fewshot_published")


@of_sounds
def test_published_rows_are_of_the_last_layer_whatever_is_asked() -> None:
    """Asked for by a word: what an experiment says is for other protocols, too."""
    words = ["protocol=fewshot_published", "features.layers=all"]
    with pytest.raises(UserError, match=r"features\.layers=all.*takes last.*protocol=fewshot"):
        refuse_unread_by("fewshot_published", compose_config(words), words)
    refuse_unread_by("fewshot_published", compose_config(words), words[:1])
    refuse_unread_by("fewshot", compose_config(words), words)
