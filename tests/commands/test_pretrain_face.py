"""`audioinv pretrain` and `ai.pretrain` are one thing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import audioinv as ai
from audioinv.runs.build import encoder_of, saved_config


def test_a_pack_by_command_and_by_python_end_alike(finished: Any, tmp_path: Path) -> None:
    config = saved_config(finished.run)
    pack = ai.open_pack(finished.pack)
    bank = ai.modality("audio").bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)
    settings = {"device": "cpu", "seed": config.seed, **asdict(config.pretrain)}
    ai.pretrain(encoder, bank, pack, tmp_path, **settings)
    for name in ("encoder/encoder.safetensors", "checkpoints/step_00000006.pt"):
        assert (tmp_path / name).read_bytes() == (finished.run / name).read_bytes()
