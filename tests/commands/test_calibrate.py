"""Encoders that were saved without statistics."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import audioinv as ai
from audioinv.cli import main
from audioinv.data.pack import open_pack

Refuse = Callable[[Sequence[str]], str]


@pytest.fixture
def old(finished: Any, tmp_path: Path) -> Path:
    """A run whose encoder was saved before statistics were kept with it."""
    run = tmp_path / "old_s0"
    shutil.copytree(finished.run, run)
    shutil.rmtree(run / "tasks")
    path = run / "encoder" / "encoder.safetensors"
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("statistics.")}
    save_file(kept, path)
    return run


@pytest.mark.slow
def test_they_are_refused_with_the_remedy_and_work_after_it(
    finished: Any, old: Path, refuse: Refuse
) -> None:
    settings = [word for word in finished.settings(old) if not word.startswith("pretrain.")]
    line = refuse(["adapt", *settings])
    assert f"audioinv calibrate {old} --pack" in line
    assert main(["calibrate", str(old), "--pack", str(finished.pack)]) == 0
    assert main(["adapt", *settings, "tasks=[label]", "adapt.modes=[fixed:all]"]) == 0
    mine, theirs = (ai.load_encoder(run / "encoder") for run in (old, finished.run))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], value, msg=name)
    info = json.loads((old / "encoder" / "encoder.json").read_text())["info"]
    assert info["calibrated_on"]["pack"] == open_pack(finished.pack).content_key
    assert info["steps"] > 0, "what was known is kept"


def test_what_cannot_work(finished: Any, old: Path, refuse: Refuse, tmp_path: Path) -> None:
    pack = ["--pack", str(finished.pack)]
    assert "2 or more" in refuse(["calibrate", str(old), *pack, "--clips", "1"])
    assert str(tmp_path / "none") in refuse(["calibrate", str(tmp_path / "none"), *pack])
    assert "nowhere" in refuse(["calibrate", str(old), "--pack", "nowhere"])
