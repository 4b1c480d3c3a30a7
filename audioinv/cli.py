"""The command line: audioinv COMMAND ..."""

from __future__ import annotations

import argparse
import importlib
import inspect
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.version import __version__
from audioinv.training.signals import STOPPED_STATUS, Stopped

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

HYDRA = {
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0 when it worked, 2 when the input was at fault, 130 when interrupted, 143 when pre-training was
    stopped by SIGTERM or SIGUSR1 and has written a checkpoint.
    """
    parser = make_parser()
    options, rest = parser.parse_known_args(arguments)
    if "overrides" in options and all(re.match(r"[~+\w]", word) for word in rest):
        options.overrides += rest  # argparse stops at the first option after them
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
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
        return STOPPED_STATUS
    except KeyboardInterrupt:
        print(f"audioinv {options.command}: interrupted; the same command resumes", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="audioinv",
        description="One self-supervised audio encoder, conditioned on an invariance descriptor; "
        "every task learns its own descriptor with a light readout.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_download(commands)
    _add_prepare(commands)
    _add_validate(commands)
    _add_pack(commands)
    for name, summary in HYDRA.items():
        _add_hydra(commands, name, summary)
    _add_report(commands)
    _add_table(commands)
    return parser


class _CorpusParser(argparse.ArgumentParser):
    """Takes, of a corpus' options, those that are parameters of `function`."""

    function: Any = None

    def add_argument(self, *flags: Any, **settings: Any) -> Any:
        name = settings.get("dest", flags[0].lstrip("-").replace("-", "_"))
        known = self.function is None or name in inspect.signature(self.function).parameters
        return super().add_argument(*flags, **settings) if known else None


def _corpora() -> dict[str, Any]:
    """Those of every modality."""
    from audioinv.data.modality import known_modalities

    return {name: c for modality in known_modalities() for name, c in modality.corpora().items()}


def _corpus_parsers(command: Any, function: str) -> Iterator[_CorpusParser]:
    """A subparser for each corpus, before its own options are added."""
    corpora = command.add_subparsers(
        dest="corpus", required=True, metavar="CORPUS", parser_class=_CorpusParser
    )
    for name, corpus in _corpora().items():
        about = f"{corpus.TITLE}. {corpus.DESCRIPTION}. Licence: {corpus.LICENCE}. {corpus.SOURCE}."
        one = corpora.add_parser(name, help=corpus.TITLE, description=f"{about} {corpus.ACCESS}.")
        one.add_argument("--root", required=True, type=Path, help="folder of the files")
        yield one
        one.function = getattr(corpus, function)
        corpus.add_arguments(one)


def _corpus_options(options: argparse.Namespace, function: Any) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {name: value for name, value in vars(options).items() if name in known}


def _add_download(commands: Any) -> None:
    command = commands.add_parser("download", help="fetch the public files of a corpus and unpack")
    for one in _corpus_parsers(command, "downloads"):
        one.set_defaults(run=_download)


def _download(options: argparse.Namespace) -> int:
    from audioinv.commands.progress import download_progress
    from audioinv.data.download import fetch

    corpus = _corpora()[options.corpus]
    files = corpus.downloads(**_corpus_options(options, corpus.downloads))
    if not files:
        raise UserError(f"nothing to download. {corpus.ACCESS}")
    with download_progress() as report:
        fetch(files, options.root, report)
    print(options.root)
    return 0


def _add_prepare(commands: Any) -> None:
    command = commands.add_parser("prepare", help="write the manifest of a corpus")
    for one in _corpus_parsers(command, "prepare"):
        one.add_argument("--out", required=True, type=Path, help="folder for the manifest")
        one.add_argument("--seed", type=int, default=0, help="of drawn splits (default 0)")
        one.set_defaults(run=_prepare)


def _prepare(options: argparse.Namespace) -> int:
    corpus = _corpora()[options.corpus]
    print(corpus.prepare(**_corpus_options(options, corpus.prepare)))
    return 0


def _add_folders(command: argparse.ArgumentParser) -> None:
    command.add_argument("--root", type=Path, help="folder of the files, if not corpus.json's")
    command.add_argument(
        "--also_inside",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="another folder that paths and symbolic links may lead to; may be given several times",
    )


def _add_validate(commands: Any) -> None:
    command = commands.add_parser(
        "validate",
        help="read every file of a manifest and list every problem",
        description="Reads every clip; prints one line a problem and exits 1 if there is any.",
    )
    command.add_argument("manifest", type=Path, help="its table, or the folder that prepare wrote")
    _add_folders(command)
    command.add_argument("--nj", type=int, default=2, help="processes (default 2)")
    command.add_argument(
        "--no_files", "--no_audio", action="store_true", help="check the table alone, open no file"
    )
    command.set_defaults(run=_validate)


def _validate(options: argparse.Namespace) -> int:
    from audioinv.data.manifest import read_manifest
    from audioinv.data.validate import validate

    manifest = read_manifest(options.manifest, options.root, also=options.also_inside, strict=False)
    problems = validate(manifest, options.nj, files=not options.no_files)
    for problem in problems:
        print(f"{problem.kind}: {problem}")
    print(f"{len(manifest)} clips, {len(problems)} problems")
    return 1 if problems else 0


def _add_pack(commands: Any) -> None:
    command = commands.add_parser(
        "pack",
        help="decode a manifest's clips once, at one size",
        description="Writes memory-mapped Arrow shards; does nothing if they are up to date. "
        "Clips of every modality have a size of their own: see below.",
    )
    command.add_argument("manifest", type=Path, help="its table, or the folder that prepare wrote")
    command.add_argument("--out", required=True, type=Path, help="folder of the pack")
    for name, settings in _media_options().items():
        command.add_argument(f"--{name}", **settings)
    _add_folders(command)
    _add_engine(command)
    command.add_argument(
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help="at a clip that cannot be read: stop, or leave it out and list it (default fail)",
    )
    command.set_defaults(run=_pack)


def _media_options() -> dict[str, dict[str, Any]]:
    """Sizes and further options of all modalities' packs -> settings of their arguments."""
    from audioinv.data.modality import known_modalities

    found: dict[str, dict[str, Any]] = {}
    for modality in known_modalities():
        found.setdefault(modality.size, {"type": int, "help": modality.size_help})
        for option in modality.media_options:
            found[option.name] = {"choices": option.choices, "help": option.help}
    return found


def _pack(options: argparse.Namespace) -> int:
    from audioinv.data.manifest import read_manifest
    from audioinv.data.modality import media_of
    from audioinv.data.pack import build_pack

    manifest = read_manifest(options.manifest, options.root, also=options.also_inside)
    given = {name: getattr(options, name) for name in _media_options()}
    media = media_of(manifest.corpus.modality, given)
    build_pack(manifest, options.out, media, _engine(options), options.on_error)
    return 0


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--nj", type=int, default=2, help="pieces of work at once (default 2)")
    command.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine, or Ray, on this one or many (default local)",
    )
    command.add_argument(
        "--ray_address",
        help="of a Ray cluster (default: RAY_ADDRESS, or else a Ray of its own on this machine)",
    )


