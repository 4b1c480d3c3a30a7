"""Features of many clips at many descriptors, computed once each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.averaging import mean, running_means
from audioinv.tasks.settings.features import FeatureConfig as FeatureConfig

POOLS = ("mean", "max")


@torch.no_grad()
def embed(network: nn.Module, x: Tensor, layers: str = "last", batch_size: int = 256) -> Tensor:
    """Features (n, d) on the CPU of a plain network's inputs `x` (n, ...), in batches."""
    device = next(network.parameters(), x).device
    parts = [network(part.to(device), layers).float().cpu() for part in x.split(batch_size)]
    return torch.cat(parts)


@torch.no_grad()
def maps_of(encoder: AmortisedEncoder, x: Tensor, batch_size: int = 256) -> Tensor:
    """Front-end maps (n, C, H, W) of clips `x` (n, ...): the same at every descriptor."""
    return torch.cat([encoder.frontend(part) for part in x.split(batch_size)])


def pool_windows(features: Tensor, owner: Tensor, pool: str = "mean") -> Tensor:
    """Features (n, d) of clips from those of their windows (m, d).

    Args:
        owner: the clip of each window, (m,), ascending from 0. pool: mean or max.

    Raises:
        UserError: another pool.
    """
    if pool not in POOLS:
        raise UserError(f"features.pool is '{pool}'; give {' or '.join(POOLS)}")
    n = int(owner[-1]) + 1 if len(owner) else 0
    if n == len(features):
        return features
    index = owner[:, None].expand_as(features)
    reduce = "mean" if pool == "mean" else "amax"
    return features.new_zeros(n, features.shape[1]).scatter_reduce(
        0, index, features, reduce, include_self=False
    )


def first_windows(owner: Tensor) -> Tensor:
    """Index of the first window of every clip, (n,), of the clip of each window, (m,)."""
    count = owner.bincount()
    return count.cumsum(0) - count


class FeatureCache:
    """`cache(descriptor)` gives the features (n, d) of the same clips at a descriptor, remembered.

    Args:
        encoder: frozen. maps: front-end maps (m, C, H, W) of the clips' windows.
        layers: last or all. owner: clip of each window (m,), None for one window a clip.
        pool: mean or max over a clip's windows.
        views: descriptor -> maps (m, C, H, W) of each draw to average over, as `TransformedMaps`;
            None takes `maps`.
        progress: called with the number of descriptors computed so far.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        maps: Tensor,
        layers: str = "last",
        owner: Tensor | None = None,
        pool: str = "mean",
        views: Callable[[Tensor], Iterable[Tensor]] | None = None,
        progress: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.encoder = encoder
        self.maps = maps
        self.owner = torch.arange(len(maps)) if owner is None else owner
        self.layers = layers
        self.pool = pool
        self.views = views
        self.progress = progress
        self.known: dict[tuple[float, ...], Tensor] = {}
        self.parts: dict[tuple[tuple[float, ...], bytes], Tensor] = {}

    def __call__(self, descriptor: Tensor) -> Tensor:
        """Features (n, d) of the clips at `descriptor` (K,)."""
        return pool_windows(self.windows(descriptor), self.owner, self.pool)

    def some(self, descriptor: Tensor, clips: Tensor) -> Tensor:
        """Features (r, d) of `clips` (r,) at `descriptor` (K,), without computing the others'."""
        if self._key(descriptor) in self.known or self.views is not None:
            return self(descriptor)[clips]
        key = self._key(descriptor), clips.numpy().tobytes()
        if key not in self.parts:
            distinct, place = clips.unique(return_inverse=True)
            windows = torch.isin(self.owner, distinct).nonzero().flatten()
            features = embed(self._network(descriptor), self.maps[windows], self.layers)
            owner = torch.searchsorted(distinct, self.owner[windows])
            self.parts[key] = pool_windows(features, owner, self.pool)[place]
        return self.parts[key]

    def windows(self, descriptor: Tensor) -> Tensor:
        """Features (m, d) of every window at `descriptor` (K,)."""
        key = self._key(descriptor)
        if key not in self.known:
            self.known[key] = self._embed(self._network(descriptor), descriptor)
            self.progress(len(self.known))
        return self.known[key]

    def _key(self, descriptor: Tensor) -> tuple[float, ...]:
        """Equal for descriptors that make no difference to the features."""
        depends = self.encoder.is_conditioned or self.views is not None
        return tuple(descriptor.tolist()) if depends else ()

    def _network(self, descriptor: Tensor) -> nn.Module:
        network: nn.Module = self.encoder.at(descriptor).backbone
        return network

    def _embed(self, network: nn.Module, descriptor: Tensor) -> Tensor:
        if self.views is None:
            return embed(network, self.maps, self.layers)
        return mean(embed(network, maps, self.layers) for maps in self.views(descriptor))

    def curve(self, descriptor: Tensor, at: Collection[int]) -> dict[int, Tensor]:
        """Features (n, d) of the clips averaged over M draws for every M in `at`, in one pass.

        Raises:
            UserError: an M below 1, or above the number of views.
        """
        if self.views is None:
            raise UserError("features.views is 0; give the most views that a curve goes to")
        network = self._network(descriptor)
        parts = (embed(network, maps, self.layers) for maps in self.views(descriptor))
        means = running_means(parts, at)
        return {m: pool_windows(features, self.owner, self.pool) for m, features in means}
