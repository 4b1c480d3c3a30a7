"""What embed, export and predict share: an encoder or an adapted task, as the words name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import ENCODER_FILES, key_of
from audioinv.base.near import meant
from audioinv.conf.schema import Config
from audioinv.core.backbone import TRUSTED_MODULES
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.hub import encoder_folder
from audioinv.data.modality import load_encoder
from audioinv.runs.build import need, refuse_uncalibrated, results_of
from audioinv.runs.folder import task_folder
from audioinv.tasks import modes
from audioinv.tasks.adapted import load_adapted, made_of
from audioinv.tasks.ready import load_task
from audioinv.tasks.settings.features import FeatureConfig


@dataclass(frozen=True)
class Used:
    """An encoder's folder, and at what it is used; processes hand it to each other.

    Args:
        encoder: folder. descriptor: as text. task: folder of an adapted one, whose mixture counts
            instead; "" for none. settings: of the features, key and value. trusted_modules: that a
            HEAR backbone may import.
    """

    encoder: str
    descriptor: str
    task: str
    settings: tuple[tuple[str, Any], ...]
    trusted_modules: tuple[str, ...] = ()

    @property
    def made_of(self) -> FeatureConfig:
        """The settings of the features."""
        return FeatureConfig(**dict(self.settings))

    @property
    def key(self) -> str:
        """Of all that decides the features, wherever the files lie."""
        task = key_of(self.task, ("adapted.json", "adapted.safetensors")) if self.task else ""
        return repr((key_of(self.encoder, ENCODER_FILES), self.descriptor, task, self.settings))

    def load(self) -> tuple[AmortisedEncoder, Any]:
        """The encoder, frozen, and what `embed` takes for a descriptor: a text or a task.

        Raises:
            UserError: nothing readable there, or an encoder without statistics.
        """
        folder = Path(self.encoder)
        TRUSTED_MODULES.update(self.trusted_modules)
        encoder = load_encoder(folder).requires_grad_(False)
        refuse_uncalibrated(encoder, folder.parent)
        if self.task:
            return encoder, load_task(self.task, folder)
        encoder.space.of(self.descriptor)
        return encoder, self.descriptor


def used(config: Config, descriptor: str, encoder: str, task: str, mode: str) -> Used:
    """What `--encoder` or `run=`, `--descriptor` or `--task` and `--mode`, and `features.*` say.

    Raises:
        UserError: there is no such encoder or adapted task.
    """
    run = None if encoder else need(config.run, "run", "exp/demo/amortised_s0, or --encoder DIR")
    remedy = "run audioinv pretrain run=RUN first, or give --encoder DIR"
    folder = encoder_folder(encoder if run is None else (run / "encoder").absolute(), remedy)
    own, adapted = config.features, ""
    if task:
        adapted = str(adapted_in(config, folder, task, mode))
        own = made_of(load_adapted(Path(adapted))[1])
    trusted = tuple(config.trusted_modules)
    settings = tuple(sorted(vars(own).items()))
    return Used(str(folder.absolute()), descriptor, adapted, settings, trusted)


def adapted_in(config: Config, encoder: Path, task: str, mode: str) -> Path:
    """The folder of an adapted task, among the results of its run.

    Raises:
        UserError: it is not adapted by that mode.
    """
    run = results_of(config) if config.run or config.out else encoder.absolute().parent
    folder = task_folder(run.absolute(), task, modes.check(mode))
    if not (folder / "adapted.json").exists():
        paths = (run / "tasks").glob("*/*/adapted.json")
        found = sorted(str(path.parent.relative_to(run / "tasks")) for path in paths)
        near = meant(str(folder.relative_to(run.absolute() / "tasks")), found)
        raise UserError(
            f"{folder} is not there; {run} has the tasks {', '.join(found) or 'none'}: give one by "
            f"--task and --mode, or run audioinv adapt first{near}"
        )
    return folder
