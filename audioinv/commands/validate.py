"""audioinv validate: reads every file of a manifest and lists every problem."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.commands.options import add_folders

HELP = "read every file of a manifest and list every problem"
ABOUT = "Reads every clip; prints one line a problem and exits 1 if there is any."


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A manifest, and how it is read."""
    command.add_argument("manifest", type=Path, help="its table, or the folder that prepare wrote")
    add_folders(command)
    command.add_argument("--nj", type=int, default=2, help="processes (default 2)")
    command.add_argument(
        "--no_files", "--no_audio", action="store_true", help="check the table alone, open no file"
    )


def run(options: argparse.Namespace) -> int:
    """Prints the problems; 1 if there is any."""
    from audioinv.data.manifest import read_manifest
    from audioinv.data.validate import validate

    manifest = read_manifest(options.manifest, options.root, also=options.also_inside, strict=False)
    problems = validate(manifest, options.nj, files=not options.no_files)
    for problem in problems:
        print(f"{problem.kind}: {problem}")
    print(f"{len(manifest)} clips, {len(problems)} problems")
    return 1 if problems else 0
