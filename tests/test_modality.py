"""All modalities offer the same, and no part of the house reaches where it should not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from audioinv.core.errors import UserError
from audioinv.modality import MODALITIES, Modality, build_frontend, modality_of, settings_of

REPOSITORY = Path(__file__).parents[1]
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
    with pytest.raises(UserError, match="log_mel, log_frequency, waveform, pixels"):
        build_frontend({"name": "nose"})


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_knows_neither_sounds_nor_images(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if OF_SOUND_OR_SIGHT.search(line)]
    assert not found
    outside = ("audioinv.augment", "audioinv.data", "audioinv.corpora", "audioinv.audio", "vision")
    assert not [n for n in imports(path) if any(within(n, package) for package in outside)]
    ours = [n for n in imports(path) if within(n, "audioinv")]
    assert all(within(n, "audioinv.core") for n in ours), ours


def test_vision_never_imports_the_audio_bank() -> None:
    for path in (REPOSITORY / "vision").rglob("*.py"):
        audio = (
            "audioinv.augment",
            "audioinv.frontend",
            "audioinv.audio",
            "audioinv.data.audio_io",
        )
        assert not [n for n in imports(path) if any(within(n, package) for package in audio)], path


def test_audio_is_opened_in_one_place() -> None:
    paths = [*(REPOSITORY / "audioinv").rglob("*.py"), *(REPOSITORY / "vision").rglob("*.py")]
    opening = [p.name for p in paths if any(within(n, "soundfile") for n in imports(p))]
    assert opening == ["audio_io.py"]
