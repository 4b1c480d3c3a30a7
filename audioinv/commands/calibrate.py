"""audioinv calibrate: the normalisation statistics of an encoder that was saved without them."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "give an older encoder its normalisation statistics, once"
ABOUT = (
    "Computes BatchNorm's statistics at every corner from training clips of PACK, and keeps them "
    "with the encoder of RUN. Encoders of this version have theirs from pre-training. Features "
    "change: what was adapted before belongs to the encoder as it was."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """A run, and the clips."""
    command.add_argument("run_folder", type=Path, metavar="RUN", help="run folder, with encoder/")
    command.add_argument(
        "--pack", required=True, help="of clips like those of pre-training; best the very same"
    )
    command.add_argument(
        "--clips", type=int, default=512, help="how many of its training clips (default 512)"
    )


def run(options: argparse.Namespace) -> None:
    """Rewrites RUN/encoder."""
    main(options.run_folder, options.pack, options.clips)


def main(run: Path, pack: str, clips: int) -> None:
    """Computes the statistics from at most `clips` training clips and writes the encoder anew.

    Raises:
        UserError: no encoder, no such pack, fewer than 2 clips, or a run that is in use.
    """
    import logging

    from audioinv.base.errors import UserError
    from audioinv.base.files import read_json
    from audioinv.base.lock import locked
    from audioinv.data.modality import load_encoder
    from audioinv.data.pack import open_pack
    from audioinv.training.calibrate import calibrate
    from audioinv.training.clips import training_clips

    if clips < 2:
        raise UserError(f"--clips is {clips}; give 2 or more")
    opened = open_pack(pack)
    with locked(run):
        encoder = load_encoder(run / "encoder")
        info = read_json(run / "encoder" / "encoder.json").get("info", {})
        calibrate(encoder, training_clips(opened, encoder), clips)
        made = {"calibrated_on": {"pack": opened.content_key, "clips": clips}}
        encoder.save(run / "encoder", {**info, **made})
    logging.getLogger(__name__).info("%s: statistics of every corner are in its encoder", run)
