"""audioinv profile: where the time of a pre-training step goes, under the user's own settings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from audioinv.base.files import write_json
from audioinv.base.versions import versions
from audioinv.commands.pretrain import devices_of
from audioinv.conf.schema import Config
from audioinv.data.modality import modality_of
from audioinv.report.markdown import markdown_table
from audioinv.runs.build import encoder_of, source_of
from audioinv.runs.folder import command_line, hardware
from audioinv.runs.settings import own_settings
from audioinv.training.clips import training_bank, training_clips
from audioinv.training.processes import make_fabric, process_group
from audioinv.training.profile import profile


def main(config: Config, steps: int, out: Path | None) -> None:
    """Prints a table of the parts of a step; writes it as JSON to `out`, if that is given."""
    pack, settings = source_of(config), own_settings(config)
    bank = modality_of(config.modality).bank(pack.size, **asdict(config.bank))
    encoder = encoder_of(config, bank)
    clips, views = training_clips(pack, encoder), training_bank(bank, encoder)
    chosen = devices_of(config)
    seed, fabric = chosen.pop("seed"), make_fabric(**chosen)
    with process_group(fabric):
        found = profile(encoder, views, clips, settings, fabric, seed, steps)
    found["batch_size"] = settings.batch_size
    print(table(found))
    if out:
        provenance = {"command": command_line(), "hardware": hardware(), "versions": versions()}
        write_json(out, {**found, "threads": torch.get_num_threads(), **provenance})


def table(found: dict[str, Any]) -> str:
    """Parts, milliseconds (medians) and shares of a step (means), as Markdown."""
    rows = [[n, f"{p['ms']:.1f}", f"{p['share']:.1%}"] for n, p in found["parts"].items()]
    rows.append(["**step**", f"**{found['step_ms']:.1f}**", f"{found['steps']} steps"])
    return markdown_table([f"batch of {found['batch_size']}", "ms", "share"], rows, numbers=2)
