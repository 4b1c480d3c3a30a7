"""The commands whose settings Hydra composes: what they take beside KEY=VALUE, and how they run."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audioinv.conf.schema import Config

from audioinv.commands.options import add_engine, engine

COMMANDS = {
    "statistics": "mean and standard deviation of the front end over the training clips",
    "pretrain": "pre-train one encoder over all descriptors, from unlabelled audio",
    "profile": "time the parts of a pre-training step under these settings; trains nothing",
    "adapt": "let every task learn its descriptor and readout from the frozen encoder",
    "evaluate": "score the adapted tasks on test clips",
    "measure": "measure the encoder's invariance to each augmentation at each descriptor",
    "embed": "features of every clip, of its first frontend.clip_s seconds, at one descriptor, "
    "as a Parquet table",
    "export": "a plain network at one descriptor, as a torch.export program",
}
"""Command -> what it does."""
JUDGING = ("adapt", "evaluate", "measure", "embed", "export")
"""Those whose run says how it was pre-trained."""


def _add_descriptor(command: argparse.ArgumentParser) -> None:
    command.add_argument("--descriptor", default="all", help="all, none, a+b or -a (default all)")
    command.add_argument("--out", required=True, type=Path, help="file to write")


def _add_steps(command: argparse.ArgumentParser) -> None:
    command.add_argument("--steps", type=int, default=20, help="to time (default 20)")
    command.add_argument("--out", type=Path, help="JSON file to write the table to as well")


EXTRA: Mapping[str, tuple[Callable[[argparse.ArgumentParser], None], ...]] = {
    "profile": (_add_steps,),
    "embed": (_add_descriptor, add_engine),
    "export": (_add_descriptor,),
}
"""Command -> what adds the arguments that are its own; its `main` takes their values."""


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """KEY=VALUE, how they are composed, and the command's own arguments."""
    command.add_argument("-h", "--help", action=_Help, nargs=0, help="this, and every key")
    command.set_defaults(help=None)
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see below")
    command.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="run a sweep: seed=0,1,2 with run='exp/a_s${seed}'; one job after the other",
    )
    command.add_argument("--config_dir", help="folder with further groups: a recipe's conf/")
    for add in EXTRA.get(name, ()):
        add(command)


def run(options: argparse.Namespace) -> None:
    """Composes all jobs, then runs the command for each.

    Raises:
        UserError: a job that cannot be composed, before the first is run.
    """
    from audioinv.conf.compose import compose_config, sweep

    jobs = sweep(options.overrides) if options.multirun else [options.overrides]
    if options.help:
        from audioinv.conf.help import describe_keys
        from audioinv.conf.schema import OF_THE_RUN

        left_out = OF_THE_RUN if options.command in JUDGING else ()
        keys = describe_keys(jobs[0], options.config_dir, left_out)
        print(options.help, keys, sep="\n", end="")
        sys.exit(0)
    configs = [compose_config(job, options.config_dir) for job in jobs]
    for job, config in zip(jobs, configs, strict=True):
        _refuse(options.command, config, job, options.config_dir)
    command = importlib.import_module(f"audioinv.commands.{options.command}")
    extra = _extra(options)
    for number, (job, config) in enumerate(zip(jobs, configs, strict=True), 1):
        if options.multirun:
            logging.info("job %d of %d: %s", number, len(jobs), " ".join(job))
        command.main(config, *extra)


def _refuse(command: str, config: Config, job: Sequence[str], config_dir: str | None) -> None:
    """Refuses words to no effect on the command."""
    from audioinv.conf.unread import refuse_unread, refuse_unread_by

    if command in ("pretrain", "profile"):
        refuse_unread(config, job, config_dir)
    if command == "evaluate":
        refuse_unread_by(config.protocol, config, job)
    if command in JUDGING:
        from audioinv.runs.settings import refuse_other_words

        refuse_other_words(config, job, config_dir)


def _extra(options: argparse.Namespace) -> list[Any]:
    """The values of the command's own arguments, in the order of its `main`."""
    extra = [getattr(options, name) for name in ("descriptor", "steps", "out") if name in options]
    return [*extra, engine(options)] if "engine" in options else extra


class _Help(argparse.Action):
    """--help that waits for the words after it: they decide which defaults it shows."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, *_: Any) -> None:
        namespace.help = parser.format_help()
        for action in parser._actions:  # nothing else need be given
            action.required = False
