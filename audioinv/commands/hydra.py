"""The commands whose settings Hydra composes: what they take beside KEY=VALUE, and how they run."""

from __future__ import annotations

import argparse
import importlib
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audioinv.conf.schema import Config

from audioinv.commands.options import add_engine, engine

COMMANDS = {
    "check": "look up the settings, methods and protocols of an experiment; does nothing else",
    "statistics": "mean and standard deviation of the front end over the training clips",
    "pretrain": "pre-train one encoder over all descriptors, from unlabelled audio",
    "profile": "time the parts of a pre-training step under these settings; trains nothing",
    "adapt": "let every task learn its descriptor and readout from the frozen encoder",
    "evaluate": "score the adapted tasks on test clips",
    "measure": "measure the encoder's invariance to each augmentation at each descriptor",
    "embed": "features of files, or of every clip of a pack, at one descriptor, as a table",
    "export": "a plain network at one descriptor, or of a task, for torch or ONNX",
}
"""Command -> what it does."""
EMBED = """\
examples:
  audioinv embed recordings/ a.flac --encoder exp/mine/amortised_s0/encoder --out features.parquet
  audioinv embed long.wav run=exp/mine/amortised_s0 --windows --hop_s 0.5 --out windows.csv
  audioinv embed recordings/ run=exp/mine/amortised_s0 --task digit --out digit.npy
  audioinv embed pack=packs/mine run=exp/mine/amortised_s0 --descriptor -pitch_shift --out f.parquet

Files and folders are read as they are, in one process. A pack is made in pieces, by --nj processes
or --engine ray; when interrupted it goes on where it stopped. A clip longer than the encoder's
window is used whole: windows side by side, the last one ends with it, and features are their mean
(features.hop_s, features.drop_last, features.pool, features.layers). With --task, those settings
are the task's.
FILE ends in .parquet, .csv, .npy (features alone, the rows in FILE.rows.csv) or .safetensors.
"""
EXPORT = """\
examples:
  audioinv export pack=packs/mine run=exp/mine/amortised_s0 --out plain.onnx
  audioinv export pack=packs/mine run=exp/mine/amortised_s0 --descriptor -pitch_shift --out p.pt2
  audioinv export pack=packs/mine run=exp/mine/amortised_s0 --descriptor input --out any.onnx
  audioinv export pack=packs/mine run=exp/mine/amortised_s0 --task digit --out digit.onnx

.pt2 is a torch.export program: windows (batch, samples) of the encoder's length. .onnx needs
pip install 'audioinv[onnx]'; its clips may have any length where the network takes that, and it is
compared with torch before it is written. With --descriptor input the network takes a second input,
descriptor (batch, K), a value in [0, 1] for each component in the order of encoder.json: norm,
prompt and hyper_light conditioning can do that.
"""
SETTING = re.compile(r"~|\+{0,2}[A-Za-z_][\w.]*=")
JUDGING = ("adapt", "evaluate", "measure", "embed", "export")
"""Those whose run says how it was pre-trained."""


def _add_descriptor(command: argparse.ArgumentParser) -> None:
    command.add_argument("--descriptor", default="all", help="all, none, a+b or -a (default all)")
    command.add_argument("--out", required=True, type=Path, help="file to write")


def _add_embed(command: argparse.ArgumentParser) -> None:
    command.usage = "audioinv embed [PATH ...] --encoder RUN/encoder --out FILE [KEY=VALUE ...]"
    command.epilog = EMBED
    _add_task(command)
    command.add_argument(
        "--encoder",
        default="",
        metavar="DIR",
        help="folder, or OWNER/NAME of the hub; or give run=RUN",
    )
    command.add_argument(
        "--hop_s", type=float, metavar="S", help="short for features.hop_s=S; 0: first window alone"
    )
    command.add_argument("--windows", action="store_true", help="a row a window, with its times")


def _add_task(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--task", default="", help="an adapted task of the run, whose descriptors count instead"
    )
    command.add_argument("--mode", default="soft", help="by which it was adapted (default soft)")


def _add_export(command: argparse.ArgumentParser) -> None:
    command.epilog = EXPORT
    _add_task(command)
    command.add_argument(
        "--format", default="", choices=("pt2", "onnx"), help="default: by the ending of --out"
    )
    command.add_argument(
        "--finetuned",
        action="store_true",
        help="the network that evaluate protocol=finetune left of the task and mode",
    )


def _add_check(command: argparse.ArgumentParser) -> None:
    command.add_argument("--methods", default="", help="names with spaces between them")
    command.add_argument("--protocols", default="", help="of evaluate; likewise")
    command.add_argument("--corpus", default="", help="in which tasks= are looked up")


def _add_steps(command: argparse.ArgumentParser) -> None:
    command.add_argument("--steps", type=int, default=20, help="to time (default 20)")
    command.add_argument("--out", type=Path, help="JSON file to write the table to as well")


EXTRA: Mapping[str, tuple[Callable[[argparse.ArgumentParser], None], ...]] = {
    "check": (_add_check,),
    "profile": (_add_steps,),
    "embed": (_add_descriptor, _add_embed, add_engine),
    "export": (_add_descriptor, _add_export),
}
"""Command -> what adds the arguments that are its own; its `main` takes their values."""


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """KEY=VALUE, how they are composed, and the command's own arguments."""
    command.add_argument("-h", "--help", action=_Help, nargs=0, help="this, and every key")
    command.set_defaults(help=None)
    words = "PATH or KEY=VALUE" if name == "embed" else "KEY=VALUE"
    command.add_argument("overrides", nargs="*", metavar=words, help="see below")
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

    paths = _take_paths(options) if options.command == "embed" else ()
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
    extra = _extra(options, paths)
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


def _take_paths(options: argparse.Namespace) -> tuple[str, ...]:
    """Takes the files and folders from the words; the rest are KEY=VALUE."""
    words = options.overrides
    paths = tuple(word for word in words if not SETTING.match(word) or Path(word).exists())
    options.overrides = [word for word in words if word not in paths]
    if options.hop_s is not None:
        options.overrides.append(f"features.hop_s={options.hop_s}")
    return paths


def _extra(options: argparse.Namespace, paths: tuple[str, ...] = ()) -> list[Any]:
    """The values of the command's own arguments, in the order of its `main`."""
    extra = [getattr(options, name) for name in ("descriptor", "steps", "out") if name in options]
    if options.command == "check":
        from audioinv.commands.check import Asked

        names = options.methods.split(), options.protocols.split(), options.corpus
        return [Asked(options.overrides, options.config_dir, *names)]
    if options.command == "export":
        return [*extra, options.task, options.mode, options.finetuned, options.format]
    if options.command == "embed":
        from audioinv.commands.embed import Wanted

        own = options.encoder, options.task, options.mode, options.windows
        return [*extra, Wanted(paths, *own), engine(options)]
    return extra


class _Help(argparse.Action):
    """--help that waits for the words after it: they decide which defaults it shows."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, *_: Any) -> None:
        namespace.help = parser.format_help()
        for action in parser._actions:  # nothing else need be given
            action.required = False