def _engine(options: argparse.Namespace) -> Any:
    from audioinv.data.engines import engine_of

    return engine_of(options.engine, options.nj, options.ray_address)


def _add_hydra(commands: Any, name: str, summary: str) -> None:
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    command.add_argument("-h", "--help", action=_HydraHelp, nargs=0, help="this, and every key")
    command.set_defaults(help=None)
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see below")
    command.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="run a sweep: seed=0,1,2 with run='exp/a_s${seed}'; one job after the other",
    )
    command.add_argument("--config_dir", help="folder with further groups: a recipe's conf/")
    if name in ("embed", "export"):
        command.add_argument(
            "--descriptor", default="all", help="all, none, a+b or -a (default all)"
        )
        command.add_argument("--out", required=True, type=Path, help="file to write")
    if name == "embed":
        _add_engine(command)
    if name == "profile":
        command.add_argument("--steps", type=int, default=20, help="to time (default 20)")
        command.add_argument("--out", type=Path, help="JSON file to write the table to as well")
    command.set_defaults(run=_hydra)


def _hydra(options: argparse.Namespace) -> int:
    from audioinv.conf.compose import compose_config, sweep
    from audioinv.conf.unread import refuse_unread

    jobs = sweep(options.overrides) if options.multirun else [options.overrides]
    if options.help:
        from audioinv.conf.help import describe_keys

        print(options.help, describe_keys(jobs[0], options.config_dir), sep="\n", end="")
        sys.exit(0)
    configs = [compose_config(job, options.config_dir) for job in jobs]  # all checked, then run
    if options.command in ("pretrain", "profile"):
        for job, config in zip(jobs, configs, strict=True):
            refuse_unread(config, job, options.config_dir)
    command = importlib.import_module(f"audioinv.commands.{options.command}")
    extra = [getattr(options, name) for name in ("descriptor", "steps", "out") if name in options]
    extra += [_engine(options)] if "engine" in options else []
    for number, (job, config) in enumerate(zip(jobs, configs, strict=True), 1):
        if options.multirun:
            logging.info("job %d of %d: %s", number, len(jobs), " ".join(job))
        command.main(config, *extra)
    return 0


def _add_report(commands: Any) -> None:
    command = commands.add_parser(
        "report",
        help="one self-contained HTML page over all runs of an experiment",
        description="Reads the run folders in EXPDIR and writes EXPDIR/report.html.",
    )
    command.add_argument("expdir", type=Path, metavar="EXPDIR")
    command.add_argument("--results", type=Path, help="also put the table into this Markdown file")
    command.add_argument("--pack", help="pack from which a clip is shown under each augmentation")
    command.add_argument("--title", help="of the page (default: the folder's name)")
    command.add_argument("--made_by", help="the command that made the runs, to print on the page")
    command.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from audioinv.commands import report

    print(
        report.main(options.expdir, options.results, options.pack, options.title, options.made_by)
    )
    return 0


def _add_table(commands: Any) -> None:
    command = commands.add_parser(
        "table",
        help="results of one or several experiments in one table, with ranks and paired tests",
        description="Reads run folders of every EXPDIR; prints Markdown: mean and standard "
        "deviation over seeds, mean ranks over tasks, paired tests, published rows.",
    )
    command.add_argument("expdirs", nargs="+", type=Path, metavar="EXPDIR")
    command.add_argument("--out", type=Path, help="write OUT.md, OUT.csv and OUT.html as well")
    command.add_argument("--results", type=Path, help="also put the text into this Markdown file")
    command.add_argument("--against", help="name of a row: test every other against it")
    command.add_argument("--published", type=Path, help="CSV of published figures, shown apart")
    command.set_defaults(run=_table)


def _table(options: argparse.Namespace) -> int:
    from audioinv.commands import table

    print(
        table.main(
            options.expdirs, options.out, options.against, options.published, options.results
        )
    )
    return 0


class _HydraHelp(argparse.Action):
    """--help that waits for the words after it: they decide which defaults it shows."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, *_: Any) -> None:
        namespace.help = parser.format_help()
        for action in parser._actions:  # nothing else need be given
            action.required = False


if __name__ == "__main__":
    sys.exit(main())
