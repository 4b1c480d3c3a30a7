"""Few-shot episodes as MT-SLVR and MetaAudio released them: rows to set beside published ones.

Episodes, windows and votes are those of `fewshot`. The readout is scikit-learn's SGDClassifier as
released, and the features are what the encoder gives, its last layer, not standardised.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.commands.features import TaskFeatures
from audioinv.commands.protocols import Context, Rows
from audioinv.commands.protocols.fewshot import EpisodesOf, rows_of
from audioinv.tasks.adapt import Mixture
from audioinv.tasks.features import FeatureCache


def rows(context: Context) -> Rows:
    """One row for each classification task and mode.

    Raises:
        UserError: another readout than the released one.
    """
    readouts = context.config.fewshot_published.readouts
    if readouts != ["sgd"]:
        raise UserError(
            f"fewshot_published.readouts is {readouts}; published rows are read out by [sgd] "
            "alone: give protocol=fewshot for others"
        )
    config = replace(context.config, features=replace(context.config.features, layers="last"))
    features = TaskFeatures(context.encoder, context.bank, context.pack, config)
    return rows_of(replace(context, config=config, features=features), PublishedEpisodes)


class PublishedEpisodes(EpisodesOf):
    """Episodes whose readouts see features as they are."""

    protocol = "fewshot_published"

    def judged(self, cache: FeatureCache, mixture: Mixture) -> Tensor:
        """Window features (m, D), those of several descriptors side by side, weighed."""
        features = torch.cat([cache.windows(d) for d in mixture.descriptors], dim=1)
        return features * mixture.scales(features.shape[1])
