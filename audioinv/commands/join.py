"""audioinv join: several corpora as one, to pre-train on."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make one manifest of several, to pre-train on"
ABOUT = (
    "Joins the training and validation clips of several corpora. Clips for testing are left out."
)
EXAMPLES = """\
example:
  audioinv prepare fsdd --root audio/fsdd --out data/fsdd
  audioinv prepare esc50 --root audio/esc50 --out data/esc50
  audioinv join data/fsdd data/esc50 --test_fold 5 --out data/both
  audioinv pack data/both --out packs/both --sample_rate 16000
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The manifests, and which clips of theirs."""
    command.epilog, command.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "manifests", nargs="+", type=Path, help="tables, or the folders that prepare wrote"
    )
    command.add_argument("--out", required=True, type=Path, help="folder for the manifest")
    command.add_argument(
        "--test_fold", default="", help="of corpora with folds, the one that is left out"
    )
    command.add_argument(
        "--most", type=int, default=0, help="training clips of each corpus (default 0: all)"
    )
    command.add_argument("--seed", type=int, default=0, help="of that draw (default 0)")


def run(options: argparse.Namespace) -> None:
    """Writes the manifest, and says how many clips each corpus gave."""
    from collections import Counter

    from audioinv.data.join import join
    from audioinv.data.manifest import read_manifest

    path = join(options.manifests, options.out, options.test_fold, options.most, options.seed)
    frame = read_manifest(path).frame
    counts = Counter(zip(frame["corpus"], frame["split"], strict=True))
    for (corpus, split), count in sorted(counts.items()):
        print(f"{corpus} {split}: {count}")
    print(path)
