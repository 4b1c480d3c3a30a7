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
COMMON = ("contracts", "report/test_page.py")
TESTS = {
    "audio": ("audio/test_frontend.py", "audio/test_pictures.py", "commands/test_pipeline.py"),
    "vision": ("vision/test_frontend.py", "vision/test_media.py", "vision/test_pipeline.py"),
}
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
    """Makes a folder that holds one half, and works there; gives its name."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    for part in ("audioinv", "vision", "tests"):
        shutil.copytree(
            REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_tests_pass(half: str) -> None:
    files = [str(Path("tests", file)) for file in (*COMMON, *TESTS[half])]
    both = "not does_not_fit"  # refuses what is of the other half
    assert " passed" in run("pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", both, *files)


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
