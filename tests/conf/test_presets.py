"""A conditioning has one meaning by its name, in Python and on the command line."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from audioinv import conf
from audioinv.core.conditioning import PRESETS


def test_named_conditionings_are_those_of_the_command_line() -> None:
    folder = Path(conf.__file__).parent / "conditioning"
    assert {file.stem: yaml.safe_load(file.read_text()) for file in folder.iterdir()} == PRESETS
