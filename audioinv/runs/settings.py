"""Which settings pre-training reads, and what may differ when a run is asked for again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.conf.compose import compose_config, given
from audioinv.conf.help import shown
from audioinv.conf.schema import OF_THE_RUN, Config
from audioinv.runs.build import saved_config, statistics_of
from audioinv.training.config import HARMLESS as OF_PRETRAINING
from audioinv.training.config import PretrainConfig
from audioinv.training.optimiser import learning_rate
from audioinv.training.state import begun, checkpoints, steps_of

log = logging.getLogger(__name__)
READ = (
    *("modality", "shards", "on_error", "frontend", "bank", "backbone", "conditioning", "pretrain"),
    *("method", "method_pretrain", "init_weights", "trained", "seed", "precision", "deterministic"),
)
"""Keys, and groups of them, that decide what pre-training computes; a pack may have moved.

The file of `statistics` too: its values count (`refuse_other_statistics`)."""
GROWING = (
    *("steps", "lr", "lr_per_256", "schedule", "warmup_steps", "weight_decay", "clip_gradient"),
    *("checkpoint_every", "log_every", "log_gradient_norm", "not_finite", "skip_limit"),
    "calibration_clips",
)
"""Keys of `pretrain` that may change where a finished run trains on."""
HARMLESS = tuple(f"pretrain.{name}" for name in OF_PRETRAINING)
"""Keys among them that do not."""


def own_settings(config: Config) -> PretrainConfig:
    """`pretrain` with the keys in which the method differs from the others.

    Raises:
        UserError: a key that `pretrain` does not have, or a value of the wrong type.
    """
    own = config.method_pretrain.get(config.method, {})
    try:
        merged = OmegaConf.merge(OmegaConf.structured(config.pretrain), own)
        return cast(PretrainConfig, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise UserError(f"method_pretrain.{config.method}: {error}") from error


def refuse_other_settings(run: Path, new: str, config: Config) -> bool:
    """Whether `run` was begun with the settings `new` (YAML): it has a checkpoint or an encoder.

    With `allow_changes` other settings are told in the log instead of refused, and count as new. A
    key that did not exist when the run was begun had its default.

    Raises:
        UserError: it was begun with other settings, or is finished and cannot train on with them.
    """
    path = run / "config.yaml"
    if not (begun(run) and path.exists()):
        return False
    old = OmegaConf.to_yaml(OmegaConf.structured(saved_config(run)))
    found = [each for each in _differences(old, new, config.method) if reads(each[0])]
    differing = [f"{key}: {before} -> {after}" for key, before, after in found]
    if not differing:
        return True
    if not config.allow_changes:
        raise UserError(
            f"{run} was made with other settings ({'; '.join(differing)}); choose another run "
            "folder, remove this one, or go on with the new settings by allow_changes=true"
        )
    _check_further(run, [key for key, _, _ in found], config.pretrain)
    log.warning("%s goes on with other settings: %s", run, "; ".join(differing))
    return False


def _check_further(run: Path, keys: Sequence[str], pretrain: PretrainConfig) -> None:
    """A finished run can do one thing with other settings: train on.

    Raises:
        UserError: it cannot: to no more steps, without a checkpoint, or with other settings that
            make another network or other data.
    """
    done = steps_of(run)
    if done is None:
        return
    fixed = [key for key in keys if not key.endswith(tuple(f"pretrain.{name}" for name in GROWING))]
    if fixed or pretrain.steps <= done or not checkpoints(run / "checkpoints"):
        not_these = f", not {', '.join(fixed)}" if fixed else ""
        raise UserError(
            f"{run} is finished, at {done} steps, and allow_changes=true can only train it on from "
            f"its last checkpoint, if there is one: give pretrain.steps above {done}; of pretrain, "
            f"{', '.join(GROWING[1:])} may change with it{not_these}. Or choose another run folder"
        )
    log.warning(
        "%s has %d steps and trains on to %d from its last checkpoint: the schedule %s counts them "
        "all, and step %d begins at %.0f%% of the peak of pretrain.lr",
        run, done, pretrain.steps, pretrain.schedule, done + 1,
        100 * learning_rate(pretrain, int(done)) / pretrain.lr,
    )  # fmt: skip


def keep_statistics(run: Path, values: dict[str, Any]) -> None:
    """Writes statistics.json, if `run` was not begun yet."""
    if not begun(run):
        write_json(run / "statistics.json", values)


def refuse_other_statistics(run: Path, config: Config) -> None:
    """Compares the values of `statistics=` with those that `run` was begun with.

    A run that goes on has those of its checkpoint, and need not be given them again. One begun by
    earlier code kept no values, and goes on.

    Raises:
        UserError: they differ, and `allow_changes` is not given.
    """
    path = run / "statistics.json"
    if not (begun(run) and path.exists()) or config.statistics is None:
        return
    before, after = read_json(path), statistics_of(config)
    if before == after:
        return
    if not config.allow_changes:
        raise UserError(
            f"{run} was begun with statistics {before or None}, and statistics={config.statistics} "
            f"holds {after or None}; give those, choose another run folder, remove this one, or "
            "keep those it was begun with by allow_changes=true"
        )
    log.warning("%s keeps its statistics %s, not those of %s", run, before, config.statistics)


def refuse_other_words(
    config: Config, overrides: Sequence[str], config_dir: str | None = None
) -> None:
    """Refuses words about pre-training that say other than what the run was pre-trained with.

    Those that say the same may be repeated, and of a group chosen all keys count. What methods and
    experiments bring along does not. With `allow_changes` the log tells of differences.

    Raises:
        UserError: names the key, the value given, and the run's.
    """
    words = [word for word in given(overrides) if word.partition(".")[0] in OF_THE_RUN]
    if not (words and config.run and (Path(config.run) / "config.yaml").exists()):
        return  # or the command says what is missing
    saved = saved_config(Path(config.run))
    both = saved, _with_method(saved.method, config, overrides, config_dir)
    old, new = (OmegaConf.to_yaml(OmegaConf.structured(one)) for one in both)
    differing = [
        f"{key}={shown(after)} is given and {config.run} was pre-trained with {shown(before)}"
        for key, before, after in _differences(old, new, saved.method)
        if reads(key) and any(f"{key}.".startswith(f"{word}.") for word in words)
    ]
    if differing and not config.allow_changes:
        raise UserError(f"{'; '.join(differing)}; leave it out, or pre-train another run")
    for told in differing:
        log.warning("%s, which counts", told)


def _with_method(
    method: str, config: Config, overrides: Sequence[str], config_dir: str | None
) -> Config:
    """The settings as the run's own method has them, unless the words name one."""
    if "method" in given(overrides):
        return config
    try:
        return compose_config([*overrides, f"method={method}"], config_dir)
    except UserError:  # it is of a folder of groups that is not given now
        return config


