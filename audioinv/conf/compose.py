"""KEY=VALUE overrides -> one checked configuration."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.conf.keys import Key, keys_of
from audioinv.conf.schema import Config
from audioinv.data.modality import Modality, registered

GROUPS = ("frontend", "bank", "backbone", "conditioning", "method", "experiment")
DEFAULT_MODALITY = "audio"
HINT = "Run the command with --help to see every key."
REMEDIES = {
    "is not a ListConfig": "Write a list in brackets, as KEY=[a,b]",
    "with ListConfig": "Write a dictionary in braces, as KEY={a:b}, and a list as KEY=[a,b]",
    "DictConfig": "Write a list in brackets, as KEY=[a,b]",
    "Dict[": "Write a dictionary in braces, as KEY={a:b,c:[d,e]}",
    "valid bool": "Give true or false",
    "to string": "Quote a text that has brackets or braces, as \"KEY='[a]'\"",
    "'${": r"Write \${ where a text has ${ in it",
    "Interpolation": r"Write \${ where a text has ${ in it",
}
"""What OmegaConf says -> what to do."""


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
        return cast(Config, OmegaConf.to_object(composed))


def compose_keys(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """As `compose_config`, where a key that must be given may still be missing ("???").

    Raises:
        UserError: as `compose_config`.
    """
    words = _parsed(overrides)
    _refuse_sweeps(words)
    modality = registered(_modality(words))
    ConfigStore.instance().store(name="schema", node=modality.schema)
    keys = keys_of(modality.schema)
    opened = [key.name for key in keys.values() if key.is_open]
    _refuse_unknown(words, list(keys))
    words = [_as_written(word, keys) for word in words]
    roots = [None if word.is_delete() else _within(word.key_or_group, opened) for word in words]
    others = [word for word, root in zip(words, roots, strict=True) if root is None]
    plain, corner = _without_corner(others)
    with _groups(modality, config_dir) as path:
        composed = compose(modality.defaults, [path, *plain])
    if corner is not None:
        OmegaConf.update(composed, "pretrain.corners", corner)
        OmegaConf.update(composed, "method", f"{composed.method}:{corner}")
    for word, root in zip(words, roots, strict=True):
        if root is not None:
            with _explained(f"{word.input_line}: "):
                _add(composed, word, root)
    return composed


def choices(overrides: Sequence[str], config_dir: str | None = None) -> dict[str, list[str]]:
    """Group -> what it offers in the modality that the overrides choose."""
    with _groups(registered(_modality(_parsed(overrides))), config_dir) as path:
        return {group: _offered(group, path) for group in GROUPS}


def given(overrides: Sequence[str]) -> list[str]:
    """The keys that words set, those inside a dictionary by their own names.

    Raises:
        UserError: an override that Hydra's grammar does not know.
    """
    words = [word for word in _parsed(overrides) if not word.is_delete()]
    return [name for word in words for name in _names(word.key_or_group, word.value())]


def _names(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [key]
    return [name for part, inner in value.items() for name in _names(f"{key}.{part}", inner)]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    return [_word(text) for text in overrides]


def _word(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(_misread(text)) from error


def _as_written(word: Override, keys: Mapping[str, Key]) -> Override:
    """The word, where a number is meant as a text: the folder of run=1e3 is 1e3, not 1000.0."""
    key = keys.get(word.key_or_group)
    if key is None or not key.is_text or not isinstance(word.value(), int | float):
        return word
    name, _, value = str(word.input_line).partition("=")
    return _word(f"{name}='{value}'")


def _misread(text: str) -> str:
    """What to write instead of a word that Hydra's grammar does not know."""
    if not re.match(r"[+~]*[\w.@/]+=", text):
        return f"{text} is no KEY=VALUE. {HINT}"
    return (
        f"{text} cannot be read. Quote a text with é, = , ( and the like twice, for the shell and "
        f"for Hydra: {quoted(text)}. A list is written KEY=[a,b], a dictionary "
        f"KEY={{a:b,c:[d,e]}}. {HINT}"
    )


def quoted(word: str) -> str:
    """KEY=VALUE as a shell takes it, its value one text whatever signs are in it."""
    key, _, value = word.partition("=")
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (m[2] and rf"\{m[2]}"), value)
    for_hydra = f"{key}='{escaped}'"
    return shlex.quote(for_hydra) if re.search(r'["$`\\!]', for_hydra) else f'"{for_hydra}"'


def _refuse_sweeps(words: Sequence[Override]) -> None:
    for word in (word for word in words if word.is_sweep_override()):
        line = str(word.input_line)
        raise UserError(
            f"{line} is a sweep: give --multirun as well; --help says how. A list is written "
            f"KEY=[a,b], and a text with commas {quoted(line)}. {HINT}"
        )


