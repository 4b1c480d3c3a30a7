"""For the report: clips before and after each augmentation, as their modality shows them."""

from __future__ import annotations

from pathlib import Path

from audioinv.base.files import write_json
from audioinv.conf.schema import Config
from audioinv.data.modality import modality_of
from audioinv.runs.build import load_run


def write_examples(config: Config, folder: Path) -> None:
    """Writes files and examples.json into `folder`, from the pack's test clips."""
    if (folder / "examples.json").exists():
        return
    encoder, bank, pack = load_run(config)
    write = modality_of(pack.corpus.modality).write_example
    rows = [write(a, encoder.frontend, pack, folder) for a in bank.augmentations.values()]
    write_json(folder / "examples.json", [row for row in rows if row])
