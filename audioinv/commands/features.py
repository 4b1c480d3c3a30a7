"""The features that tasks are adapted and scored on, alike for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.conf.schema import Config
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, training_rows
from audioinv.data.task import Task
from audioinv.runs.build import encoder_clips, run_of, saved_config
from audioinv.tasks.averaging import TransformedMaps, check_strength
from audioinv.tasks.features import FeatureCache, maps_of
from audioinv.tasks.folds import target_index, task_parameters

Change = Callable[[Tensor, Tensor], Tensor]


class TaskFeatures:
    """`of(task)` gives the features of a task's clips; tasks over the same clips share them.

    Raises:
        UserError: a hop or a number of views below 0, a strength outside [0, 1].
    """

    def __init__(
        self, encoder: AmortisedEncoder, bank: AugmentationBank, pack: Pack, config: Config
    ) -> None:
        check_strength(config.features.strength)
        if config.features.hop_s < 0 or config.features.views < 0:
            raise UserError(
                f"features.hop_s is {config.features.hop_s} and features.views "
                f"{config.features.views}; give 0 or more"
            )
        self.encoder = encoder
        self.bank = bank
        self.pack = pack
        self.config = config
        self.caches: dict[str, tuple[FeatureCache, Tensor | None]] = {}

    @cached_property
    def calibration(self) -> Tensor:
        """Maps of the training clips that BatchNorm is recomputed from; made when first needed."""
        return calibration_maps(self.encoder, self.pack, self.config.features.calibration_clips)

    def of(self, task: Task) -> tuple[FeatureCache, Tensor | None]:
        """The features, and the targets (n,) of a task over an augmentation.

        Such a task has clips of its own: its parameters are keyed by its name.
        """
        key = task.name if task.augmentation else ""
        if key not in self.caches:
            self.caches[key] = self._make(task)
        return self.caches[key]

    def _make(self, task: Task) -> tuple[FeatureCache, Tensor | None]:
        augmentation, params = self._changed_by(task)

        def change(x: Tensor, clips: Tensor) -> Tensor:
            if params is None or augmentation is None:
                return x
            return augmentation.apply(x, params[clips])

        # Where a short clip is repeated to fill the window, none can tell how far it was shifted.
        repeat = params is None
        maps, owner = self._maps(change, repeat)
        settings = self.config.features
        views = self._views(change, repeat) if settings.views else None
        cache = FeatureCache(
            self.encoder, maps, self.calibration, settings.layers, owner, settings.pool, views
        )
        if params is None or augmentation is None:
            return cache, None
        return cache, params[:, target_index(task, augmentation)]

    def _changed_by(self, task: Task) -> tuple[Augmentation | None, Tensor | None]:
        """The augmentation of a task over one, at its default ranges, and its parameters (n, P).

        Not that of the bank: tasks must be the same whatever a method was pre-trained with.
        """
        if task.augmentation is None:
            return None, None
        modality = modality_of(self.pack.corpus.modality)
        augmentation = modality.task_augmentation(task.augmentation, self.pack.size)
        return augmentation, task_parameters(task, augmentation, len(self.pack))

    def _maps(self, change: Change, repeat: bool) -> tuple[Tensor, Tensor]:
        """Maps (m, C, H, W) of all windows and the clip of each, (m,)."""
        batches = self._batches(repeat)
        parts = [(maps_of(self.encoder, change(x, clips)), clips) for x, clips in batches]
        return torch.cat([maps for maps, _ in parts]), torch.cat([clips for _, clips in parts])

    def _batches(self, repeat: bool) -> Iterator[tuple[Tensor, Tensor]]:
        windows = modality_of(self.pack.corpus.modality).windows
        return windows(self.encoder.frontend, self.pack, self.config.features.hop_s, repeat)

    def _views(self, change: Change, repeat: bool) -> TransformedMaps:
        """Transformations to average over; an encoder of one corner knows that one only."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            return ((change(x, clips), clips) for x, clips in self._batches(repeat))

        settings = self.config.features
        return TransformedMaps(
            self.bank,
            lambda x: maps_of(self.encoder, x),
            batches,
            settings.views,
            settings.strength,
            self._only_corner(),
        )

    def _only_corner(self) -> Tensor | None:
        """The corner (K,) of an encoder that was trained at one; all on if it ignores corners."""
        corners = saved_config(run_of(self.config)).pretrain.corners
        if corners == "space":
            return None
        return self.bank.space.parse("all" if corners == "leave_one_out" else corners)


def calibration_maps(encoder: AmortisedEncoder, pack: Pack, n: int) -> Tensor:
    """Maps of at most `n` training clips, the same in every command, for BatchNorm statistics."""
    rows = sample_rows(training_rows(pack), n, 0, "calibration")
    if not rows:
        return torch.empty(0)
    return maps_of(encoder, encoder_clips(encoder, pack, rows))
