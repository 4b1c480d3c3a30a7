"""What --help says of keys: each with its composed default and its meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from audioinv.conf.compose import choices, compose_keys
from audioinv.conf.keys import keys_of
from audioinv.data.modality import registered

COLUMN, WIDTH = 36, 100

ABOUT = """\
KEY=VALUE sets one key, GROUP=NAME chooses one of a group; a key that does not exist is an error.
A key in braces takes names of its own: bank.ranges.pitch_shift.max_semitones=6
Words beside --help count: audioinv pretrain modality=image method=moco --help

groups:
{groups}

keys, their defaults {words}and what they mean:
{keys}
"""

FROM_THE_RUN = """\
Not here: {names}.
They are what the run was pre-trained with, as its config.yaml says.
"""


def describe_keys(
    overrides: Sequence[str], config_dir: str | None = None, of_the_run: Sequence[str] = ()
) -> str:
    """The groups, and every key with what the overrides and the recipe's folder make of it.

    Args:
        of_the_run: groups and keys that are left out: the run says them.

    Raises:
        UserError: as `compose_config`.
    """
    composed = compose_keys(overrides, config_dir)
    groups = choices(overrides, config_dir)
    words = f"under {' '.join(overrides)} " if overrides else ""
    names = [
        _entry(f"{group}=", ", ".join(offered))
        for group, offered in groups.items()
        if group not in of_the_run
    ]
    keys = key_lines(composed, of_the_run)
    text = ABOUT.format(groups="\n".join(names), words=words, keys="\n".join(keys))
    return text + FROM_THE_RUN.format(names=", ".join(of_the_run)) if of_the_run else text


def key_lines(composed: DictConfig, left_out: Sequence[str] = ()) -> list[str]:
    """An entry a key: KEY=VALUE as it can be given, the method's own if it has one, and what it
    means; but for the groups and keys that are left out."""
    schema = registered(composed.modality).schema
    plain: Any = OmegaConf.to_container(composed, resolve=False)
    plain["pretrain"] |= plain["method_pretrain"].get(plain["method"], {})
    return [
        _entry(f"{name}={shown(_at(plain, name))}", key.meaning)
        for name, key in keys_of(schema).items()
        if name.partition(".")[0] not in left_out
    ]


def shown(value: Any) -> str:
    """A value as the command line takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        inside = ",".join(f"{name}:{shown(part)}" for name, part in value.items())
        return f"{{{inside}}}"
    return f"[{','.join(map(shown, value))}]" if isinstance(value, list) else str(value)


def _at(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = config[part]
    return config


def _entry(head: str, text: str) -> str:
    """Two columns; a head too long for its own has a line of its own."""
    indent = " " * COLUMN
    body = textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
    if body and len(head) + 4 <= COLUMN:
        body[0] = f"  {head}".ljust(COLUMN) + body[0].strip()
        return "\n".join(body)
    return "\n".join([f"  {head}", *body])
