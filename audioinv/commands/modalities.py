"""audioinv modalities: what clips can be made of, for people and for the drivers of recipes."""

from __future__ import annotations

import argparse

from audioinv.data.modality import known_modalities

HELP = "list what clips can be made of, and what the size of their packs is called"
ABOUT = (
    "Prints one line a modality: its name, the option of 'audioinv pack' that takes the size of "
    "its packs, and what that is; tabs between them."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(options: argparse.Namespace) -> None:
    """Prints the list."""
    for modality in known_modalities():
        print(modality.name, modality.size, modality.size_help, sep="\t")
