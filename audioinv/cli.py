"""The command line: audioinv COMMAND ... Each command's arguments stand in its own file."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, TextIO

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by
from audioinv.base.version import __version__
from audioinv.commands import (
    calibrate,
    compare,
    download,
    explore,
    hub,
    hydra,
    index,
    join,
    modalities,
    pack,
    predict,
    prepare,
    report,
    similar,
    table,
    validate,
    watch,
)
from audioinv.commands.options import Parser
from audioinv.training.signals import INTERRUPTED_STATUS, Stopped

EPILOGUE = """\
a first run, from nothing:
  audioinv prepare sonograph --root audio/sonograph --out data/sonograph
  audioinv pack data/sonograph/manifest.csv --out packs/sonograph --sample_rate 8000
  audioinv statistics pack=packs/sonograph statistics=exp/first/statistics.json \\
      frontend.sample_rate=8000
  audioinv pretrain pack=packs/sonograph statistics=exp/first/statistics.json \\
      run=exp/first/amortised_s0 frontend.sample_rate=8000 backbone=resnet10_narrow \\
      pretrain.steps=200
  audioinv adapt    pack=packs/sonograph run=exp/first/amortised_s0
  audioinv evaluate pack=packs/sonograph run=exp/first/amortised_s0
  audioinv report exp/first
or all of it: recipes/demo/ssl1/run.sh
"""

FIRST = {
    "download": download,
    "prepare": prepare,
    "join": join,
    "validate": validate,
    "pack": pack,
}
LAST = {
    "watch": watch,
    "predict": predict,
    "index": index,
    "similar": similar,
    "explore": explore,
    "calibrate": calibrate,
    "report": report,
    "table": table,
    "compare": compare,
    "hub": hub,
    "modalities": modalities,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0 when it worked, 2 when the input was at fault, 130 when interrupted, 143 when stopped by
    SIGTERM or SIGUSR1. Pre-training has written a checkpoint then.
    """
    parser = make_parser()
    words = joined(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser.parse_known_args(words)
    if "overrides" in options and not any(word.startswith("-") for word in rest):
        options.overrides += rest  # argparse stops at the first option after them
    elif rest:
        own: argparse.ArgumentParser = options.parser  # of the command, whose usage is of help
        near = meant_by(rest, own._option_string_actions)
        own.error(f"unrecognized arguments: {' '.join(rest)}{near}")
    line, clock = "%(asctime)s %(message)s", "%H:%M:%S"
    logging.basicConfig(level=logging.INFO, format=line, datefmt=clock, handlers=[AboveBars()])
    for noisy in ("lightning", "lightning.fabric", "torch", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What watches the processes on this machine says there which of them died.
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(logging.INFO)
    try:
        return options.run(options) or 0
    except (UserError, OSError) as error:
        print(f"audioinv {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"audioinv {options.command}: {stopped}; the same command resumes", file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print(f"audioinv {options.command}: interrupted; the same command resumes", file=sys.stderr)
        return INTERRUPTED_STATUS


class AboveBars(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: bars take it over, and put lines above them."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def joined(words: Sequence[str]) -> list[str]:
    """`--descriptor -pitch_shift` as one word, which argparse does not take for two options."""
    done: list[str] = []
    for word in words:
        if done and re.fullmatch(r"--des[a-z]*", done[-1]) and re.match(r"-\w", word):
            done[-1] += f"={word}"
        else:
            done.append(word)
    return done


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="audioinv",
        description="One self-supervised audio encoder, conditioned on an invariance descriptor; "
        "every task learns its own descriptor with a light readout.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_plain(commands, FIRST)
    _add_hydra(commands)
    _add_plain(commands, LAST)
    return parser


def _add_plain(commands: Any, modules: Mapping[str, ModuleType]) -> None:
    for name, module in modules.items():
        about = getattr(module, "ABOUT", None)
        command = commands.add_parser(name, help=module.HELP, description=about)
        command.set_defaults(run=module.run, parser=command)
        module.add_arguments(command)


def _add_hydra(commands: Any) -> None:
    for name, summary in hydra.COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        command.set_defaults(run=hydra.run, parser=command)
        hydra.add_arguments(command, name)


if __name__ == "__main__":
    sys.exit(main())
