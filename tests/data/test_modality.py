"""All modalities offer the same, and no part of the house reaches where it should not."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audioinv.base.errors import UserError
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import (
    FRONTENDS,
    MODALITIES,
    Modality,
    build_frontend,
    modality_of,
    settings_of,
)

REPOSITORY = Path(__file__).parents[2]
CORE = sorted((REPOSITORY / "audioinv" / "core").rglob("*.py"))
OF_SOUND_OR_SIGHT = re.compile(
    r"\b(audio|waves?|waveforms?|sounds?|images?|pixels?|spectr\w+|mels?|photo\w*)\b", re.I
)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_offers_all(name: str) -> None:
    module = modality_of(name)
    wanted = Modality.__annotations__
    assert set(wanted) >= {"FRONTENDS", "bank", "windows"}
    assert not [attribute for attribute in wanted if not hasattr(module, attribute)]
    assert settings_of(name).schema().modality == name


def test_an_unknown_modality_or_front_end_is_explained() -> None:
    with pytest.raises(UserError, match="give one of audio, image, spirograph, sonograph"):
        modality_of("smell")
    with pytest.raises(UserError, match="log_mel, log_frequency, waveform, log_mel_stft, pixels"):
        build_frontend({"name": "nose"})


def test_every_front_end_is_found_in_its_modality() -> None:
    offered = [(name, m) for m in MODALITIES for name in modality_of(m).FRONTENDS]
    assert sorted(offered) == sorted(FRONTENDS.items())


LOADING_WITHOUT = """
import sys

class Without:
    # Nothing finds what is not installed, neither a module nor a distribution.
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in absent else self.finder.find_spec(name, *rest)
    def find_distributions(self, context):
        found = getattr(self.finder, "find_distributions", lambda context: ())(context)
        return [one for one in found if one.name not in absent]

names, absent = (argument.split() for argument in sys.argv[1:])
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from audioinv import load_encoder
print(*(load_encoder(name).frontend.name for name in names))
assert not set(absent) & set(sys.modules)
"""


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("log_mel sonograph", "kornia vision"),  # torchvision comes with timm
        ("pixels spirograph", "audiomentations librosa soundfile soxr torchaudio"),
    ],
)
def test_an_encoder_loads_without_the_packages_of_other_modalities(
    names: str, absent: str, tmp_path: Path
) -> None:
    space = DescriptorSpace.single(["a", "b"])
    for name in names.split():
        more = {"sonograph": {"min_hz": 50.0}, "spirograph": {"drawing": 2}}.get(name, {})
        frontend = build_frontend({"name": name, **more})
        backbone = {"name": "resnet10t", "width": 0.25}
        AmortisedEncoder(frontend, backbone, {"name": "norm"}, space).save(tmp_path / name)
    ran = subprocess.run(
        [sys.executable, "-c", LOADING_WITHOUT, names, absent],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == names.split()


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_knows_neither_sounds_nor_images(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if OF_SOUND_OR_SIGHT.search(line)]
    assert not found
    outside = (
        "audioinv.audio.augment",
        "audioinv.data",
        "audioinv.audio.corpora",
        "audioinv.audio.modality",
        "vision",
    )
    assert not [n for n in imports(path) if any(within(n, package) for package in outside)]
    ours = [n for n in imports(path) if within(n, "audioinv")]
    assert all(within(n, "audioinv.core") for n in ours), ours


def test_vision_never_imports_the_audio_bank() -> None:
    for path in (REPOSITORY / "vision").rglob("*.py"):
        audio = (
            "audioinv.audio.augment",
            "audioinv.audio.frontend",
            "audioinv.audio.modality",
            "audioinv.audio.io",
        )
        assert not [n for n in imports(path) if any(within(n, package) for package in audio)], path


def test_audio_is_opened_in_one_place() -> None:
    paths = [*(REPOSITORY / "audioinv").rglob("*.py"), *(REPOSITORY / "vision").rglob("*.py")]
    opening = [p.name for p in paths if any(within(n, "soundfile") for n in imports(p))]
    assert opening == ["audio_io.py"]
