"""audioinv evaluate: scores a frozen encoder on test clips by a protocol."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.base.tensors import save_tensors
from audioinv.commands.features import TaskFeatures
from audioinv.commands.protocols import Context
from audioinv.conf.schema import Config
from audioinv.report.names import ROW_NAMES
from audioinv.runs.build import is_amortised, load_run, results_of, run_of, saved_config
from audioinv.runs.folder import command_line, encoder_key, versions
from audioinv.tasks import modes

log = logging.getLogger(__name__)
PROTOCOLS = (
    "linear", "knn", "fewshot", "factors", "finetune", "averaging", "robustness",
    "fewshot_published",
)  # fmt: skip
ON_TEST_ALONE = ("fewshot", "fewshot_published", "factors")


def main(config: Config) -> None:
    """Writes RESULTS/tasks/TASK/MODE/PROTOCOL/result.json for every row of the protocol.

    A row that is there is left as it is; a `label` that is given names it anew.

    Raises:
        UserError: an unknown protocol, one that cannot be scored on validation clips, or results of
            another encoder where this one's would go.
    """
    if config.protocol not in PROTOCOLS:
        raise UserError(f"protocol is '{config.protocol}'; give one of {', '.join(PROTOCOLS)}")
    if config.score_on != "test" and config.protocol in ON_TEST_ALONE:
        raise UserError(f"protocol {config.protocol} has test clips only; leave score_on at test")
    encoder, bank, pack = load_run(config)
    key = encoder_key(run_of(config))
    method = read_json(Path(str(config.run)) / "encoder" / "encoder.json")["info"].get(
        "method", config.method
    )
    given = config.label or saved_config(run_of(config)).label
    named = given or method
    features = TaskFeatures(encoder, bank, pack, config)
    amortised = is_amortised(config)
    context = Context(config, encoder, bank, pack, features, results_of(config))
    protocol = import_module(f"audioinv.commands.protocols.{config.protocol}")
    for folder, make in protocol.rows(context):
        if (folder / "result.json").exists():
            done = read_json(folder / "result.json")
            if done.get("encoder", key) != key:
                raise UserError(
                    f"{folder} has the result of another encoder; remove it, or give out="
                )
            log.info("%s: already done", folder)
            if given and done.get("named") != named:
                write_json(folder / "result.json", done | name_anew(done, named))
            continue
        row = make()
        label = row_label(named, row["mode"], row.pop("mode_label", None), amortised)
        row |= {"method": method, "named": named, "label": label}
        row |= {"corpus": pack.corpus.name, "encoder": key}
        if config.score_on == "valid":
            row["protocol"] += " on validation clips"
        save_tensors(folder / "per_clip.safetensors", row.pop("per_clip", {}))
        write_json(
            folder / "result.json", row | {"command": command_line(), "versions": versions()}
        )
        log.info("%s, %s: %s %.4f", row["task"], label, row["metric"], row["value"])


def name_anew(row: dict[str, Any], named: str) -> dict[str, str]:
    """A row's label under another name of its run."""
    old = row.get("named", row["method"])
    rest = row["label"].removeprefix(ROW_NAMES.get(old, old))
    return {"named": named, "label": ROW_NAMES.get(named, named) + rest}


def row_label(named: str, mode: str, detail: str | None = None, amortised: bool = True) -> str:
    """How a table names a row of a method, or of a run that was given a label.

    A method that knows one corner only needs no word about it.
    """
    name = ROW_NAMES.get(named, named)
    if detail is not None:
        return f"{name}, {detail}"
    if mode == "fixed:all" and not amortised:
        return name
    return f"{name}, {modes.label(mode)}"
