"""python -m benchmarks [NAME ...]: measures, prints, and keeps the figures for the docs."""

from __future__ import annotations

import argparse
import inspect
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from audioinv.base.errors import UserError
from benchmarks.catalogue import BENCHMARKS, benchmark
from benchmarks.machine import describe
from benchmarks.measure import Setup, measure
from benchmarks.record import forget_others, merge, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; 2 if that makes no sense."""
    options = parser().parse_args(arguments)
    setup = Setup(torch.device(options.device), options.threads, options.miniature)
    torch.set_num_threads(setup.threads)
    try:
        if options.rounds < 1:
            raise UserError(f"--rounds is {options.rounds}; give 1 or more")
        if setup.device.type == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: torch sees no GPU here; give --device cpu")
        chosen = {name: benchmark(name) for name in options.names or BENCHMARKS}
        for name, run in chosen.items():
            print(f"\n# {name}\n", flush=True)
            about = record(name, inspect.getdoc(run) or "", options, setup)
            titles = []
            for comparison in run(setup):
                titles.append(comparison.title())
                if options.only not in comparison.title():
                    continue
                found = measure(comparison, setup, options.rounds)
                print(table(found), flush=True)
                if options.out:
                    merge(options.out, name, {**about, "comparisons": [found]})
            if options.out:
                forget_others(options.out, name, titles)
    except UserError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def record(name: str, about: str, options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    """What is kept of a benchmark besides its figures."""
    command = ["python", "-m", "benchmarks", name]
    if setup.device.type != "cpu":
        command += ["--device", options.device]
    if setup.threads != 1:
        command += ["--threads", str(setup.threads)]
    return {
        "about": " ".join(about.split()),
        "command": shlex.join(command),
        "date": date.today().isoformat(),
        "machine": describe(setup),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; none means all")
    made.add_argument("--rounds", type=int, default=15, help="turns of every contender")
    made.add_argument("--only", default="", help="comparisons whose title has this text")
    made.add_argument("--threads", type=int, default=1, help="of torch and the libraries below it")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--miniature", action="store_true", help="tiny sizes: does it run?")
    made.add_argument("--out", type=Path, help="folder of benchmarks.json and .md, such as docs")
    return made


if __name__ == "__main__":
    sys.exit(main())