def _modality(words: Sequence[Override]) -> str:
    """That which the last word about it gives."""
    chosen = [str(word.value()) for word in words if word.key_or_group == "modality"]
    return chosen[-1] if chosen else DEFAULT_MODALITY


def _without_corner(words: Sequence[Override]) -> tuple[list[str], str | None]:
    """What Hydra can compose, and the corner of method=NAME:CORNER: any corner is a method.

    Raises:
        UserError: pretrain.corners is given, too.
    """
    chosen = [word for word in words if word.key_or_group == "method" and not word.is_delete()]
    name, colon, corner = str(chosen[-1].value()).partition(":") if chosen else ("", "", "")
    plain = [str(word.input_line) for word in words if not colon or word not in chosen]
    if not colon:
        return plain, None
    both = [word.input_line for word in words if word.key_or_group == "pretrain.corners"]
    if both:
        raise UserError(f"{both[0]} and {chosen[-1].input_line} both give a corner; give one")
    return [*plain, f"method={name}"], corner


@contextmanager
def _groups(modality: Modality, config_dir: str | None) -> Iterator[str]:
    """Hydra knows the modality's groups meanwhile; yields its word for where more of them lie.

    Raises:
        UserError: `config_dir` is no folder, or what Hydra says.
    """
    folders = ["pkg://audioinv.conf"]
    if config_dir:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config_dir {config_dir} is not a folder")
        quoted = str(folder).replace("'", r"\'")
        folders.insert(0, f"file://{quoted}")
    with _explained(), initialize_config_module(modality.conf, version_base="1.3"):
        yield "hydra.searchpath=[{}]".format(",".join(f"'{folder}'" for folder in folders))


def _offered(group: str, path: str) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    return list(loader.get_group_options(group, overrides=[path]))


def _refuse_unknown(words: Sequence[Override], keys: Sequence[str]) -> None:
    """Refuses a key that does not exist; what is inside a known one is for OmegaConf to judge."""
    sections = {key.rpartition(".")[0] for key in keys}
    known = {*keys, *sections, *GROUPS}
    for name in (word.key_or_group for word in words):
        if name not in known and _within(name, keys) is None:
            raise UserError(f"there is no key {name}{_meant_key(name, sorted(known))}. {HINT}")


def _meant_key(name: str, known: Sequence[str]) -> str:
    """As `meant`; or the keys of that name in other sections."""
    elsewhere = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
    there = f" (did you mean {' or '.join(elsewhere)}?)" if elsewhere else ""
    return meant(name, known) or there


def _within(key: str, opened: Sequence[str]) -> str | None:
    """The one of `opened` that a key is, or is something in."""
    return next((name for name in opened if f"{key}.".startswith(f"{name}.")), None)


def _add(composed: DictConfig, word: Override, root: str) -> None:
    """Puts a word into the dictionary `root`: names that are new need no plus, as others do.

    Hydra itself cannot put a name into a dictionary that was null.
    """
    if OmegaConf.select(composed, root) is None:
        OmegaConf.update(composed, root, {}, merge=False)
    _update(composed, word.key_or_group, word.value())


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
    except MissingConfigException as error:
        raise UserError(where + _missing(error)) from error
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(where + _explain(error)) from error
    except (AssertionError, AttributeError, TypeError) as error:  # what they do not foresee
        raise UserError(where + _explain(error)) from error


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Hydra's sweeps, "seed=0,1,2" or "pretrain.lr=choice(1e-3,3e-3)", as one list a job.

    Raises:
        UserError: an override that Hydra's grammar does not know.
    """
    return [list(job) for job in itertools.product(*map(_values, _parsed(overrides)))]


def _values(word: Override) -> list[str]:
    if not word.is_sweep_override():
        return [str(word.input_line)]
    return [f"{word.get_key_element()}={value}" for value in word.sweep_string_iterator()]


def _missing(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = list(error.options or ())
    offered = f"give one of {', '.join(options)}"
    if group == "backbone":
        offered += f", or any model of timm by backbone.name={name}"
    return f"there is no {group}={name}{meant(name, options)}; {offered}. {HINT}"


def _explain(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line for line in f"{error}\n{cause}".splitlines() if line.strip()]
    text = "; ".join(dict.fromkeys(line.strip() for line in lines[:6])).rstrip(".")
    remedies = [remedy for sign, remedy in REMEDIES.items() if sign in text]
    return ". ".join([text, *remedies[:1], HINT])
