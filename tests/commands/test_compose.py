"""KEY=VALUE words to configurations: corners as methods, sweeps, and what is refused."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.conf.compose import compose_config, quoted, sweep
from audioinv.conf.keys import keys_of
from audioinv.data.modality import known_modalities


def test_any_corner_is_a_method() -> None:
    config = compose_config(["method=simclr:pitch_shift+fade", "seed=3"])
    assert config.method == "simclr:pitch_shift+fade"
    assert config.pretrain.corners == "pitch_shift+fade"
    assert config.conditioning.name == "none" and config.seed == 3
    plain = compose_config(["method=simclr"])
    assert (plain.method, plain.pretrain.corners) == ("simclr", "all")


def test_the_name_of_a_corner_is_known_where_others_refer_to_it() -> None:
    words = ["method=simclr:fade", "run='exp/${method}_s${seed}'"]
    assert compose_config(words).run == "exp/simclr:fade_s0"
    twice = compose_config(["method=simclr:fade", "method=conditioned_allon"])
    assert (twice.method, twice.pretrain.corners) == ("conditioned_allon", "all")


def test_a_corner_is_given_once() -> None:
    with pytest.raises(UserError, match=r"pretrain\.corners=all.*method=simclr:fade.*give one"):
        compose_config(["method=simclr:fade", "pretrain.corners=all"])


def test_a_corner_may_leave_components_out() -> None:
    config = compose_config(["method=conditioned_allon:-pitch_shift"])
    assert config.pretrain.corners == "-pitch_shift"
    assert config.conditioning.name != "none"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["method=simclrr:all"], "simclrr"),
        (["method=simclrr"], "simclrr"),
        (["pretrain.stpes=3"], "stpes"),
        (["pretrain.steps=many"], "many"),
        (["seed"], "seed"),
        (["seed=[1"], "[1"),
        (["=0"], "Got int"),
        (["+pretrain.stpes=3"], "there is no key pretrain.stpes"),
        (["bank.groups={a:3}"], "bank.groups={a:3}: Invalid value"),
        (["bank.groups.a.b=1"], "bank.groups.a.b=1"),
        (["bank.groups=3"], "bank.groups=3"),
        (["bank.groups={a"], "{a"),
        (["bank.ranges.fade={a:1},{b:2}"], "give --multirun"),
        (["bank.ranges.fade=3"], "bank.ranges.fade=3"),
        (["bank.ranges.fade.low=much"], "much"),
        (["bank.ranges=null"], "not Optional"),
        (["tasks.a=1"], "Unexpected type"),
        (["bank.names.0=fade"], "Unexpected type"),
        (["conditioning=[1]"], "int"),
    ],
)
def test_unknown_words_are_named_and_help_is_offered(words: list[str], told: str) -> None:
    with pytest.raises(UserError, match="--help") as refused:
        compose_config(words)
    assert told in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("pretrain.stpes=3", "pretrain.steps"),
        ("+pretrain.stpes=3", "pretrain.steps"),
        ("~sed", "seed"),
        ("methdo=simclr", "method"),
        ("method=amortized", "amortised"),
        ("method=simclrr:all", "simclr"),
        ("backbone=resnet19", "resnet18"),
        ("experiment=benchmark_quik", "benchmark_quick"),
        ("modality=imgae", "image"),
        ("steps=3", "pretrain.steps"),
        ("clip_s=3", "frontend.clip_s"),
    ],
)
def test_near_misses_are_suggested(word: str, near: str) -> None:
    with pytest.raises(UserError) as refused:
        compose_config([word])
    assert f"did you mean {near}?" in str(refused.value)


@pytest.mark.parametrize("text", ["1e3", "007", "1_0", "true", "-1", "inf", "nan", "10.50"])
def test_a_folder_is_called_what_was_written(text: str) -> None:
    assert compose_config([f"run={text}"]).run == text
    assert compose_config(["run=null"]).run is None
    assert compose_config([f"+run={text}", "seed=1_0"]).seed == 10


def test_a_model_of_timm_is_given_by_its_name() -> None:
    with pytest.raises(UserError, match=r"by backbone\.name=efficientnet_b0\."):
        compose_config(["backbone=efficientnet_b0"])


@pytest.mark.parametrize(
    "name",
    [
        *(
            [
                "é",
                "日本",
                "a=b",
                "a,b",
                "a(b",
                "a)b",
                "a{b}",
                "a[1]",
                "a&b",
                "a'b",
                "a;b",
                "#a",
                "~/x",
            ]
        ),
        *(
            'a"b',
            "a`b",
            "a'b\\'",
            "…",
            "choice(a,b)",
        ),
    ],
)
def test_the_quoting_that_a_refusal_tells_works(name: str) -> None:
    with pytest.raises(UserError) as refused:
        compose_config([f"run={name}"])
    assert quoted(f"run={name}") in str(refused.value)
    (word,) = shlex.split(quoted(f"run={name}"))
    assert compose_config([word]).run == name


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("bank.groups={...}", "KEY={a:b,c:[d,e]}"),
        ("bank.groups=[pitch_shift]", "KEY={a:b}"),
        ("bank.groups={a:pitch_shift}", "KEY=[a,b]"),
        ("tasks=digit", "KEY=[a,b]"),
        ("trained=yse", "Give true or false"),
        ("run=[a]", "Quote a text"),
        ("run=a${b}", r"Write \${"),
    ],
)
def test_a_value_of_another_kind_comes_with_how_to_write_it(word: str, remedy: str) -> None:
    with pytest.raises(UserError, match=re.escape(remedy)):
        compose_config([word])


def test_nothing_is_suggested_where_no_key_is_near() -> None:
    with pytest.raises(UserError) as refused:
        compose_config(["frontend.image_size=3"])
    assert "there is no key frontend.image_size" in str(refused.value)
    assert "did you mean" not in str(refused.value)


OPEN = [
    (modality.name, key.name)
    for modality in known_modalities()
    for key in keys_of(modality.schema).values()
    if key.is_open
]
INSIDE: dict[str, tuple[str, Any]] = {
    "bank.groups": ("mine=[a]", {"mine": ["a"]}),
    "bank.probabilities": ("all.a=1", {"all": {"a": 1.0}}),
    "bank.ranges": ("a.max_level=5", {"a": {"max_level": 5.0}}),
    "backbone.options": ("num_heads=12", {"num_heads": 12}),
    "method_pretrain": ("mine.lr=1", {"mine": {"lr": 1}}),
}
"""Open key -> a word of what may stand in it, and what that makes of it."""


@pytest.mark.parametrize(("modality", "key"), OPEN)
def test_every_open_key_takes_names_without_a_plus(modality: str, key: str) -> None:
    word, made = INSIDE[key]
    composed: Any = compose_config([f"modality={modality}", f"{key}.{word}"])
    for part in key.split("."):
        composed = getattr(composed, part)
    assert {name: composed[name] for name in made} == made


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_a_dictionary_takes_names_of_its_own(plus: str) -> None:
    """Whole or name by name, from nothing, and a whole number for a float."""
    words = ["bank.groups={a:[pitch_shift],b:[fade,time_mask]}", "bank.groups.c=[time_shift]"]
    words += ["bank.ranges={pitch_shift:{max_semitones:6}}", "bank.ranges.fade.low=1"]
    words += ["bank.probabilities={all:{fade:0.5},-a+b:{fade:1}}", "backbone.options.layers=[1,2]"]
    words += ["method_pretrain={simclr:{lr:0.5}}", "method_pretrain.amortised.steps=3"]
    config = compose_config([f"{plus}{word}" for word in words])
    assert config.bank.groups == {
        "a": ["pitch_shift"],
        "b": ["fade", "time_mask"],
        "c": ["time_shift"],
    }
    assert config.bank.ranges == {"pitch_shift": {"max_semitones": 6.0}, "fade": {"low": 1.0}}
    assert config.bank.probabilities == {"all": {"fade": 0.5}, "-a+b": {"fade": 1.0}}
    assert config.backbone.options == {"layers": [1, 2]}
    assert config.method_pretrain == {"simclr": {"lr": 0.5}, "amortised": {"steps": 3}}


def test_a_dictionary_is_added_to_unless_it_is_emptied_first() -> None:
    words = ["bank=audio2", "bank.groups={noise:[white_noise]}"]
    assert list(compose_config(words).bank.groups or ()) == ["frequency", "time", "noise"]
    words.insert(1, "bank.groups=null")
    assert compose_config(words).bank.groups == {"noise": ["white_noise"]}


def test_groups_on_the_command_line_are_the_components(packed: Any, tmp_path: Path) -> None:
    settings = [
        *packed.settings(tmp_path),
        "pretrain.steps=1",
        "bank.ranges.pitch_shift.max_semitones=3",
    ]
    groups = "bank.groups={pitch:[pitch_shift],other:[time_shift,white_noise]}"
    assert main(["pretrain", *settings, groups]) == 0
    saved = (tmp_path / "config.yaml").read_text()
    assert "    pitch:\n    - pitch_shift\n" in saved and "max_semitones: 3.0" in saved
    described = json.loads((tmp_path / "encoder" / "encoder.json").read_text())
    assert "other" in str(described["space"])


def test_a_recipes_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        compose_config([], str(tmp_path / "conf"))


def test_a_sweep_is_every_combination_in_order() -> None:
    assert sweep(["seed=0,1", "pretrain.lr=choice(1e-3,3e-3)", "method=simclr"]) == [
        ["seed=0", "pretrain.lr=0.001", "method=simclr"],
        ["seed=0", "pretrain.lr=0.003", "method=simclr"],
        ["seed=1", "pretrain.lr=0.001", "method=simclr"],
        ["seed=1", "pretrain.lr=0.003", "method=simclr"],
    ]


def test_lists_and_quoted_commas_are_not_swept() -> None:
    words = ["tasks=[digit,speaker]", "run='a,b'", "bank.ranges={fade: {low: 1}}"]
    assert sweep(words) == [words]
    assert sweep([]) == [[]]


def test_every_job_of_a_sweep_composes_as_it_would_alone() -> None:
    jobs = sweep(["seed=range(0,3)", "method=amortised,simclr:fade", "run='x_s${seed}'"])
    configs = [compose_config(job) for job in jobs]
    assert [(c.seed, c.method) for c in configs] == [
        (seed, method) for seed in range(3) for method in ("amortised", "simclr:fade")
    ]
    assert [c.run for c in configs[::2]] == ["x_s0", "x_s1", "x_s2"]


def test_a_broken_sweep_is_explained() -> None:
    with pytest.raises(UserError, match="--help"):
        sweep(["seed=choice(1"])


@pytest.mark.slow
def test_a_sweep_on_the_command_line_makes_a_run_a_job(
    packed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = [word for word in packed.settings() if not word.startswith("run=")]
    run = f"run='{tmp_path}/random_s${{seed}}'"
    with caplog.at_level(logging.INFO):
        assert main(["pretrain", "-m", "seed=0,1", "method=random", run, *settings]) == 0
    for seed in (0, 1):
        text = (tmp_path / f"random_s{seed}" / "config.yaml").read_text()
        assert f"seed: {seed}\n" in text
        assert (tmp_path / f"random_s{seed}" / "encoder" / "encoder.json").exists()
    assert "job 2 of 2: seed=1" in caplog.text


def test_a_fault_in_any_job_stops_a_sweep_before_the_first(
    packed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in packed.settings() if not word.startswith("run=")]
    run = f"run='{tmp_path}/a_s${{seed}}'"
    assert main(["pretrain", "-m", "seed=0,one", "method=random", run, *words]) == 2
    assert "one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
