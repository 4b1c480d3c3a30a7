"""Settings of the protocols that judge a frozen encoder, and of measured invariance."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class MeasureConfig:
    """Measured invariance.

    Args:
        n_clips: test clips.
        n_learn: training clips from which a readout learns how much a component changed them, at
            its corner on and off (`tasks.worth`); 0 leaves that out.
    """

    n_clips: int = 300
    n_learn: int = 600


@dataclass
class KnnConfig:
    """The knn protocol.

    Args:
        k: neighbours. temperature: of their votes' weights.
    """

    k: int = 20
    temperature: float = 0.07


@dataclass
class FactorsConfig:
    """The factors protocol.

    Args:
        clips: of the training clips, that a probe is fitted on.
    """

    clips: int = 1500


@dataclass
class AveragingConfig:
    """The averaging protocol.

    Args:
        draws: the numbers of encodings M of its curve.
    """

    draws: list[int] = field(default_factory=lambda: [1, 2, 3, 5, 10, 20, 30])


@dataclass
class RobustnessConfig:
    """The robustness protocol.

    Args:
        strengths: of the augmentations. clips: test clips at most.
    """

    strengths: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75, 1.0])
    clips: int = 500