def refuse_other_shards(run: Path, key: str, config: Config) -> None:
    """Keeps in shards.json what the shards held when `run` was begun: other clips, other steps.

    Raises:
        UserError: they hold something else now.
    """
    path = run / "shards.json"
    if path.exists() and read_json(path) != {"key": key} and any(run.glob("checkpoints/step_*.pt")):
        if not config.allow_changes:
            raise UserError(
                f"{config.shards} hold other files than when {run} was begun; put those back, "
                "choose another run folder, or go on with these by allow_changes=true"
            )
        log.warning("%s goes on with other files in %s", run, config.shards)
    write_json(path, {"key": key})


def _differences(old: str, new: str, method: str) -> list[tuple[str, object, object]]:
    """Key, value before and value after, of the settings (YAML) that are not the same."""
    before, after = (dict(_flat(_of_method(text, method))) for text in (old, new))
    names = sorted(before.keys() | after.keys())
    return [
        (n, before.get(n, "nothing"), after.get(n, "nothing"))
        for n in names
        if str(before.get(n, "nothing")) != str(after.get(n, "nothing"))
    ]


def _of_method(settings: str, method: str) -> object:
    """The settings (YAML) without what they say of other methods."""
    read = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(settings)))
    own = read.get("method_pretrain", {}).get(method, {})
    return {**read, "method_pretrain": {method: own}}


def _flat(value: object, prefix: str = "") -> list[tuple[str, object]]:
    if not isinstance(value, dict) or not value:
        return [(prefix, value)]
    return [
        pair for key, part in value.items() for pair in _flat(part, f"{prefix}.{key}".strip("."))
    ]


def reads(key: str) -> bool:
    """Whether a key touches what pre-training computes; only then must a run keep it."""
    return key not in HARMLESS and key.partition(".")[0] in READ
