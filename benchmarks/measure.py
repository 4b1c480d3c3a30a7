"""Contenders that take turns, their times, and the ratios between them."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import torch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setup:
    """What benchmarks are asked for.

    Args:
        device: where tensors lie. threads: of torch.
        miniature: sizes at which everything runs in a moment and no figure means anything.
    """

    device: torch.device = CPU
    threads: int = 1
    miniature: bool = False


@dataclass(frozen=True)
class Ratio:
    """The time of contender `of` over that of contender `to`, and what it should be.

    Args:
        of, to: names of contenders, or sums of them such as "a + b".
        least, most: the target, where there is one.
    """

    of: str
    to: str
    least: float | None = None
    most: float | None = None

    def target(self) -> str:
        """The target in words, or nothing."""
        words = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {value:g}" for word, value in words if value is not None)

    def holds(self, value: float) -> bool:
        """Whether `value` is within the target; without one, always."""
        return (self.least or 0) <= value <= (self.most or float("inf"))


@dataclass(frozen=True)
class Comparison:
    """Contenders that do the same work.

    Args:
        name: what is done. work: its sizes, as in {"batch": 64, "clip": "1 s at 16 kHz"}.
        contenders: name -> does the work once. ratios: between contenders.
    """

    name: str
    work: Mapping[str, Any]
    contenders: Mapping[str, Callable[[], object]]
    ratios: Sequence[Ratio] = field(default_factory=tuple)

    def title(self) -> str:
        """Name and sizes in a line, which no other comparison of a benchmark has."""
        return title(self.name, self.work)


def title(name: str, work: Mapping[str, Any]) -> str:
    """For example "log-mel: batch 64, clip 1 s at 16000 Hz"."""
    return f"{name}: " + ", ".join(f"{key} {value}" for key, value in work.items())


def measure(comparison: Comparison, setup: Setup, rounds: int) -> dict[str, Any]:
    """Runs every contender once to warm up, then `rounds` turns of all of them.

    Returns:
        JSON: the comparison, of every contender the milliseconds, of every ratio its values over
        the turns, each as median and quartiles, the clock, and the machine's load meanwhile.
    """
    clock_name, clock = clock_of(setup)
    settle_memory()
    for run in comparison.contenders.values():
        run()
    gc.collect()
    turns = [take_turns(comparison, clock) for _ in range(rounds)]
    return {
        "name": comparison.name,
        "work": dict(comparison.work),
        "clock": clock_name,
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
        "ms": {n: spread([1e3 * turn[n] for turn in turns]) for n in comparison.contenders},
        "ratios": [_ratio(ratio, turns) for ratio in comparison.ratios],
    }


def settle_memory() -> None:
    """Frees 31 MiB at once, as every training step does.

    From then on glibc keeps freed blocks of that size instead of giving them back to the system,
    which would have to clear them again at the next request: a fifth of the time of some
    contenders, and not of others.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def take_turns(comparison: Comparison, clock: Callable[[], float]) -> dict[str, float]:
    """Contender -> seconds, each run once, in order."""
    seconds = {}
    for name, run in comparison.contenders.items():
        began = clock()
        run()
        seconds[name] = clock() - began
    return seconds


def clock_of(setup: Setup) -> tuple[str, Callable[[], float]]:
    """The clock's name, and seconds by it.

    One thread on the CPU is timed by the processor time of this process: waiting for a busy machine
    does not count. Anything else is timed by the wall, once the GPU has nothing left to do.
    """
    if setup.device.type == "cpu" and setup.threads == 1:
        return "processor time", time.process_time
    if setup.device.type == "cpu":
        return "wall time", time.perf_counter

    def wait() -> float:
        torch.cuda.synchronize(setup.device)
        return time.perf_counter()

    return "wall time", wait


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, to four digits."""
    low, _, high = quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
    named = {"median": median(values), "low": low, "high": high}
    return {name: float(f"{value:.4g}") for name, value in named.items()}


def _ratio(ratio: Ratio, turns: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    values = spread([_sum(ratio.of, turn) / _sum(ratio.to, turn) for turn in turns])
    return {
        "of": ratio.of,
        "to": ratio.to,
        **values,
        "target": ratio.target(),
        "met": ratio.holds(values["median"]),
    }


def _sum(names: str, turn: Mapping[str, float]) -> float:
    return sum(turn[name] for name in names.split(" + "))
