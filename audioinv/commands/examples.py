"""For the report: one clip before and after each augmentation of the bank."""

from __future__ import annotations

from pathlib import Path

import torch

from audioinv.commands.build import encoder_clips, load_run
from audioinv.conf.schema import Config
from audioinv.core.files import write_json
from audioinv.core.randomness import generator
from audioinv.data.audio_io import write_wav
from audioinv.data.dataset import test_rows


def write_examples(config: Config, folder: Path) -> None:
    """Writes wav files and examples.json into `folder`, from a loud one of the test clips."""
    if (folder / "examples.json").exists():
        return
    encoder, bank, pack = load_run(config)
    rows_shown = (test_rows(pack) or list(range(len(pack))))[:64]
    candidates = encoder_clips(encoder, pack, rows_shown)
    clip = candidates[candidates.square().mean(1).argmax()][None]
    rate = pack.sample_rate
    rows = []
    for name, augmentation in bank.augmentations.items():
        params = augmentation.sample(8, generator(0, "examples", name))
        strongest = params[(params - augmentation.identity(8)).abs()[:, 0].argsort()[4]][None]
        with torch.no_grad():
            changed = augmentation.apply(clip, strongest)
        before, after = f"{name}_before.wav", f"{name}_after.wav"
        peak = max(float(changed.abs().max()), float(clip.abs().max()), 1e-6)
        write_wav(folder / before, (clip[0] / peak).numpy(), rate)
        write_wav(folder / after, (changed[0] / peak).numpy(), rate)
        named = zip(augmentation.parameters, strongest[0].tolist(), strict=True)
        rows.append(
            {
                "augmentation": name,
                "parameters": {p.name: v for p, v in named if p.name not in ("offset", "seed")},
                "before": before,
                "after": after,
            }
        )
    write_json(folder / "examples.json", rows)
