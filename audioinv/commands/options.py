"""Arguments that several commands share. Nothing here imports torch, for which no help waits."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audioinv.base.near import meant
from audioinv.data.engines import engine_of
from audioinv.data.modality import known_modalities

if TYPE_CHECKING:
    from audioinv.data.corpus import CorpusModule
    from audioinv.data.parallel import Engine


class Parser(argparse.ArgumentParser):
    """Says of a mistyped name which one was probably meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += meant(str(value), map(str, action.choices or ()))
            raise


class CorpusParser(Parser):
    """Takes, of a corpus' options, those that are parameters of `function`."""

    function: Callable[..., Any] | None = None

    def add_argument(self, *flags: Any, **settings: Any) -> Any:
        """As of argparse, where the function has a parameter of that name."""
        name = settings.get("dest", flags[0].lstrip("-").replace("-", "_"))
        known = self.function is None or name in inspect.signature(self.function).parameters
        return super().add_argument(*flags, **settings) if known else None


def corpora() -> dict[str, CorpusModule]:
    """Those of every modality, by name."""
    return {name: c for modality in known_modalities() for name, c in modality.corpora().items()}


def corpus_parsers(command: argparse.ArgumentParser, function: str) -> Iterator[CorpusParser]:
    """A subparser for each corpus, before its own options are added.

    Args:
        function: of a corpus: only options that it takes are added.
    """
    parsers = command.add_subparsers(
        dest="corpus", required=True, metavar="CORPUS", parser_class=CorpusParser
    )
    for name, corpus in corpora().items():
        about = f"{corpus.TITLE}. {corpus.DESCRIPTION}. Licence: {corpus.LICENCE}. {corpus.SOURCE}."
        one = parsers.add_parser(name, help=corpus.TITLE, description=f"{about} {corpus.ACCESS}.")
        one.add_argument("--root", required=True, type=Path, help="folder of the files")
        one.set_defaults(parser=one)
        yield one
        one.function = getattr(corpus, function)
        corpus.add_arguments(one)


def given_to(function: Callable[..., Any], options: argparse.Namespace) -> dict[str, Any]:
    """Those of the options that `function` has parameters for."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in vars(options).items() if name in known}


def add_folders(command: argparse.ArgumentParser) -> None:
    """Where the files of a manifest may lie."""
    command.add_argument("--root", type=Path, help="folder of the files, if not corpus.json's")
    also_inside(command)


def also_inside(command: argparse.ArgumentParser) -> None:
    """Folders outside the root."""
    command.add_argument(
        "--also_inside",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="another folder that paths and symbolic links may lead to; may be given several times",
    )


def add_on_error(
    command: argparse.ArgumentParser, what: str, then: str = "stop, or leave it out and list it"
) -> None:
    """What to do at `what` that cannot be read."""
    command.add_argument(
        "--on_error",
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help=f"at {what} that cannot be read: {then} (default fail)",
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Who does the work; see `engine`."""
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


def engine(options: argparse.Namespace) -> Engine:
    """The engine that the options of `add_engine` ask for."""
    return engine_of(options.engine, options.nj, options.ray_address)
