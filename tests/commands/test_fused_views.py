from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from audioinv import load_encoder
from audioinv.cli import main


@pytest.mark.slow
def test_a_run_on_fused_views_works_whole(packed: Any, tmp_path: Path) -> None:
    run = tmp_path / "fused_s0"
    settings = [*packed.settings(run), "frontend.views=fused"]
    for command in (["pretrain"], ["adapt", "adapt.modes=[fixed:all]"], ["measure"]):
        assert main([*command, *settings]) == 0
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    encoder = load_encoder(run / "encoder")
    assert encoder.frontend.config["views"] == "fused"
    with torch.no_grad():
        features = encoder.at(encoder.space.all_on())(torch.randn(3, 4000))
    assert features.shape == (3, 16) and features.isfinite().all()


def test_a_bank_that_cannot_be_fused_is_refused_before_training(
    packed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "refused"
    gain = "bank.audiomentations=[{_target_: audiomentations.Gain}]"
    assert main(["pretrain", *packed.settings(run), "frontend.views=fused", gain]) == 2
    assert "give frontend.views=waveform" in capsys.readouterr().err
    assert not (run / "encoder").exists()
