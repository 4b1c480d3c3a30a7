"""The model card of a run: what it was trained on, for how long, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.data.card import encoder_card
from audioinv.data.pack import open_pack
from audioinv.report.collect import Run, read_experiment
from audioinv.report.tables import tables_markdown


def run_card(run: str | Path, name: str, licence: str) -> str:
    """The card of the encoder of a run folder, with its data, making and results.

    Args:
        name: OWNER/NAME. licence: of the weights.

    Raises:
        UserError: no run, no encoder in it, or a file of it that is broken.
    """
    folder = Path(run)
    if not (folder / "encoder" / "encoder.json").exists():
        raise UserError(f"{folder} holds no encoder; give a run folder that pretrain has finished")
    experiment = read_experiment(folder)
    (only,) = experiment.runs
    info = read_json(folder / "encoder" / "encoder.json").get("info", {})
    sections = [("Data", _data(only, info)), ("Training", _training(only, info))]
    if only.results or only.measurement:
        sections.append(("Results", tables_markdown(experiment)))
    return encoder_card(folder / "encoder", name, licence, sections)


def _data(run: Run, info: Mapping[str, Any]) -> str:
    """Corpus and licence, as the pack tells them, where it is still there."""
    try:
        pack = open_pack(run.config["pack"])
    except (KeyError, TypeError, UserError):
        pack = None
    if pack is None or pack.content_key != info.get("pack"):
        return "The pack that it was trained on is not at hand, and so neither is its licence."
    corpus = pack.corpus
    return f"{corpus.title}. Licence of the data: {corpus.licence}. Source: {corpus.source}."


def _training(run: Run, info: Mapping[str, Any]) -> str:
    known = ("method", "seed", "steps", "audioinv")
    told = [f"- {key}: {info[key]}" for key in known if key in info]
    if seconds := _seconds(run.path / "metrics.jsonl"):
        told.append(f"- time in steps: {seconds:,.1f} s")
    return "\n".join([*told, "- energy: not measured"])


def _seconds(metrics: Path) -> float:
    """Seconds in all steps that were logged, each taken for those before it that were not."""
    if not metrics.exists():
        return 0.0
    total, last = 0.0, 0
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            logged = json.loads(line)
            step, seconds = int(logged["step"]), float(logged["seconds"])
        except (KeyError, TypeError, ValueError):  # a torn line, or one of no step
            continue
        total += seconds * max(step - last, 0)
        last = step
    return total
