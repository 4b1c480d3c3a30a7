"""Features of many clips at many descriptors, computed once each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from audioinv.core.encoder import AmortisedEncoder


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


class FeatureCache:
    """`cache(descriptor)` gives the features (n, d) of the same clips at a descriptor, remembered.

    Args:
        encoder: frozen. maps: front-end maps (n, C, H, W) of the clips.
        calibration: maps from which BatchNorm statistics are recomputed at each descriptor; an
            empty tensor keeps those of pre-training.
        layers: last or all. progress: called with the number of descriptors computed so far.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder,
        maps: Tensor,
        calibration: Tensor,
        layers: str = "last",
        progress: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.encoder = encoder
        self.maps = maps
        self.calibration = calibration.split(256) if len(calibration) else ()
        self.layers = layers
        self.progress = progress
        self.known: dict[tuple[float, ...], Tensor] = {}

    def __call__(self, descriptor: Tensor) -> Tensor:
        """Features (n, d) at `descriptor` (K,)."""
        key = tuple(descriptor.tolist()) if self.encoder.is_conditioned else ()
        if key not in self.known:
            plain = self.encoder.at(descriptor, self.calibration)
            self.known[key] = embed(plain.backbone, self.maps, self.layers)
            self.progress(len(self.known))
        return self.known[key]
