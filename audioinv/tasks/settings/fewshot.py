"""Settings of few-shot episodes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class EpisodeConfig:
    """Which episodes are drawn, and by which descriptors they are judged.

    Args:
        n_way: classes of an episode. k_shot: support clips of each. n_query: query clips of each.
        n_tasks: episodes.
        class_split: shares of the classes for learning the descriptor, for choosing, for testing.
        modes: descriptors: fixed:CORNER; search, soft or validation, learnt from the training
            classes; or episode, the corner of highest evidence for each episode's own support.
    """

    n_way: int = 5
    k_shot: int = 1
    n_query: int = 1
    n_tasks: int = 10000
    class_split: list[float] = field(default_factory=lambda: [0.7, 0.1, 0.2])
    modes: list[str] = field(default_factory=lambda: ["fixed:all", "search", "soft"])


@dataclass
class FewShotConfig(EpisodeConfig):
    """The few-shot protocol.

    Args:
        readouts: centroid, logistic, sgd.
        inverse_l2: of the logistic readout.
    """

    readouts: list[str] = field(default_factory=lambda: ["centroid", "logistic"])
    inverse_l2: float = 1.0


@dataclass
class PublishedFewShotConfig(EpisodeConfig):
    """The protocol as MT-SLVR and MetaAudio released it: one readout, on features as they are."""
