"""What adapt and evaluate share: a run's frozen encoder on a pack, and what its tasks learnt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import read_json
from audioinv.conf.schema import Config
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.runs.build import is_amortised, load_run, modes_of, results_of, run_of, saved_config
from audioinv.runs.folder import encoder_key, task_folder
from audioinv.tasks import modes
from audioinv.tasks.adapted import load_adapted
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.given import device_named
from audioinv.tasks.learn import Learnt
from audioinv.tasks.protocols import WITHOUT_TASKS, Context
from audioinv.tasks.settings.features import FeatureConfig

log = logging.getLogger(__name__)
FEATURES_BY = (
    "encoder", "layers", "hop_s", "drop_last", "pool", "views", "strength", "score_on",
)  # fmt: skip
ADAPTED_BY = (*FEATURES_BY, "labels_per_class", "readout", "l2", "seed")
"""With any mode; `modes.reads` has what each reads besides."""
_WINDOWS = (
    *("features.hop_s", "features.drop_last", "features.pool"),
    *("features.views", "features.strength"),
)
BESIDE = {
    "finetune": ("seed",),
    "averaging": ("adapt.labels_per_class", "adapt.readout", "adapt.l2", "seed"),
    "factors": ("features.layers", "seed"),
    "fewshot": ("features.layers", *_WINDOWS, "seed"),
    "fewshot_published": (*_WINDOWS, "seed"),
}
"""What a protocol reads of the run's settings, beside its own and what a task has learnt."""
OF_EPISODES = ("fewshot", "fewshot_published")
ROWS_BY = ("modes", "readouts")
"""Keys of a protocol that say which rows there are, and each row says of itself."""


def features_of(config: Config) -> TaskFeatures:
    """The features of the run's encoder on the pack."""
    encoder, bank, pack = load_on_device(config)
    tell_of_windows(encoder, pack, config.features)
    only = only_corner(config, bank.space)
    return TaskFeatures(encoder, pack, config.features, bank, only, config.precision)


def load_on_device(config: Config) -> tuple[AmortisedEncoder, AugmentationBank, Pack]:
    """`load_run`, with the encoder on the device that `accelerator` names.

    Raises:
        UserError: there is no such device.
    """
    encoder, bank, pack = load_run(config)
    return encoder.to(device_named(config.accelerator)), bank, pack


def tell_of_windows(encoder: AmortisedEncoder, pack: Pack, made_of: FeatureConfig) -> None:
    """Says how clips longer than the encoder's window are used, where there are any."""
    behind = modality_of(pack.corpus.modality).behind(encoder.frontend, pack)
    if not behind.any():
        return
    share = 100 * behind.sum() / pack.frame["n_samples"].sum()
    used = {
        None: "all of them is used, in windows side by side",
        0.0: f"what lies behind the first, {share:.0f}% of all, is not used",
    }.get(made_of.hop_s, f"windows begin every {made_of.hop_s} s")
    log.info(
        "%d of %d clips are longer than the encoder's window: %s",
        (behind > 0).sum(), len(behind), used,
    )  # fmt: skip


def only_corner(config: Config, space: DescriptorSpace) -> Tensor | None:
    """The corner (K,) of an encoder that was trained at one; all on if it ignores corners."""
    corners = saved_config(run_of(config)).pretrain.corners
    if corners == "space":
        return None
    return space.parse("all" if corners == "leave_one_out" else corners)


def context_of(config: Config) -> Context:
    """What a protocol works on.

    Raises:
        UserError: unknown tasks or modes, or no such run or pack.
    """
    features = features_of(config)
    needed = config.protocol not in WITHOUT_TASKS
    return Context(
        features,
        find_tasks(features.pack, config.tasks) if needed else [],
        modes_of(config),
        partial(learnt_before, config),
        config.adapt,
        config.seed,
        config.score_on,
        named=bool(config.tasks),
        amortised=is_amortised(config),
    )


def learnt_before(config: Config, task: Task, mode: str) -> Learnt:
    """What `audioinv adapt` left of a task.

    Raises:
        UserError: nothing yet, or of other features.
    """
    folder = task_folder(results_of(config), task.name, mode)
    if not already_adapted(folder, config, FEATURES_BY):
        raise UserError(
            f"{folder} is not adapted yet; run audioinv adapt run={config.run} "
            f"'adapt.modes=[{mode}]' first{_instead(results_of(config), task)}"
        )
    return load_adapted(folder)


def _instead(results: Path, task: Task) -> str:
    """Which modes a task was adapted by, to judge these."""
    paths = sorted(task_folder(results, task.name, "any").parent.glob("*/adapted.json"))
    known = [str(read_json(path).get("mode", path.parent.name)) for path in paths]
    return f", or judge what is there by 'adapt.modes=[{','.join(known)}]'" if known else ""


def already_adapted(folder: Path, config: Config, keys: Iterable[str]) -> bool:
    """Whether `folder` holds an adaptation; one by earlier code may lack some of `keys`.

    Raises:
        UserError: it does, of another encoder or with other values of `keys`.
    """
    if not (folder / "adapted.json").exists():
        return False
    wanted = {**vars(config.features), **vars(config.adapt), "seed": config.seed}
    wanted |= {"score_on": config.score_on, "encoder": encoder_key(run_of(config))}
    known = read_json(folder / "adapted.json")
    if known.get("hop_s"):  # by earlier code: whole windows only
        known = {"drop_last": True, **known}
    told = differing(known, {key: wanted[key] for key in keys})
    if told:
        raise UserError(
            f"{folder} was adapted with other settings ({told}); "
            "give the same, or remove the folder"
        )
    return True


def settings_of_row(config: Config, mode: str) -> dict[str, Any]:
    """Dotted key -> value of all that decides a row of the protocol beside what was adapted."""
    name = config.protocol
    own = vars(getattr(config, name)) if hasattr(config, name) else ()
    keys = [f"{name}.{key}" for key in own if key not in ROWS_BY] + list(BESIDE.get(name, ()))
    if name in OF_EPISODES:
        keys += [f"adapt.{key}" for key in modes.reads(mode, config.features.layers)]
    return values_of(config, keys)


def values_of(config: Config, keys: Iterable[str]) -> dict[str, Any]:
    """Dotted key -> value."""
    return {key: attrgetter(key)(config) for key in keys}


def made_before(path: Path, config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON at `path` says, found by the same encoder with the same settings.

    Files by earlier code lack some or all of the settings, and are taken as they are.

    Raises:
        UserError: it is of another encoder, was made with other settings, or is no such file.
    """
    done = read_json(path)
    if not isinstance(done, dict) or not isinstance(done.get("settings", {}), dict):
        raise UserError(f"{path} holds nothing of that kind; remove it")
    key = encoder_key(run_of(config))
    if done.get("encoder", key) != key:
        raise UserError(f"{path} has the result of another encoder; remove it, or give out=ANOTHER")
    if told := differing(done.get("settings", {}), settings):
        raise UserError(
            f"{path} was made with other settings ({told}); give the same, remove it, or give "
            "out=ANOTHER"
        )
    return done


def differing(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In words, the values that are `known` and not as `wanted`; "" if there are none."""
    return "; ".join(
        f"{key} {_short(known[key])} -> {_short(value)}"
        for key, value in wanted.items()
        if key in known and known[key] != value
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
