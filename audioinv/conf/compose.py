"""KEY=VALUE overrides -> one checked configuration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.base.errors import UserError
from audioinv.conf.keys import keys_of
from audioinv.conf.schema import Config
from audioinv.data.modality import registered

GROUPS = ("frontend", "bank", "backbone", "conditioning", "method", "experiment")


def compose_config(overrides: Sequence[str], config_dir: str | None = None) -> Config:
    """The configuration that the groups, the recipe's `config_dir` and the overrides give.

    Args:
        overrides: for example ["experiment=cpu_quick", "pretrain.steps=100"].
        config_dir: a folder with further groups, such as a recipe's conf/.

    Raises:
        UserError: a key that does not exist, a value of the wrong type, or an unknown group choice.
    """
    composed = compose_keys(overrides, config_dir)
    with _explained():
        config = cast(Config, OmegaConf.to_object(composed))
    for name in (word.removeprefix("method=") for word in overrides if word.startswith("method=")):
        config.method = name if ":" in name else config.method
    return config


def compose_keys(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """As `compose_config`, where a key that must be given may still be missing ("???").

    Raises:
        UserError: as `compose_config`.
    """
    modality = registered(_last(overrides, "modality", "audio"))
    ConfigStore.instance().store(name="schema", node=modality.schema)
    path = _search_path(config_dir)
    keys = keys_of(modality.schema)
    opened = [key.name for key in keys.values() if key.is_open]
    added = [word for word in overrides if _within(word, opened) is not None]
    others = [word for word in overrides if word not in added]
    for name in (word.lstrip("+").partition("=")[0] for word in others if word.startswith("+")):
        if name not in (*keys, *GROUPS):
            raise UserError(f"there is no key {name}. Run the command with --help to see every key")
    with _explained(), initialize_config_module(modality.conf, version_base="1.3"):
        composed = compose(modality.defaults, [path, *_at_corners(others)])
    for word in added:
        with _explained(f"{word}: "):
            _add(composed, word, str(_within(word, opened)))
    return composed


def choices(overrides: Sequence[str], config_dir: str | None = None) -> dict[str, list[str]]:
    """Group -> what it offers in the modality that the overrides choose."""
    modality = registered(_last(overrides, "modality", "audio"))
    path = _search_path(config_dir)
    with initialize_config_module(modality.conf, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return {g: loader.get_group_options(g, overrides=[path]) for g in GROUPS}


def given(overrides: Sequence[str]) -> list[str]:
    """The keys that words set, those inside a dictionary by their own names.

    Raises:
        UserError: an override that Hydra's grammar does not know.
    """
    words = [word for word in overrides if not word.startswith("~")]
    with _explained():
        parsed = OverridesParser.create().parse_overrides(words)
    return [name for word in parsed for name in _names(word.key_or_group, word.value())]


def _names(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [key]
    return [name for part, inner in value.items() for name in _names(f"{key}.{part}", inner)]


def _search_path(config_dir: str | None) -> str:
    """Hydra's word for where groups lie, beside the modality's own.

    Raises:
        UserError: `config_dir` is no folder.
    """
    folders = ["pkg://audioinv.conf"]
    if config_dir:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config_dir {config_dir} is not a folder")
        quoted = str(folder).replace("'", r"\'")
        folders.insert(0, f"file://{quoted}")
    return "hydra.searchpath=[{}]".format(",".join(f"'{folder}'" for folder in folders))


def _within(word: str, opened: Sequence[str]) -> str | None:
    """The dictionary that a word is about, or names something in."""
    key = word.lstrip("+").partition("=")[0]
    return next((name for name in opened if f"{key}.".startswith(f"{name}.")), None)


def _add(composed: DictConfig, word: str, root: str) -> None:
    """Puts a word into the dictionary `root`: names that are new need no plus, as others do.

    Hydra itself cannot put a name into a dictionary that was null.
    """
    (override,) = OverridesParser.create().parse_overrides([word.lstrip("+")])
    if override.is_sweep_override():
        raise UserError(f"{word} is a sweep: give --multirun as well; --help says how")
    if OmegaConf.select(composed, root) is None:
        OmegaConf.update(composed, root, {}, merge=False)
    _update(composed, override.key_or_group, override.value())


def _update(composed: DictConfig, key: str, value: Any) -> None:
    """Puts what a dictionary holds beside what is there already; whole numbers may be floats."""
    if not isinstance(value, dict):
        OmegaConf.update(composed, key, value, force_add=True)
        return
    for name, part in value.items():
        _update(composed, f"{key}.{name}", part)


@contextmanager
def _explained(where: str = "") -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise into a UserError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(where + _explain(error)) from error
    except (AssertionError, AttributeError, TypeError) as error:  # what they do not foresee
        raise UserError(where + _explain(error)) from error


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
