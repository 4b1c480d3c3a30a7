"""KEY=VALUE overrides -> one checked configuration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.conf.schema import Config
from audioinv.core.errors import UserError
from audioinv.modality import modality_of


def compose_config(overrides: Sequence[str], config_dir: str | None = None) -> Config:
    """The configuration that the groups, the recipe's `config_dir` and the overrides give.

    Args:
        overrides: for example ["experiment=cpu_quick", "pretrain.steps=100"].
        config_dir: a folder with further groups, such as a recipe's conf/.

    Raises:
        UserError: a key that does not exist, a value of the wrong type, or an unknown group choice.
    """
    modality = modality_of(_last(overrides, "modality", "audio"))
    ConfigStore.instance().store(name="schema", node=modality.SCHEMA)
    folders = ["pkg://audioinv.conf"]
    if config_dir:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config_dir {config_dir} is not a folder")
        quoted = str(folder).replace("'", r"\'")
        folders.insert(0, f"file://{quoted}")
    path = "hydra.searchpath=[{}]".format(",".join(f"'{folder}'" for folder in folders))
    try:
        with initialize_config_module(modality.CONF, version_base="1.3"):
            composed = compose(modality.DEFAULTS, [path, *_at_corners(overrides)])
        config = cast(Config, OmegaConf.to_object(composed))
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(_explain(error)) from error
    for name in (word.removeprefix("method=") for word in overrides if word.startswith("method=")):
        config.method = name if ":" in name else config.method
    return config


def _last(overrides: Sequence[str], key: str, default: str) -> str:
    """The value that the overrides give a key."""
    given = [word.partition("=")[2] for word in overrides if word.startswith(f"{key}=")]
    return given[-1] if given else default


def _at_corners(overrides: Sequence[str]) -> list[str]:
    """method=NAME:CORNER -> method=NAME pretrain.corners=CORNER: any corner is a method."""
    plain = []
    for word in overrides:
        key, _, value = word.partition("=")
        name, colon, corner = value.partition(":")
        plain += (
            [f"method={name}", f"pretrain.corners={corner}"]
            if key == "method" and colon
            else [word]
        )
    return plain


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Hydra's sweeps, "seed=0,1,2" or "pretrain.lr=choice(1e-3,3e-3)", as one list a job.

    Raises:
        UserError: an override that Hydra's grammar does not know.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(_explain(error)) from error
    choices = []
    for override, text in zip(parsed, overrides, strict=True):
        if not override.is_sweep_override():
            choices.append([text])
            continue
        key = override.get_key_element()
        values = [str(value) for value in override.sweep_string_iterator()]
        plain = [v.replace("\\:", ":") if key == "method" else v for v in values]  # NAME:CORNER
        choices.append([f"{key}={value}" for value in plain])
    return [list(job) for job in itertools.product(*choices)]


def _explain(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line for line in f"{error}\n{cause}".splitlines() if line.strip()]
    text = "; ".join(dict.fromkeys(line.strip() for line in lines[:6]))
    return f"{text}. Run the command with --help to see every key."
