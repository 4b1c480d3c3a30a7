"""audioinv evaluate: scores a frozen encoder on test clips by a protocol."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from audioinv.base.files import read_json, write_json
from audioinv.base.progress import shown
from audioinv.base.tensors import save_tensors
from audioinv.base.versions import versions
from audioinv.commands.judging import context_of, made_before, settings_of_row
from audioinv.conf.schema import Config
from audioinv.report.names import row_name
from audioinv.runs.build import results_of, run_of, saved_config
from audioinv.runs.folder import command_line, encoder_key, task_folder
from audioinv.tasks import modes
from audioinv.tasks.protocols import Context, protocol_of
from audioinv.tasks.result import Result

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Writes RESULTS/tasks/TASK/MODE/PROTOCOL/result.json for every row of the protocol.

    A row that is there is left as it is; a `label` that is given names it anew.

    Raises:
        UserError: an unknown protocol, one that cannot be scored on validation clips, or results of
            another encoder, or with other settings, where these would go.
    """
    protocol = protocol_of(config.protocol, config.score_on)
    context = context_of(config)
    given = config.label or saved_config(run_of(config)).label
    rows = protocol(context, getattr(config, config.protocol, None))
    for row in shown(rows, "evaluating", "rows"):
        folder = task_folder(results_of(config), row.task, row.mode) / row.name
        settings = settings_of_row(config, row.mode)
        if (folder / "result.json").exists():
            keep(folder / "result.json", config, settings, given)
        else:
            made = replace(row.make(), settings=settings)
            row.keep(folder)
            write(folder, signed(made, context, config, given))


def keep(path: Path, config: Config, settings: dict[str, Any], given: str | None) -> None:
    """Leaves a result as it is, but for a name that was given to its run.

    Raises:
        UserError: it is that of another encoder, or was made with other settings.
    """
    done = made_before(path, config, settings)
    log.info("%s: already done", path.parent)
    if given and done.get("named") != given:
        write_json(path, done | name_anew(done, given))


def signed(result: Result, context: Context, config: Config, given: str | None) -> Result:
    """The result with all that tells whose it is and how it was made."""
    folder = run_of(config) / "encoder"
    method = read_json(folder / "encoder.json")["info"].get("method", config.method)
    valid = " on validation clips" if config.score_on == "valid" else ""
    return replace(
        result,
        protocol=f"{result.protocol}{valid}",
        method=method,
        named=given or method,
        label=row_label(given or method, result.mode, result.detail, context.amortised),
        corpus=context.pack.corpus.name,
        encoder=encoder_key(run_of(config)),
        command=command_line(),
        versions=versions(),
    )


def write(folder: Path, result: Result) -> None:
    """Writes per_clip.safetensors, then result.json."""
    save_tensors(folder / "per_clip.safetensors", result.per_clip)
    write_json(folder / "result.json", result.to_json())
    log.info("%s, %s: %s %.4f", result.task, result.label, result.metric, result.value)


def name_anew(row: dict[str, Any], named: str) -> dict[str, str]:
    """A row's label under another name of its run."""
    old = row.get("named", row["method"])
    rest = row["label"].removeprefix(row_name(old))
    return {"named": named, "label": row_name(named) + rest}


def row_label(named: str, mode: str, detail: str = "", amortised: bool = True) -> str:
    """How a table names a row of a method, or of a run that was given a label.

    A method that knows one corner only needs no word about it.
    """
    name = row_name(named)
    if detail:
        return f"{name}, {detail}"
    if mode == "fixed:all" and not amortised:
        return name
    return f"{name}, {modes.label(mode)}"
