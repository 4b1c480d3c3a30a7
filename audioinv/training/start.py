"""Pre-training in one call: a folder of its own, resumed if it was begun, an encoder at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, remove_abandoned, write_json
from audioinv.base.lock import locked
from audioinv.base.near import meant_by
from audioinv.base.tensors import device_of
from audioinv.base.version import __version__
from audioinv.core.bank import AugmentationBank, ClipSource
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack
from audioinv.training import loop
from audioinv.training.calibrate import calibrate
from audioinv.training.clips import fit_frontend, training_bank, training_clips
from audioinv.training.config import (
    HARMLESS,
    LogConfig,
    MonitorConfig,
    PretrainConfig,
    check_monitor,
)
from audioinv.training.monitor import Monitor
from audioinv.training.objective import Make, may_leave_out
from audioinv.training.probe import Probe, probe_of
from audioinv.training.processes import is_first_process, make_fabric, process_group
from audioinv.training.progress import training_progress
from audioinv.training.signals import stop_signals
from audioinv.training.state import begun, finished
from audioinv.training.trackers import check_tracker

Begin = Callable[[Path], None]
Settings = TypeVar("Settings", PretrainConfig, MonitorConfig, LogConfig)


def pretrain(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    clips: Pack | Tensor | ClipSource,
    run: str | Path,
    *,
    seed: int = 0,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str = "32-true",
    deterministic: bool = False,
    timeout_s: int = 600,
    objective: str | Make = "simclr",
    trained: bool = True,
    fit: bool = True,
    info: Mapping[str, Any] | None = None,
    begin: Begin | None = None,
    monitor: Mapping[str, Any] | None = None,
    log: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AmortisedEncoder:
    """Pre-trains `encoder` in place and returns it, as it is in `run`/encoder.

        ai.pretrain(encoder, bank, pack, run="exp/fsdd", steps=600, lr=6e-3)

    A run that was killed, or stopped by SIGTERM, goes on where it was when the same is called
    again, and ends with the same weights; a finished one gives its weights.

    Args:
        encoder: a new one. bank: makes the views.
        clips: a pack, whose training rows are taken; clips (n, ...) as the front end wants them; or
            a source of them (`core.bank.ClipSource`).
        run: folder that gets checkpoints/, metrics.jsonl, monitor.jsonl, tensorboard/ and encoder/.
        seed: of every draw, but for the encoder's first weights, which are there already.
        device, devices, nodes, precision, deterministic, timeout_s: as of `make_fabric`.
        objective: "simclr", "moco_v2", "moco_v3", or a function of (encoder, bank) that makes a
            loss of your own: an `Objective`.
        trained: False writes the encoder as it is, a baseline.
        fit: a front end without statistics takes those of the clips, which the log tells; False
            leaves its maps as they are.
        info: what encoder.json tells of the encoder's making.
        begin: called with `run` when the folder is locked, instead of keeping and comparing the
            settings in settings.json: of a caller that does so itself.
        monitor: keywords of `MonitorConfig`, as {"every": 100}. log: of `LogConfig`, as
            {"to": "wandb"}.
        settings: keywords of `PretrainConfig`.

    Raises:
        UserError: a setting that there is not or that cannot work; the folder is in use, or was
            begun with other settings; a loss that is not finite.
        Stopped: a signal asked for it; a checkpoint is written.
    """
    run, at_first = Path(run), device_of(encoder)
    config, own = _pretraining(settings, objective)
    looking, to = _beside(monitor or {}, log or {})
    source, views = training_clips(clips, encoder), training_bank(bank, encoder)
    begin = begin or _keep(_described(encoder, bank, config, own, seed, precision))
    with _owned(run, begin) if is_first_process() else nullcontext():
        if finished(run, config.steps):
            return _load(encoder, run)
        if fit and not begun(run):  # what goes on has its own
            fit_frontend(encoder, clips, source)
        if trained:
            on = partial(make_fabric, device, devices, nodes, precision, deterministic, timeout_s)
            probe = partial(probe_of, clips, source, encoder, looking.clips, seed)
            _train(encoder, views, source, config, run, on, seed, own, (looking, probe), to)
        if is_first_process():  # of several, the one that writes
            calibrate(encoder, source, config.calibration_clips)
            encoder.save(run / "encoder", info or _made(seed, config, clips))
    return encoder.to(at_first).eval()


def _train(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    clips: ClipSource,
    config: PretrainConfig,
    run: Path,
    devices: Callable[[bool], Any],
    seed: int,
    objective: Make | None,
    looking: tuple[MonitorConfig, Callable[[], Probe]],
    log: LogConfig,
) -> None:
    fabric = devices(may_leave_out(encoder, config, objective))
    monitor = Monitor(encoder, bank, *looking, config, seed, fabric.autocast)
    with (
        stop_signals() as stop,
        process_group(fabric),
        training_progress(config.steps, run.name) as shown,
    ):
        progress = shown if fabric.is_global_zero else (lambda step, loss, lr: None)
        loop.pretrain(
            encoder, bank, clips, config, run, fabric, seed, progress, stop, objective,
            monitor=monitor, log=log,
        )  # fmt: skip


@contextmanager
def _owned(run: Path, begin: Begin) -> Iterator[None]:
    """The run folder is this process's and begun, and what a killed one left half written gone."""
    with locked(run):
        remove_abandoned(run, run / "checkpoints", run / "encoder")
        begin(run)
        yield


