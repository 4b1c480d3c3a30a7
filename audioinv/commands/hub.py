"""audioinv hub: encoders to and from the Hugging Face hub."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "push an encoder with its model card to the Hugging Face hub, or pull one"
ABOUT = "Two files and a card; nothing is run or unpickled. Needs pip install 'audioinv[hub]'."
PUSH = """\
examples:
  audioinv hub push exp/mine/amortised_s0 me/my-encoder --licence apache-2.0 --card_only card.md
  audioinv hub push exp/mine/amortised_s0 me/my-encoder --licence apache-2.0 --card card.md

The card is written from the run: data and their licence, components, training, results and measured
gaps, intended use, limits. Read it first with --card_only, and edit it. Log in by `hf auth login`.
"""
PULL = """\
example:
  audioinv hub pull me/my-encoder --out encoders/theirs
  audioinv embed recordings/ --encoder encoders/theirs --out features.parquet

In Python ai.load_encoder("me/my-encoder") does the same, into the hub's own cache.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """push and pull."""
    kinds = command.add_subparsers(dest="way", required=True, metavar="push|pull")
    raw = argparse.RawDescriptionHelpFormatter
    push = kinds.add_parser("push", help="upload a run's encoder", epilog=PUSH, formatter_class=raw)
    push.add_argument("run_folder", type=Path, metavar="RUN", help="run folder, with encoder/")
    push.add_argument("name", metavar="OWNER/NAME", help="on the hub; made if it is not there")
    push.add_argument("--licence", required=True, help="of the weights, such as apache-2.0")
    push.add_argument("--private", action="store_true", help="seen by its owner alone")
    push.add_argument("--card", type=Path, help="upload this card instead of the written one")
    push.add_argument(
        "--card_only", type=Path, metavar="FILE", help="write the card; upload nothing"
    )
    pull = kinds.add_parser("pull", help="download one", epilog=PULL, formatter_class=raw)
    pull.add_argument("name", metavar="OWNER/NAME", help="on the hub")
    pull.add_argument("--out", required=True, type=Path, help="folder to write")
    pull.add_argument("--revision", help="a branch, tag or commit (default: the newest)")


def run(options: argparse.Namespace) -> None:
    """Pushes or pulls."""
    if options.way == "pull":
        print(pull(options.name, options.out, options.revision))
    else:
        given = options.licence, options.private, options.card, options.card_only
        print(push(options.run_folder, options.name, *given))


def push(
    run: Path, name: str, licence: str, private: bool, card: Path | None, card_only: Path | None
) -> str:
    """Uploads the encoder of a run, or only writes its card; returns the address, or the file.

    Raises:
        UserError: no encoder in the run, or the hub did not take it.
    """
    from audioinv.base.errors import UserError
    from audioinv.base.files import write_text
    from audioinv.data.hub import sent
    from audioinv.report.card import run_card

    try:
        text = run_card(run, name, licence) if card is None else card.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{card} is no text in UTF-8: {error}") from error
    if card_only is None:
        return sent(run / "encoder", name, text, private)
    write_text(card_only, text)
    return str(card_only)


def pull(name: str, out: Path, revision: str | None) -> Path:
    """Downloads an encoder into a folder, and tries that it can be read; returns the folder.

    Raises:
        UserError: no such encoder, or one that cannot be read.
    """
    import shutil

    from audioinv.base.files import ENCODER_FILES, atomic_path
    from audioinv.data.hub import CARD, fetched
    from audioinv.data.modality import load_encoder

    folder = fetched(name, revision)
    load_encoder(folder)
    for file in (*ENCODER_FILES, CARD):
        if (folder / file).exists():
            with atomic_path(out / file) as temporary:
                shutil.copyfile(folder / file, temporary)
    return out
