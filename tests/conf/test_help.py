"""--help: the composed defaults of what is asked for, what each key means, and nothing heavy."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from audioinv.cli import main
from audioinv.commands.hydra import COMMANDS as HYDRA
from audioinv.conf.keys import keys_of, meanings
from audioinv.data.modality import registered
from tests.halves import HAVE, of_sounds

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "kornia", "lightning", "timm", "pandas", "matplotlib", "sklearn", "torchvision")
HEAVY += ("scipy", "pyarrow", "torchaudio", "librosa", "ray", "audiomentations")
CORPORA = ("fsdd", "folder", "sonograph")
CORPORA += ("cifar10", "spirograph", "celeba") if "image" in HAVE else ()
WORDS = [
    "",
    *(f"{name} --help" for name in HYDRA),
    *(
        f"{name} --help"
        for name in ("prepare", "download", "validate", "pack", "report", "table", "modalities")
    ),
    *(f"{name} {corpus} --help" for name in ("prepare", "download") for corpus in CORPORA),
    *(["pretrain modality=image method=moco --help"] if "image" in HAVE else []),
    *(["adapt modality=spirograph --help"] if "spirograph" in HAVE else []),
    "pretrain --stpes 3",
    "check --methods amortized",
    "check tasks=[digt] --corpus fsdd",
    "pretrain pretrain.stpes=3",
    "pretrain pretrain.steps=many",
    "adapt backbone=resnet19",
    "evaluate modality=smell",
    "statistics bank.groups={a:3}",
    "prepare fsd --root a --out b",
    "download fsdd",
    "pack",
    "trian",
]


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert not stopped.value.code
    return capsys.readouterr().out


@of_sounds
def test_help_and_mistyped_words_import_nothing_heavy() -> None:
    """One process tries them all: what none of them imports is in it at the end of none."""
    code = f"""
import contextlib, io, sys, time
began = time.process_time()
import audioinv
light = time.process_time() - began
from audioinv.cli import main
heavy = {{}}
for words in {WORDS!r}:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(words.split())
        except SystemExit as stopped:
            status = stopped.code or 0
    assert status == (0 if "--help" in words else 2), (words, status, said.getvalue())
    heavy[words] = [name for name in {HEAVY!r} if name in sys.modules]
assert not any(heavy.values()), {{words: found for words, found in heavy.items() if found}}
assert light < 0.1, light
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", ["adapt --help", "pretrain pretrain.stpes=3", "prepare --help"])
def test_help_and_mistyped_words_take_little_time(words: str) -> None:
    """Of the processor: 0.7 s on two quiet cores, where importing torch alone takes 2 s."""
    code = (
        "import sys, time\nfrom audioinv.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit(time.process_time() > 1.5)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_meanings_are_read_from_docstrings() -> None:
    @dataclass
    class Old:
        """Something.

        Args:
            a: one thing: told
                at length. b, c: counts; b may be 0.

        Raises:
            x: not a meaning.
        """

        a: int = 0
        b: int = 0
        c: int = 0
        x: int = 0

    @dataclass
    class New(Old):
        """Args of its own.

        Args:
            c: another.
        """

    told = {"a": "one thing: told at length", "b": "counts; b may be 0"}
    assert meanings(Old) == {**told, "c": "counts; b may be 0"}
    assert meanings(New) == {**told, "c": "another"}


@of_sounds
def test_defaults_are_the_composed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, "pretrain", "--help")
    for word in ("conditioning.name=norm", "conditioning.scale=0.5", "conditioning.hidden=64"):
        assert f"  {word} " in text
    assert re.search(r"pretrain\.batch_size=128 +clips of a batch", text)
    assert "frontend.sample_rate=16000" in text and "image_size" not in text
    assert "bank.names=null" in text and "adapt.modes=[fixed:all,search,soft]" in text


@of_sounds
def test_defaults_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """With what an experiment says of the method asked for, which counts before pretrain's."""
    folder = str(REPOSITORY / "recipes/fsdd/ssl1/conf")
    words = ["--config_dir", folder, "experiment=cpu_quick", "seed=3"]
    text = help_of(capsys, "pretrain", *words, "--help")
    assert "  frontend.sample_rate=8000 " in text and "  seed=3 " in text
    text = help_of(capsys, "pretrain", "experiment=benchmark_quick", "method=simclr", "-h")
    assert "  pretrain.lr=0.002 " in text and "  pretrain.temperature=0.5 " in text


@of_sounds
def test_help_needs_no_other_word_and_minds_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out OUT" in help_of(capsys, "embed", "--help")
    assert "backbone.options={module:???}" in help_of(capsys, "pretrain", "method=hear", "-h")
    assert "  seed=1 " in help_of(capsys, "pretrain", "-m", "seed=1,2", "-h")


@of_sounds
@pytest.mark.parametrize("command", ["adapt", "evaluate", "measure", "embed", "export"])
def test_what_the_run_says_is_not_in_the_help_of_later_commands(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = help_of(capsys, command, "--help")
    left_out = r"(frontend|bank|backbone|conditioning|pretrain|method_pretrain)[.=]|trained=|init_w"
    assert not re.search(rf"^  ({left_out})", text, re.MULTILINE)
    assert "features.layers=last" in text and "  method=" in text and "  seed=0 " in text
    assert "config.yaml" in text.splitlines()[-1]
    assert "config.yaml" not in help_of(capsys, "pretrain", "--help")


@of_sounds
def test_every_key_has_its_own_meaning_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    known = keys_of(registered("audio").schema)
    hidden, dim = (known[f"pretrain.projector_{name}"].meaning for name in ("hidden", "dim"))
    assert "hidden" in hidden and "output" not in hidden
    assert "output" in dim and "hidden" not in dim
    for name in registered("audio").frontends:
        assert re.search(rf"\b{name}\b", known["frontend.name"].meaning), name
    assert "start=paper" in known["conditioning.scale"].meaning
    assert not {"fewshot_published.readouts", "fewshot_published.inverse_l2"} & known.keys()


@of_sounds
def test_help_with_a_mistyped_word_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--help", "seeed=3"]) == 2
    assert "seeed" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["embed", "seed=3"])
    assert stopped.value.code == 2 and "--out" in capsys.readouterr().err
