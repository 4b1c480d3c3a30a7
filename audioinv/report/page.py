"""The page: tables, figures and clips of an experiment as one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audioinv.base.files import write_text
from audioinv.report.collect import Example, Experiment, Run, read_experiment, unique
from audioinv.report.environment import environment
from audioinv.report.figures import words
from audioinv.report.finding import findings
from audioinv.report.names import method_name, show
from audioinv.report.pictures import (
    clips,
    curve_pictures,
    depth_pictures,
    descriptor_pictures,
    loss_picture,
    measurement_pictures,
)
from audioinv.report.tables import Sheet, hardware, results_table, tables, write_results
from audioinv.tasks.result import Result

CITATIONS = (
    "R. Chavhan, H. Gouk, J. Stuehmer, C. Heggan, M. Yaghoobi, T. Hospedales. "
    "Amortised Invariance Learning for Contrastive Self-Supervision. ICLR 2023. arXiv:2302.12712.",
)
FACTS = {
    "Pack": "pack",
    "Front end": "frontend",
    "Bank": "bank",
    "Backbone": "backbone",
    "Conditioning": "conditioning",
    "Objective": "pretrain.objective",
    "Steps": "pretrain.steps",
    "Batch size": "pretrain.batch_size",
    "Optimiser": "pretrain.optimiser",
    "Peak learning rate": "pretrain.lr",
    "Temperature": "pretrain.temperature",
    "Projector": "pretrain.projector",
    "Readout": "adapt.readout",
    "Precision": "precision",
}
"""What is told of a configuration: name on the page -> key in config.yaml."""


def write_report(expdir: str | Path, results: str | Path | None = None) -> Path:
    """Writes EXPDIR/report.html, and the table into the Markdown file `results` if given.

    Returns:
        The path of the page.

    Raises:
        UserError: EXPDIR holds no run folder or a broken file, or `results` has no table to hold.
    """
    experiment = read_experiment(expdir)
    page = experiment.path / "report.html"
    write_text(page, render(experiment))
    if results is not None:
        write_results(results, results_table(expdir))
    return page


def render(experiment: Experiment, sheets: Sequence[Sheet] = ()) -> str:
    """The whole page as HTML; everything read from files is escaped.

    Args:
        sheets: plain tables to stand below the results.
    """
    made_by = environment()
    made_by.globals.update(show=show, words=words, method_name=method_name)
    results = experiment.results
    return made_by.get_template("report.html").render(
        title=str(experiment.about.get("title") or experiment.path.resolve().name),
        description=str(experiment.about.get("description") or ""),
        counts=_counts(experiment),
        findings=findings(results),
        facts=facts(experiment),
        configs={run.path.resolve().name: _compact(run.config) for run in experiment.runs},
        tables=tables(experiment),
        sheets=sheets,
        results=results,
        several=len({result.seed for result in results}) > 1,
        curves=curve_pictures(results),
        descriptors=descriptor_pictures(results),
        depths=depth_pictures(results),
        measurements=measurement_pictures(experiment),
        loss=loss_picture(experiment),
        examples=[(e, _parameters(e), clips(e)) for e in experiment.examples],
        notes=unique(e.note for e in experiment.examples if e.note),
        commands=_commands(experiment),
        protocols=sorted({result.protocol for result in results}),
        citations=_list(experiment.about.get("citation")) or CITATIONS,
    )


def facts(experiment: Experiment) -> dict[str, str]:
    """What was run, name -> value; the exceptions to the commonest value name their methods."""
    seeds = sorted({run.seed for run in experiment.runs if run.seed is not None})
    told = {
        "Corpus": _compact(experiment.about.get("corpus")),
        "Methods": ", ".join(method_name(method) for method in experiment.methods),
        "Descriptor components": ", ".join(words(name) for name in _components(experiment)),
        **{name: _fact(experiment.runs, key) for name, key in FACTS.items()},
        "Seeds": ", ".join(map(str, seeds)),
        "Versions": _versions(experiment.results),
        "Hardware": hardware(experiment),
    }
    return {name: value for name, value in told.items() if value}


def _fact(runs: Sequence[Run], key: str) -> str:
    values = [(run.method, _compact(_find(run.config, key))) for run in runs]
    counted = Counter(value for _, value in values if value).most_common()
    told = [value for value, _ in counted[:1]]
    for value, _ in counted[1:]:
        methods = unique(method_name(method) for method, given in values if given == value)
        told.append(f"{value} ({', '.join(methods)})")
    return "; ".join(told)


def _find(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key, None without one."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _compact(value: Any) -> str:
    """A configuration value as words: a mapping as its name followed by its other fields."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        fields = {k: v for k, v in value.items() if v not in (None, {}, []) and k != "name"}
        name = [str(value["name"])] if value.get("name") is not None else []
        return ", ".join(name + [f"{k} {_inner(v)}" for k, v in fields.items()])
    if isinstance(value, list):
        return ", ".join(_inner(item) for item in value)
    return str(value)


def _inner(value: Any) -> str:
    text = _compact(value)
    if isinstance(value, list):
        return f"[{text}]"
    return f"({text})" if isinstance(value, Mapping) else text


def _components(experiment: Experiment) -> list[str]:
    measured = [
        name for run in experiment.runs if run.measurement for name in run.measurement.names
    ]
    learned = [name for result in experiment.results for name in result.descriptor or ()]
    return unique(measured + learned)


def _versions(results: Sequence[Result]) -> str:
    pairs = unique(pair for result in results for pair in result.versions.items())
    return ", ".join(f"{name} {version}" for name, version in pairs)


def _counts(experiment: Experiment) -> list[tuple[int, str]]:
    counted = {
        "method": len(experiment.methods),
        "seed": len({run.seed for run in experiment.runs}),
        "task": len({result.task for result in experiment.results}),
        "result": len(experiment.results),
    }
    return [(n, name if n == 1 else f"{name}s") for name, n in counted.items() if n]


def _commands(experiment: Experiment) -> list[str]:
    recorded = _list(experiment.about.get("commands") or experiment.about.get("command"))
    return recorded or unique(r.command for r in experiment.results if r.command)


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _parameters(example: Example) -> str:
    return ", ".join(f"{words(k)} {_number(v)}" for k, v in example.parameters.items())


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
