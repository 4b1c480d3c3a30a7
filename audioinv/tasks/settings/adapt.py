"""Settings of adaptation."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class AdaptConfig:
    """What adaptation may vary.

    Args:
        modes: how tasks learn their descriptor, one result each: fixed:CORNER, search,
            search:validation, soft, paper or surrogate.
        readout: ridge, logistic or lda; of several labels a clip, ridge or logistic.
        l2: of the ridge of regressions and of logistic readouts, as `fit_readout` says; 0 chooses
            one, by leave-one-out or on validation rows.
        labels_per_class: labels that training and validation each keep of a class (of a regression:
            in all, times ten); 0 keeps all. Drawn by the run's seed.
        top_corners: how many corners the soft mode keeps for its readout; of features.layers=depth
            how many parts, a corner and a level each, every mode keeps.
        joint: of features.layers=depth and mode soft: one distribution over corners for all levels,
            in place of one for each.
        max_labels: labels that the evidence sees; more are subsampled, stratified.
        most_corners: of search and soft: the most corners that are computed. Where there are more,
            they are found by flipping one component after the other, from all-on. 0 means all of
            up to 32, which is K = 5, and of more 1 + K + K (K - 1) / 2: 29 of 128, K = 7.
        evidence_steps: of Adam, in soft mode.
        epochs, batch_size, lr: of the paper and surrogate modes.
        rounding: make the i of these two modes a corner at the end.
        anchor_clips: of the surrogate mode: clips that it knows at every corner.
        true_steps: of the surrogate mode: batches that go through the encoder itself.
    """

    modes: list[str] = field(default_factory=lambda: ["fixed:all", "search", "soft"])
    readout: str = "ridge"
    l2: float = 0.0
    labels_per_class: int = 0
    top_corners: int = 8
    joint: bool = False
    max_labels: int = 500
    most_corners: int = 0
    evidence_steps: int = 40
    epochs: int = 100
    batch_size: int = 16
    lr: float = 0.01
    rounding: bool = False
    anchor_clips: int = 128
    true_steps: int = 20
