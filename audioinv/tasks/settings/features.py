"""Settings of features."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FeatureConfig:
    """What a clip's feature is made of; every method of a table shares it.

    Args:
        layers: last; all, from each stage of the network; or depth, from the front end's rows (mean
            and deviation) to the last layer, among which a task chooses by evidence, as it chooses
            its descriptor. fewshot_published takes the last.
        hop_s: seconds from one window of a clip to the next; null sets them side by side, so that
            all of a clip is used, 0 takes the first window alone.
        drop_last: leave out the window that ends with a clip, where whole hops do not lead to it.
        pool: mean or max over a clip's windows.
        views: feature averaging (InvCLR): the mean over this many augmentations of each clip, drawn
            under the descriptor in use; 0 takes the clip as it is.
        strength: of the augmentations that are averaged over, from 0 to 1, where 1 is that of
            pre-training (`core.averaging`).
        memory_gb: features beyond so many 10^9 bytes lie in temporary files, in TMPDIR.
    """

    layers: str = "last"
    hop_s: float | None = None
    drop_last: bool = False
    pool: str = "mean"
    views: int = 0
    strength: float = 1.0
    memory_gb: float = 4.0
