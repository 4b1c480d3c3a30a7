"""Features of many clips at many descriptors, computed once each.

Clips stream: windows -> front end -> encoder at the descriptors that are asked for -> features. No
more than a few batches of maps stand in memory at a time. Reading and front end are shared by all
descriptors of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.progress import counted
from audioinv.base.tensors import device_of
from audioinv.core.embedding import POOLS
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.averaging import mean, running_means
from audioinv.tasks.settings.features import FeatureConfig as FeatureConfig
from audioinv.tasks.storage import Storage

Key = tuple[float, ...]
Batch = tuple[Tensor, Tensor]
"""Maps (b, C, H, W) of windows, and the clip of each, (b,)."""
Views = Callable[[Tensor], Iterable[Iterable[Tensor]]]


def autocast(device: torch.device, precision: str = "32-true") -> AbstractContextManager[object]:
    """What a network runs in: half precision where `precision` (as of Fabric) begins so."""
    if precision.startswith("bf16"):
        return torch.autocast(device.type, torch.bfloat16)
    return torch.autocast(device.type, torch.float16) if precision[:2] == "16" else nullcontext()


@torch.no_grad()
def embed(
    network: nn.Module,
    x: Tensor,
    layers: str = "last",
    batch_size: int = 256,
    precision: str = "32-true",
) -> Tensor:
    """Features (n, d) on the CPU of a plain network's inputs `x` (n, ...), in batches.

    Raises:
        UserError: some are not finite.
    """
    device = device_of(network)
    with autocast(device, precision):
        parts = [network(part.to(device), layers).float().cpu() for part in x.split(batch_size)]
    features = torch.cat(parts)
    if not bool(features.isfinite().all()):
        raise UserError(
            "some features are not finite: clips far above full scale (1), a precision too low, or "
            "a damaged encoder; look at the clips first"
        )
    return features


@torch.no_grad()
def maps_of(encoder: AmortisedEncoder, x: Tensor, batch_size: int = 256) -> Tensor:
    """Front-end maps (n, C, H, W), where the front end is, of clips `x` (n, ...): the same at every
    descriptor."""
    device = device_of(encoder.frontend)
    return torch.cat([encoder.frontend(part.to(device)) for part in x.split(batch_size)])


def pool_windows(features: Tensor, owner: Tensor, pool: str = "mean") -> Tensor:
    """Features (n, d) of clips from those of their windows (m, d).

    Args:
        owner: the clip of each window, (m,), ascending from 0. pool: mean or max.

    Raises:
        UserError: another pool.
    """
    n = int(owner[-1]) + 1 if len(owner) else 0
    pooled = Pooled(torch.zeros(n, features.shape[1]), pool)
    return features if n == len(features) else pooled.add(features, owner).all()


class Pooled:
    """Features of clips from those of their windows, a batch at a time.

    Args:
        out: zeros (n, d), to be filled. pool: mean or max.

    Raises:
        UserError: another pool.
    """

    def __init__(self, out: Tensor, pool: str) -> None:
        if pool not in POOLS:
            raise UserError(f"features.pool is '{pool}'; give {' or '.join(POOLS)}")
        self.out = out.fill_(-torch.inf) if pool == "max" else out
        self.pool = pool
        self.count = torch.zeros(len(out))

    def add(self, features: Tensor, place: Tensor) -> Pooled:
        """Takes the features (b, d) of windows of the clips at `place` (b,)."""
        self.count.index_add_(0, place, torch.ones(len(place)))
        if self.pool == "max":
            self.out.index_reduce_(0, place, features, "amax")
        else:
            self.out.index_add_(0, place, features)
        return self

    def all(self) -> Tensor:
        """The features (n, d)."""
        if self.pool == "mean" and bool((self.count > 1).any()):
            for part, count in zip(self.out.split(4096), self.count.split(4096), strict=True):
                part.div_(count.clamp_min(1)[:, None])
        return self.out


def first_windows(owner: Tensor) -> Tensor:
    """Index of the first window of every clip, (n,), of the clip of each window, (m,)."""
    count = owner.bincount()
    return count.cumsum(0) - count


class Maps(Protocol):
    """Front-end maps of `n` clips, made anew at each call."""

    n: int

    def __call__(self, rows: Tensor | None = None) -> Iterator[Batch]:
        """Batches of all windows of the clips `rows` (r,), ascending; None takes all clips."""


class MapsInMemory:
    """`Maps` of a tensor (m, C, H, W).

    Args:
        owner: the clip of each, (m,), ascending; None for one a clip.
    """

    def __init__(self, maps: Tensor, owner: Tensor | None = None) -> None:
        self.maps = maps
        self.owner = torch.arange(len(maps)) if owner is None else owner
        self.n = int(self.owner[-1]) + 1 if len(self.owner) else 0

    def __call__(self, rows: Tensor | None = None) -> Iterator[Batch]:
        """Batches of all windows of some clips."""
        wanted = torch.arange(len(self.owner))
        if rows is not None and len(rows) < self.n:
            wanted = torch.isin(self.owner, rows).nonzero().flatten()
        for part in wanted.split(256):
            yield self.maps[part], self.owner[part]


class FeatureCache:
    """`cache(descriptor)` gives the features (n, d) of the same clips at a descriptor, remembered.

    Args:
        encoder: frozen, in evaluation mode from then on.
        maps: of the clips, as `Maps`; or (m, C, H, W), those of their windows.
        layers: last, all or depth. owner: clip of each of (m,) windows, None for one window a clip.
        pool: mean or max over a clip's windows.
        views: descriptor -> for each draw to average over, the maps of all windows in batches, as
            `TransformedMaps`; None takes `maps`.
        storage: where features are kept. precision: in which the network runs, as of Fabric.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        maps: Tensor | Maps,
        layers: str = "last",
        owner: Tensor | None = None,
        pool: str = "mean",
        views: Views | None = None,
        storage: Storage | None = None,
        precision: str = "32-true",
    ) -> None:
        self.encoder = encoder
        self.maps: Maps = MapsInMemory(maps, owner) if isinstance(maps, Tensor) else maps
        self.layers = layers
        self.pool = pool
        self.views = views
        self.storage = storage or Storage()
        self.precision = precision
        self.known: dict[Key, list[tuple[Tensor, Tensor]]] = {}
        self.known_windows: dict[Key, Tensor] = {}
        self._owner = self.maps.owner if isinstance(self.maps, MapsInMemory) else None

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """How many features each level has, side by side; None where layers are not depth.

        Raises:
            UserError: the network tells of no levels.
        """
        if self.layers != "depth":
            return None
        network: Any = self.encoder.backbone
        if not hasattr(network, "sizes"):
            kind = type(network).__name__
            raise UserError(f"{kind} tells no sizes of levels; give features.layers last or all")
        return tuple(network.sizes)

    @property
    def depends(self) -> bool:
        """Whether a descriptor makes any difference to the features."""
        return self.encoder.is_conditioned or self.views is not None

    @property
    def owner(self) -> Tensor:
        """The clip of each window, (m,), ascending."""
        if self._owner is None:
            self._owner = torch.cat([clips for _, clips in self.maps()])
        return self._owner

    def __call__(self, descriptor: Tensor) -> Tensor:
        """Features (n, d) of the clips at `descriptor` (K,)."""
        return self.some(descriptor, torch.arange(self.maps.n))

    def some(self, descriptor: Tensor, clips: Tensor) -> Tensor:
        """Features (r, d) of `clips` (r,) at `descriptor` (K,), without computing the others'."""
        distinct, place = clips.unique(return_inverse=True)
        self.prepare([descriptor], distinct)
        found = self._gather(self._key(descriptor), distinct)
        return found if torch.equal(distinct, clips) else found[place]

    def prepare(self, descriptors: Sequence[Tensor], clips: Tensor | None = None) -> None:
        """Computes what is not known yet of `clips` (r,) at each of the descriptors (K,), in one
        pass over the clips. None takes all clips."""
        wanted = torch.arange(self.maps.n) if clips is None else clips.unique()
        passes: dict[bytes, tuple[Tensor, dict[Key, Tensor]]] = {}
        for descriptor in descriptors:
            key = self._key(descriptor)
            rows = self._missing(key, wanted)
            if len(rows) == 0:
                continue
            if self.views is not None:
                self._keep_windows(key, self.windows(descriptor))
            else:
                alike = passes.setdefault(rows.numpy().tobytes(), (rows, {}))
                alike[1].setdefault(key, descriptor)
        for rows, missing in passes.values():
            self._compute(rows, missing)

    def windows(self, descriptor: Tensor) -> Tensor:
        """Features (m, d) of every window at `descriptor` (K,)."""
        key = self._key(descriptor)
        if key not in self.known_windows:
            network, owners = self._network(descriptor), []
            if self.views is not None:
                found = mean(self._embed_all(network, draw) for draw in self.views(descriptor))
            else:
                parts = []
                for maps, clips in self.maps():
                    parts.append(self._embed(network, maps))
                    owners.append(clips)
                found, self._owner = torch.cat(parts), torch.cat(owners)
            self.known_windows[key] = found
            self._keep_windows(key, found)
        return self.known_windows[key]

    def first_maps(self, clips: Tensor) -> Tensor:
        """Front-end maps (r, C, H, W) on the CPU of the first windows of `clips` (r,), which are
        all different; beyond the budget they lie in a file."""
        order = clips.argsort()
        ascending, out, last = clips[order], None, -1
        for maps, owner in self.maps(ascending):
            first = owner != torch.cat([torch.tensor([last]), owner[:-1]])
            last = int(owner[-1])
            if out is None:
                out = self.storage.zeros(len(clips), *maps.shape[1:])
            out[order[torch.searchsorted(ascending, owner[first])]] = maps[first].cpu()
        return torch.empty(0) if out is None else out

    def curve(self, descriptor: Tensor, at: Collection[int]) -> dict[int, Tensor]:
        """Features (n, d) of the clips averaged over M draws for every M in `at`, in one pass.

        Raises:
            UserError: an M below 1, or above the number of views.
        """
        if self.views is None:
            raise UserError("features.views is 0; give the most views that a curve goes to")
        network = self._network(descriptor)
        parts = (self._embed_all(network, draw) for draw in self.views(descriptor))
        means = running_means(parts, at)
        return {m: pool_windows(features, self.owner, self.pool) for m, features in means}

    def _key(self, descriptor: Tensor) -> Key:
        """Equal for descriptors that make no difference to the features."""
        return tuple(descriptor.tolist()) if self.depends else ()

    def _network(self, descriptor: Tensor) -> nn.Module:
        return self.encoder.eval().bound(descriptor)

    def _embed(self, network: nn.Module, maps: Tensor) -> Tensor:
        return embed(network, maps, self.layers, precision=self.precision)

    def _embed_all(self, network: nn.Module, batches: Iterable[Tensor]) -> Tensor:
        return torch.cat([self._embed(network, maps) for maps in batches])

    def _missing(self, key: Key, clips: Tensor) -> Tensor:
        """Those of `clips` (r,), ascending, that are not known at a descriptor."""
        for rows, _ in self.known.get(key, []):
            clips = clips[~torch.isin(clips, rows)] if len(rows) < self.maps.n else clips[:0]
        return clips

    def _gather(self, key: Key, clips: Tensor) -> Tensor:
        """Known features (r, d) of `clips` (r,), which ascend."""
        blocks = self.known[key]
        if len(blocks) == 1 and len(blocks[0][0]) == len(clips):
            return blocks[0][1]
        found = blocks[0][1].new_empty(len(clips), blocks[0][1].shape[1])
        for rows, features in blocks:
            place = torch.searchsorted(rows, clips).clamp_max(len(rows) - 1)
            there = rows[place] == clips
            found[there] = features[place[there]]
        return found

    def _keep_windows(self, key: Key, features: Tensor) -> None:
        """Remembers the features of all clips by those of all their windows, (m, d)."""
        every = torch.arange(self.maps.n)
        self.known[key] = [(every, pool_windows(features, self.owner, self.pool))]

    def _compute(self, rows: Tensor, descriptors: dict[Key, Tensor]) -> None:
        """One pass over the clips `rows` (r,), ascending, at each of the descriptors."""
        made: dict[Key, Pooled] = {}
        with counted("features", "clips at corners") as progress:
            done, total = 0, len(rows) * len(descriptors)
            for batches in _together(self.maps(rows), self.storage.batch_bytes):
                place = torch.searchsorted(rows, torch.cat([clips for _, clips in batches]))
                reached = int(place[-1]) + 1
                for k, (key, descriptor) in enumerate(descriptors.items()):
                    features = self._embed_all(self._network(descriptor), (m for m, _ in batches))
                    if key not in made:
                        out = self.storage.zeros(len(rows), features.shape[1])
                        made[key] = Pooled(out, self.pool)
                    self.storage.rest(made[key].add(features, place).out)
                    progress(done * len(descriptors) + (k + 1) * (reached - done), total)
                done = reached
        for key, pooled in made.items():
            self.known.setdefault(key, []).append((rows, pooled.all()))


def _together(batches: Iterable[Batch], most_bytes: int) -> Iterator[list[Batch]]:
    """The batches in lists of at most so many bytes, or of one: an encoder is brought to a
    descriptor once for each list."""
    held: list[Batch] = []
    for maps, clips in batches:
        if held and sum(m.nbytes for m, _ in held) + maps.nbytes > most_bytes:
            yield held
            held = []
        held.append((maps, clips))
    if held:
        yield held
