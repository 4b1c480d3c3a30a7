"""audioinv pack: a manifest's clips, decoded once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from audioinv.commands.options import add_engine, add_folders, add_on_error, engine
from audioinv.data.modality import known_modalities, media_of

HELP = "decode a manifest's clips once, at one size"
ABOUT = (
    "Writes memory-mapped Arrow shards; does nothing if they are up to date. "
    "Clips of every modality have a size of their own: see below."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A manifest, the size of its clips, and who does the work."""
    command.add_argument("manifest", type=Path, help="its table, or the folder that prepare wrote")
    command.add_argument("--out", required=True, type=Path, help="folder of the pack")
    for name, settings in media_options().items():
        command.add_argument(f"--{name}", **settings)
    add_folders(command)
    add_engine(command)
    add_on_error(command, "a clip")


def media_options() -> dict[str, dict[str, Any]]:
    """Sizes and further options of all modalities' packs -> settings of their arguments."""
    found: dict[str, dict[str, Any]] = {}
    for modality in known_modalities():
        found.setdefault(modality.size, {"type": int, "help": modality.size_help})
        for option in modality.media_options:
            found[option.name] = {"choices": option.choices, "help": option.help}
    return found


def run(options: argparse.Namespace) -> None:
    """Writes the pack, unless it is up to date."""
    from audioinv.data.manifest import read_manifest
    from audioinv.data.pack import build_pack

    manifest = read_manifest(options.manifest, options.root, also=options.also_inside)
    given = {name: getattr(options, name) for name in media_options()}
    media = media_of(manifest.corpus.modality, given)
    build_pack(manifest, options.out, media, engine(options), options.on_error)
