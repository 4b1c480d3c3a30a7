from __future__ import annotations

import re
import subprocess
import sys

import pytest

import audioinv
from audioinv.cli import main, make_parser
from audioinv.data.modality import known_modalities

TAUGHT = {
    "download": ["CORPUS", "fsdd", "esc50"],
    "prepare": ["CORPUS", "sonograph", "fsdd", "folder"],
    "join": ["manifests", "--out", "--test_fold", "--most"],
    "validate": ["manifest", "--root", "--nj", "--no_files"],
    "pack": ["--out", "--sample_rate", "--on-error", "--nj", "--engine", "--ray_address"],
    "statistics": ["KEY=VALUE", "--config_dir", "statistics=", "frontend.n_fft="],
    "pretrain": ["KEY=VALUE", "pretrain.steps=", "method", "--config_dir"],
    "check": ["KEY=VALUE", "--methods", "--protocols", "--corpus"],
    "profile": ["KEY=VALUE", "--steps", "--out", "pretrain.batch_size="],
    "adapt": ["KEY=VALUE", "adapt.modes=", "tasks="],
    "evaluate": ["KEY=VALUE", "adapt.modes="],
    "measure": ["KEY=VALUE", "measure.n_clips="],
    "calibrate": ["RUN", "--pack", "--clips"],
    "embed": [
        "PATH",
        "--encoder",
        "--descriptor",
        "--task",
        "--out",
        "--nj",
        "--windows",
        "KEY=VALUE",
    ],
    "export": ["--descriptor", "--task", "--finetuned", "--format", "input", "--out", "KEY=VALUE"],
    "predict": ["PATH", "--run", "--task", "--mode", "--out"],
    "index": ["PACK", "--encoder", "--out", "--descriptor"],
    "similar": ["FILE", "--ignore", "--heed", "--index", "-k"],
    "explore": ["--index", "--export", "--switch", "--host", "--port"],
    "compare": ["--encoder", "--packs", "--rivals", "--labels", "--draws"],
    "watch": ["RUN", "--once", "--port"],
    "report": ["EXPDIR", "--results"],
    "table": ["EXPDIR", "--out", "--against", "--published", "--results"],
    "hub": ["push", "pull", "unpickled"],
    "modalities": ["audioinv pack", "tabs"],
}


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_every_command_is_listed_and_taught(capsys: pytest.CaptureFixture[str]) -> None:
    overview = help_of(capsys)
    for name, words in TAUGHT.items():
        assert re.search(rf"^    {name}\s", overview, re.MULTILINE)
        text = help_of(capsys, name)
        assert [word for word in words if word not in text] == []
    listed = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert set(listed or ()) == set(TAUGHT)


@pytest.mark.parametrize("corpus", ["sonograph", "fsdd", "folder"])
def test_every_corpus_says_where_it_comes_from(
    corpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(capsys, "prepare", corpus)
    assert "Licence: " in text and "--root" in text and "--out" in text and "--seed" in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["pretrain", "--steps", "3"],
        ["pretrain", "a=b", "--steps"],
        ["pack"],
        ["report", "x", "y=1"],
        ["table"],
    ],
)
def test_words_that_no_command_knows(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: audioinv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["pretrian"], "pretrain"),
        (["evalute", "protocol=knn"], "evaluate"),
        (["prepare", "ffsdd"], "fsdd"),
        (["pack", "x", "--out", "y", "--engine", "locl"], "local"),
    ],
)
def test_near_misses_are_suggested(
    arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"did you mean {near}?" in capsys.readouterr().err


def test_nothing_is_suggested_for_a_word_that_is_near_to_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["fly"])
    assert "did you mean" not in capsys.readouterr().err


def test_modalities_are_listed_with_the_option_of_their_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["modalities"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {name: size for name, size, _ in lines} == {m.name: m.size for m in known_modalities()}
    assert ["audio", "sample_rate", "of a pack of sounds, in Hz"] in lines


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == audioinv.__version__


def test_importing_the_package_does_not_wait_for_torch() -> None:
    code = "import sys, audioinv; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
