"""audioinv validate: reads every file of a manifest and lists every problem."""

from __future__ import annotations

import argparse
from pathlib import Path

from audioinv.commands.options import add_folders, add_on_error

HELP = "read every file of a manifest and list every problem"
ABOUT = (
    "Reads every clip; prints one line a problem and exits 1 if there is any. Warnings, of tasks "
    "that cannot be learnt from their clips and of silent clips, leave the status 0."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A manifest, and how it is read."""
    command.add_argument("manifest", type=Path, help="its table, or the folder that prepare wrote")
    add_folders(command)
    command.add_argument("--nj", type=int, default=2, help="processes (default 2)")
    command.add_argument(
        "--no_files", "--no_audio", action="store_true", help="check the table alone, open no file"
    )
    add_on_error(command, "a file", "exit 1, or only warn, as pack then leaves it out")


def run(options: argparse.Namespace) -> int:
    """Prints the problems and warnings; 1 if there is any problem."""
    from audioinv.data.doubts import doubts
    from audioinv.data.manifest import read_manifest
    from audioinv.data.validate import MILD, UNREADABLE, validate

    manifest = read_manifest(options.manifest, options.root, also=options.also_inside, strict=False)
    mild = MILD | UNREADABLE if options.on_error == "skip" else MILD
    found = validate(manifest, options.nj, files=not options.no_files)
    problems = [problem for problem in found if problem.kind not in mild]
    warnings = [f"{problem.kind}: {problem}" for problem in found if problem.kind in mild]
    warnings += doubts(manifest.frame, manifest.corpus.tasks)
    for problem in problems:
        print(f"{problem.kind}: {problem}")
    for warning in warnings:
        print(f"warning: {warning}")
    if warnings:
        print(f"{len(warnings)} warnings")
    print(f"{len(manifest)} clips, {len(problems)} problems")
    return 1 if problems else 0
