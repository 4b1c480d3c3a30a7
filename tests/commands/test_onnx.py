"""audioinv export to ONNX: an encoder, one with its descriptor open, a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import audioinv as ai
from audioinv.cli import main

pytest.importorskip("onnxscript", reason="ONNX is not installed: pip install 'audioinv[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime")


def outputs(file: Path, *inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(file))
    given = zip(session.get_inputs(), inputs, strict=True)
    return torch.from_numpy(session.run(None, {each.name: x.numpy() for each, x in given})[0])


@pytest.mark.slow
def test_what_is_exported_is_what_the_encoder_gives(finished: Any, tmp_path: Path) -> None:
    encoder = ai.load_encoder(finished.run / "encoder")
    x, descriptor = 0.1 * torch.randn(5, 7000), torch.rand(5, encoder.space.size)
    file, settings = tmp_path / "encoder", finished.settings()
    words = ["--descriptor", "-pitch_shift", "--format", "onnx", "--out", str(file)]
    assert main(["export", *words, *settings]) == 0
    expected = encoder.at("-pitch_shift")(x)
    torch.testing.assert_close(outputs(file, x), expected, atol=1e-4, rtol=0)
    for ending in ("onnx", "pt2"):
        file = tmp_path / f"any.{ending}"
        assert main(["export", "--descriptor", "input", "--out", str(file), *settings]) == 0
    found = outputs(tmp_path / "any.onnx", x, descriptor)
    torch.testing.assert_close(found, encoder(x, descriptor).detach(), atol=1e-4, rtol=0)
    program = torch.export.load(tmp_path / "any.pt2").module()
    found = program(x[:, :4000], descriptor).detach()
    torch.testing.assert_close(found, encoder(x[:, :4000], descriptor).detach())


@pytest.mark.slow
def test_a_task_is_exported_with_its_probabilities(finished: Any, tmp_path: Path) -> None:
    task = ai.load_task(finished.run / "tasks" / "label" / "soft")
    file = tmp_path / "task.onnx"
    assert main(["export", "--task", "label", "--out", str(file), *finished.settings()]) == 0
    x = 0.1 * torch.randn(3, 4000)
    expected = torch.from_numpy(task.predict_proba(x))
    torch.testing.assert_close(outputs(file, x), expected, atol=1e-4, rtol=0)


def test_an_ending_that_is_no_format(
    packed: Any, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    told = refuse(["export", "--out", str(tmp_path / "encoder.onx"), *packed.settings()])
    assert "is 'onx'; give pt2 or onnx (did you mean onnx?)" in told
