"""Every benchmark by name; its module is imported when it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from audioinv.base.errors import UserError
from benchmarks.measure import Comparison, Setup

Benchmark = Callable[[Setup], Iterator[Comparison]]

BENCHMARKS = {
    "log_mel": "benchmarks.frontends:log_mel",
    "augmentations": "benchmarks.augmenting:augmentations",
    "views": "benchmarks.augmenting:views",
    "training_step": "benchmarks.training:training_step",
    "penalty": "benchmarks.penalising:penalty",
    "conditioning": "benchmarks.conditioning:conditioning",
    "per_example": "benchmarks.conditioning:per_example",
    "paper_setting": "benchmarks.conditioning:paper_setting",
    "plain_network": "benchmarks.conditioning:plain_network",
    "adaptation": "benchmarks.conditioning:adaptation",
    "precision": "benchmarks.precision:precision",
    "step_growth": "benchmarks.growth:step_growth",
    "rows_growth": "benchmarks.growth:rows_growth",
    "packs_growth": "benchmarks.growth:packs_growth",
}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name; its docstring says what is compared.

    Raises:
        UserError: there is none.
    """
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark {name}; give some of {', '.join(BENCHMARKS)}")
    module, function = BENCHMARKS[name].split(":")
    found: Benchmark = getattr(import_module(module), function)
    return found