def _pretraining(
    settings: Mapping[str, Any], objective: str | Make
) -> tuple[PretrainConfig, Make | None]:
    """The settings, and the objective that is the user's own."""
    named, own = (objective, None) if isinstance(objective, str) else ("simclr", objective)
    return _config(PretrainConfig, "pretrain", {**settings, "objective": named}), own


def _beside(monitor: Mapping[str, Any], log: Mapping[str, Any]) -> tuple[MonitorConfig, LogConfig]:
    looking, to = _config(MonitorConfig, "monitor", monitor), _config(LogConfig, "log", log)
    check_monitor(looking)
    check_tracker(to)
    return looking, to


def _config(kind: type[Settings], what: str, settings: Mapping[str, Any]) -> Settings:
    known = [field.name for field in fields(kind)]
    if unknown := [name for name in settings if name not in known]:
        near = meant_by(unknown, known)
        raise UserError(
            f"{what} has no setting {', '.join(unknown)}; it has {', '.join(known)}{near}"
        )
    return kind(**settings)


def _described(
    encoder: AmortisedEncoder,
    bank: AugmentationBank,
    config: PretrainConfig,
    own: Make | None,
    seed: int,
    precision: str,
) -> dict[str, Any]:
    """What decides a run beside its clips, as text but for the seed."""
    pretrain = {k: str(v) for k, v in asdict(config).items() if k not in HARMLESS}
    parts = {"frontend": encoder.frontend.config, **encoder.config, "space": bank.space.to_json()}
    if own is not None:
        pretrain["objective"] = getattr(own, "__qualname__", type(own).__name__)
    told = {name: str(value) for name, value in parts.items()}
    return {"seed": seed, "precision": precision, "pretrain": pretrain, **told}


def _keep(described: dict[str, Any]) -> Begin:
    """Keeps the settings of a run in settings.json, or compares them with those it was begun with.

    Raises:
        UserError: they differ.
    """

    def keep(run: Path) -> None:
        path = run / "settings.json"
        old = read_json(path) if begun(run) and path.exists() else described
        before, after = (
            {**d.get("pretrain", {}), **{k: v for k, v in d.items() if k != "pretrain"}}
            for d in (old, described)
        )
        names = [name for name in after if before.get(name, after[name]) != after[name]]
        if names:
            differing = "; ".join(f"{name}: {before[name]} -> {after[name]}" for name in names)
            raise UserError(
                f"{run} was made with other settings ({differing}); choose another run folder, or "
                "remove this one"
            )
        write_json(path, described)

    return keep


def _load(encoder: AmortisedEncoder, run: Path) -> AmortisedEncoder:
    folder = run / "encoder"
    try:
        encoder.load_weights(folder)
    except Exception as error:  # whatever a damaged file provokes
        raise UserError(f"{folder} holds no such encoder: {error}; remove {run}") from error
    return encoder.eval()


def _made(seed: int, config: PretrainConfig, clips: Any) -> dict[str, Any]:
    """Provenance."""
    of = {"pack": clips.content_key} if isinstance(clips, Pack) else {}
    return {"seed": seed, "steps": config.steps, "audioinv": __version__, **of}
