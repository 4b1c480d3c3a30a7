"""KEY=VALUE overrides -> one checked configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.conf import schema
from audioinv.core.errors import UserError


def compose_config(overrides: Sequence[str], config_dir: str | None = None) -> schema.Config:
    """The configuration that the groups, the recipe's `config_dir` and the overrides give.

    Args:
        overrides: for example ["experiment=cpu_quick", "pretrain.steps=100"].
        config_dir: a folder with further groups, such as a recipe's conf/.

    Raises:
        UserError: a key that does not exist, a value of the wrong type, or an unknown group choice.
    """
    schema.register()
    extra = []
    if config_dir:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config_dir {config_dir} is not a folder")
        quoted = str(folder).replace("'", r"\'")
        extra = [f"hydra.searchpath=['file://{quoted}']"]
    try:
        with initialize_config_module("audioinv.conf", version_base="1.3"):
            composed = compose("config", [*extra, *overrides])
        return cast(schema.Config, OmegaConf.to_object(composed))
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(_explain(error)) from error


def _explain(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line for line in f"{error}\n{cause}".splitlines() if line.strip()]
    text = "; ".join(dict.fromkeys(line.strip() for line in lines[:6]))
    return f"{text}. Run the command with --help to see every key."
