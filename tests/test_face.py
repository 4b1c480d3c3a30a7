"""The public face: complete, lazy, and one name for one thing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import audioinv as ai

HEAVY = {"torch", "numpy", "pandas", "lightning", "kornia", "matplotlib", "sklearn", "timm"}


@pytest.mark.parametrize("name", ai.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    found = getattr(ai, name)
    assert name == "__version__" or len(found.__doc__ or "") > 20


def test_names_for_types_and_for_use_are_the_same() -> None:
    assert sorted(ai._FACE) == sorted(set(ai.__all__) - {"__version__"})


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = ai.no_such_thing


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("audioinv", HEAVY),
        (
            "audioinv.commands.embed, audioinv.commands.adapt, audioinv.runs.settings",
            {"lightning", "matplotlib", "librosa"},
        ),
    ],
    ids=["the face", "using an encoder"],
)
def test_importing_it_imports_nothing_heavy(modules: str, heavy: set[str]) -> None:
    """To use an encoder, Lightning and matplotlib were 100 MB and a second and a half of start."""
    code = f"import sys, {modules}; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
