"""Keys that nothing reads under the other settings: given on the command line, they are refused.

Only words of the command line count. What a group or an experiment brings along is no mistake: it
serves every method of a table.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.conf.compose import choices, compose_config, given
from audioinv.conf.help import shown
from audioinv.conf.keys import keys_of
from audioinv.conf.schema import Config

log = logging.getLogger(__name__)
Values = Mapping[str, Any]
WITH_SETTINGS = (
    *("knn", "fewshot", "fewshot_published", "factors", "finetune", "averaging", "robustness"),
)
"""Protocols that have settings, by their names."""


@dataclass(frozen=True)
class Condition:
    """Keys, as a regular expression of their dotted names, are read only where `holds` is true.

    `told` is for people: what reads them.
    """

    keys: str
    told: str
    holds: Callable[[Values], bool]


def _chosen(keys: str, name: str, *values: str) -> Condition:
    """`keys` are read where the key `name` has one of the `values`."""
    told = " or ".join(f"{name}={value}" for value in values)
    return Condition(keys, told, lambda config: config[name] in values)


def _not(keys: str, name: str, *values: Any) -> Condition:
    """`keys` are read where the key `name` has none of the `values`."""
    told = f"a {name} other than {' or '.join(map(shown, values))}"
    return Condition(keys, told, lambda config: config[name] not in values)


def _of_conditionings(keys: str, *names: str) -> Condition:
    """As `_chosen`; what an unknown conditioning takes is for its builder to say."""
    others = {"hyper", "norm", "prompt", "none"} - set(names)
    told = _chosen(keys, "conditioning.name", *names).told
    return Condition(keys, told, lambda config: config["conditioning.name"] not in others)


def _has_hidden(config: Values) -> bool:
    """Whether a projector, or the second one of MoCo-v3, has hidden layers."""
    several = config["pretrain.projector_layers"] > 1
    v3 = config["pretrain.objective"] == "moco_v3"
    return config["pretrain.projector"] != "none" and (several or v3)


CONDITIONS = (
    _of_conditionings(r"conditioning\.(bases|embedding|rank|gain|stem)", "hyper"),
    _of_conditionings(r"conditioning\.signed", "hyper", "prompt"),
    _of_conditionings(r"conditioning\.scale", "hyper", "norm", "prompt"),
    Condition(
        r"conditioning\.scale",
        "a conditioning.start other than paper, which has its own",
        lambda c: c["conditioning.name"] == "norm" or c["conditioning.start"] != "paper",
    ),
    _of_conditionings(r"conditioning\.start", "hyper", "prompt"),
    _of_conditionings(r"conditioning\.hidden", "norm"),
    _of_conditionings(r"conditioning\.mlps", "prompt"),
    _not(r"conditioning\.gain", "conditioning.rank", 0),
    _not(r"backbone\.(width|stem|pool|dim)", "backbone.name", "statistics", "concat", "hear"),
    _not(r"backbone\.options\..*", "backbone.name", "statistics"),
    _not(r"backbone\.options\.(?!parts\b).*", "backbone.name", "concat"),
    _not(r"backbone\.options\.(?!(module|weights)\b).*", "backbone.name", "hear"),
    _not(r"frontend\.(n_fft|hop|n_bins|min_hz|max_hz|floor_db)", "frontend.name", "waveform"),
    _not(r"frontend\.short_clips", "frontend.name", "sonograph"),
    Condition("on_error", "shards= given", lambda config: config["shards"] is not None),
    Condition(r"(monitor|log)\..*", "trained=true", lambda config: config["trained"]),
    _not(r"monitor\.(clips|k)", "monitor.every", 0),
    _chosen(r"log\.project", "log.to", "wandb", "mlflow", "trackio"),
    Condition(
        r"pretrain\.(?!corners\b).*",  # the corners are read by adapt and evaluate, too
        "trained=true",
        lambda config: config["trained"],
    ),
    _chosen(r"pretrain\.queue_size", "pretrain.objective", "moco_v2"),
    _chosen(r"pretrain\.momentum", "pretrain.objective", "moco_v2", "moco_v3"),
    _not(r"pretrain\.projector_(layers|norm|batch_norm)", "pretrain.projector", "none"),
    Condition(
        r"pretrain\.projector_dim",
        "a pretrain.projector other than none or pretrain.predict=embeddings",
        lambda c: c["pretrain.projector"] != "none" or c["pretrain.predict"] == "embeddings",
    ),
    Condition(
        r"pretrain\.projector_hidden",
        "a pretrain.projector with pretrain.projector_layers above 1, "
        "or pretrain.predict=differences or embeddings",
        lambda c: _has_hidden(c) or c["pretrain.predict"] in ("differences", "embeddings"),
    ),
    Condition(
        r"pretrain\.projector_batch_norm",
        "a pretrain.projector with pretrain.projector_layers above 1",
        _has_hidden,
    ),
    _chosen(r"pretrain\.corner_weights", "pretrain.corners", "space", "leave_one_out"),
    _chosen(r"pretrain\.twins", "bank.inactive", "shared"),
    _not(r"pretrain\.predict_weight", "pretrain.predict", "none"),
    _chosen(r"pretrain\.predict_temperature", "pretrain.predict", "embeddings"),
    _chosen(r"frontend\.mel_(scale|norm)", "frontend.name", "log_mel", "log_mel_stft"),
    _not(r"pretrain\.penalty_\w+", "pretrain.penalty", 0),
    _chosen(r"pretrain\.skip_limit", "pretrain.not_finite", "skip"),
)


def refuse_unread(config: Config, overrides: Sequence[str], config_dir: str | None = None) -> None:
    """Refuses what the overrides set to no effect on pre-training; a default may be repeated.

    Where it is the method that makes a key unread, the log says so and no more: the methods of a
    table are given the same words.

    Raises:
        UserError: names the key, and what reads it.
    """
    values = _values(config)
    words = given(overrides)
    _check_methods(words, overrides, config_dir)
    for key in (key for key in words if values.get(key) != _default(config, key)):
        for condition in CONDITIONS:
            if not re.fullmatch(condition.keys, key) or condition.holds(values):
                continue
            told = f"{key}={shown(values[key])} is read only with {condition.told}"
            if not _is_the_method_s(condition, overrides, config_dir):
                raise UserError(f"{told}; leave it out, or give that")
            log.warning("%s, which method=%s has not", told, config.method)


def _check_methods(words: Sequence[str], overrides: Sequence[str], config_dir: str | None) -> None:
    """Refuses settings of a method that there is not: they would be read by none."""
    for name in [word.split(".")[1] for word in words if word.startswith("method_pretrain.")]:
        known = choices(overrides, config_dir)["method"]
        if name.partition(":")[0] not in known:
            raise unknown("the method of method_pretrain", name, known)


def refuse_unread_by(protocol: str, config: Config, overrides: Sequence[str]) -> None:
    """Refuses what a protocol has fixed, and says which words are for other protocols.

    These are not refused: a recipe gives the same words whatever it judges by.

    Raises:
        UserError: layers are asked for that the protocol does not take.
    """
    values, words = _values(config), given(overrides)
    asked = config.features.layers if "features.layers" in words else "last"
    if protocol == "fewshot_published" and asked != "last":
        raise UserError(
            f"features.layers={asked} is read by other protocols: fewshot_published takes last, as "
            "published; leave it out, or give protocol=fewshot"
        )
    for key in words:
        reader = key.partition(".")[0]
        if reader in WITH_SETTINGS and reader != protocol:
            log.warning(
                "%s=%s is read only by protocol=%s, and this is protocol=%s",
                key, shown(values.get(key)), reader, protocol,
            )  # fmt: skip


def _is_the_method_s(
    condition: Condition, overrides: Sequence[str], config_dir: str | None
) -> bool:
    """Whether the condition holds without the words that choose a method."""
    others = [word for word in overrides if not word.startswith("method=")]
    return condition.holds(_values(compose_config(others, config_dir)))


def _default(config: Config, key: str) -> Any:
    known = keys_of(type(config))
    return known[key].default if key in known else None


def _values(config: Config) -> Values:
    """Dotted name -> value, the method's own in place of what `pretrain` has for all."""
    plain = asdict(config)
    plain["pretrain"] |= config.method_pretrain.get(config.method, {})
    return dict(_flat(plain, ""))


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    own = [(name, value)]
    inner = value.items() if isinstance(value, dict) else ()
    return own + [pair for key, part in inner for pair in _flat(part, f"{name}.{key}".strip("."))]
