"""Each half of the house stands alone: sounds without images, and images without sounds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LEFT_OUT = {
    "audio": ("vision", "kornia"),  # timm itself imports torchvision
    "vision": ("audioinv.audio", "torchaudio", "soundfile", "librosa", "audiomentations", "soxr"),
}
"""Half -> what cannot be imported beside it; a package of the house is not even there."""
TESTS = ("-n", "auto", "--dist", "loadfile", "-m", "not slow and not distributed and not faults")
"""Those of `make test`."""
BLOCK = """\
import sys
from importlib.metadata import Distribution, PackageNotFoundError


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(f"{{name}}.".startswith(f"{{left_out}}.") for left_out in {left_out!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


def installed(name, find=Distribution.from_name):
    if name in {left_out!r}:
        raise PackageNotFoundError(name)
    return find(name)


sys.meta_path.insert(0, Blocked())
Distribution.from_name = installed  # by which others see what they may import
"""
HELP = ("--help", "pack --help", "prepare --help", "pretrain modality={modality} --help")


@pytest.fixture(scope="module", params=["audio", "vision"])
def half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Makes a folder like this one, with one half alone, and works there; gives its name."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    ignored = shutil.ignore_patterns("__pycache__")
    for part in REPOSITORY.iterdir():
        if part.name in ("audioinv", "vision", "tests"):
            shutil.copytree(part, folder / part.name, ignore=ignored)
        else:
            (folder / part.name).symlink_to(part)
    for gone in LEFT_OUT[name]:
        shutil.rmtree(folder / gone.replace(".", "/"), ignore_errors=True)
    (folder / "sitecustomize.py").write_text(BLOCK.format(left_out=LEFT_OUT[name]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield name


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    return done.stdout


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_its_tests_pass(half: str) -> None:
    assert " passed" in run("pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS)


@pytest.mark.slow
def test_its_help_tells_of_itself_alone(half: str) -> None:
    modality, other = ("audio", "image") if half == "audio" else ("image", "audio")
    told = {words: run("audioinv.cli", *words.format(modality=modality).split()) for words in HELP}
    sizes = {"audio": "--sample_rate", "image": "--image_size"}
    assert sizes[modality] in told["pack --help"] and sizes[other] not in told["pack --help"]
    corpora = {"audio": "fsdd", "image": "cifar10"}
    assert corpora[modality] in told["prepare --help"]
    assert corpora[other] not in told["prepare --help"]


@pytest.mark.slow
def test_the_other_is_said_to_be_missing(half: str) -> None:
    other = "image" if half == "audio" else "audio"
    command = [sys.executable, "-m", "audioinv.cli", "statistics", f"modality={other}", "pack=p"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"modality {other} needs" in done.stderr
