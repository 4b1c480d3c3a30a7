"""A pack's clips as an encoder sees them: the features that tasks are adapted and scored on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.augmentation import Augmentation
from audioinv.core.backbone import LAYERS
from audioinv.core.bank import AugmentationBank
from audioinv.core.embedding import POOLS
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.tasks.averaging import TransformedMaps, check_strength
from audioinv.tasks.features import Batch, FeatureCache, maps_of
from audioinv.tasks.folds import target_index, task_parameters
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.storage import Storage

Change = Callable[[Tensor, Tensor], Tensor]


PRECISIONS = (
    *("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"),
    *("32", "16", "bf16", "64"),
)
"""Those of Fabric; see `features.autocast`."""


def check_names(settings: FeatureConfig) -> None:
    """Raises a UserError for layers or a pool that there are not."""
    if settings.layers not in LAYERS:
        raise unknown("features.layers", settings.layers, LAYERS)
    if settings.pool not in POOLS:
        raise unknown("features.pool", settings.pool, POOLS)


class TaskFeatures:
    """`of(task)` gives the features of a task's clips; tasks over the same clips share them.

    Args:
        encoder: frozen. pack: whose clips it sees.
        settings: what a feature is made of.
        bank: to average over (`settings.views`) and to transform by; None for neither.
        only: the corner (K,) of an encoder that was trained at one; None for one of many.
        precision: in which the network runs, as of Fabric.

    Raises:
        UserError: a hop or a number of views below 0, a strength outside [0, 1], views without a
            bank, or a pack that is not of the size that the encoder's front end wants.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        pack: Pack,
        settings: FeatureConfig,
        bank: AugmentationBank | None = None,
        only: Tensor | None = None,
        precision: str = "32-true",
    ) -> None:
        check_names(settings)
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        check_strength(settings.strength)
        if (settings.hop_s or 0) < 0 or settings.views < 0:
            raise UserError(
                f"features.hop_s is {settings.hop_s} and features.views "
                f"{settings.views}; give 0 or more"
            )
        modality_of(pack.corpus.modality).check(pack, encoder.frontend)
        self.encoder = encoder
        self.pack = pack
        self.settings = settings
        self.given_bank = bank
        self.only = only
        self.precision = precision
        self.storage = Storage(settings.memory_gb)
        self.caches: dict[str, tuple[FeatureCache, Tensor | None]] = {}

    @property
    def bank(self) -> AugmentationBank:
        """The bank.

        Raises:
            UserError: none was given.
        """
        if self.given_bank is None:
            raise UserError("this transforms clips and there is no bank; give bank=BANK")
        return self.given_bank

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
        settings = self.settings
        cache = FeatureCache(
            self.encoder,
            PackMaps(self, change, repeat),
            settings.layers,
            pool=settings.pool,
            views=self._views(change, repeat) if settings.views else None,
            storage=self.storage,
            precision=self.precision,
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

    def batches(
        self, repeat: bool, rows: Sequence[int] | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Windows (b, ...) of all clips, or of some, and the clip of each, (b,)."""
        windows, made_of = modality_of(self.pack.corpus.modality).windows, self.settings
        return windows(
            self.encoder.frontend, self.pack, made_of.hop_s, repeat, made_of.drop_last, rows
        )

    def _views(self, change: Change, repeat: bool) -> TransformedMaps:
        """Transformations to average over; an encoder of one corner knows that one only."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            return ((change(x, clips), clips) for x, clips in self.batches(repeat))

        settings = self.settings
        return TransformedMaps(
            self.bank,
            lambda x: maps_of(self.encoder, x),
            batches,
            settings.views,
            settings.strength,
            self.only,
        )


class PackMaps:
    """`Maps` of a pack's clips, made anew at each call.

    Args:
        of: whose clips they are. change: windows (b, ...) and the clip of each -> other windows.
        repeat: whether short clips may be filled up by repetition.
    """

    def __init__(self, of: TaskFeatures, change: Change, repeat: bool) -> None:
        self.of = of
        self.change = change
        self.repeat = repeat
        self.n = len(of.pack)

    def __call__(self, rows: Tensor | None = None) -> Iterator[Batch]:
        """Batches of all windows of some clips."""
        chosen = None if rows is None or len(rows) == self.n else rows.tolist()
        for x, clips in self.of.batches(self.repeat, chosen):
            yield maps_of(self.of.encoder, self.change(x, clips)), clips


def encoder_clips(encoder: AmortisedEncoder, pack: Pack, rows: Sequence[int]) -> Tensor:
    """Clips (n, ...) as the encoder's front end wants them."""
    return modality_of(pack.corpus.modality).clips(encoder.frontend, pack, rows)
