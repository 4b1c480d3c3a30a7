"""Few-shot episodes as MT-SLVR and MetaAudio released them: rows to set beside published ones.

Episodes, windows and votes are those of `fewshot`. The readout is scikit-learn's SGDClassifier as
released, and the features are what the encoder gives, its last layer, not standardised.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.features import FeatureCache
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.protocols import Context, Rows
from audioinv.tasks.protocols.fewshot import EpisodesOf, rows_of
from audioinv.tasks.settings.fewshot import PublishedFewShotConfig


def rows(context: Context, settings: PublishedFewShotConfig) -> Rows:
    """One row for each classification task and mode."""
    own = context.features
    last = replace(own.settings, layers="last")
    features = TaskFeatures(own.encoder, own.pack, last, own.given_bank, own.only)
    return rows_of(replace(context, features=features), settings, PublishedEpisodes, ["sgd"])


class PublishedEpisodes(EpisodesOf):
    """Episodes whose readouts see features as they are."""

    protocol = "fewshot_published"

    def judged(self, cache: FeatureCache, mixture: Mixture) -> Tensor:
        """Window features (m, D), those of several descriptors side by side, weighed."""
        features = mixture.features(cache.windows)
        return features * mixture.scales(features.shape[1])
