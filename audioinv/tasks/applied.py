"""What a task has learnt, applied to clips: features, outputs, and all of it as one network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from audioinv.core.embedding import Rows, Sources, batch_for, features_of, rows_of
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.adapted import Adapted
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.readout import Readout, told
from audioinv.tasks.settings.features import FeatureConfig


def distinct(folds: Sequence[Adapted]) -> Tensor:
    """The descriptors (D, K) that any fold uses, each once."""
    return torch.cat([fold.mixture.descriptors for fold in folds]).unique(dim=0)


def positions(mixture: Mixture, descriptors: Tensor) -> Tensor:
    """Where each descriptor of a mixture stands in `descriptors` (D, K), (M,)."""
    same = (mixture.descriptors[:, None] == descriptors[None]).all(-1)
    return same.float().argmax(1)


def outputs_of(
    encoder: AmortisedEncoder,
    folds: Sequence[Adapted],
    sources: Sources,
    made_of: FeatureConfig,
    readout: str | None,
    frames: bool = False,
    batch_size: int | None = None,
) -> Iterator[Rows]:
    """Outputs (k, m) in the place of features, as soon as they are there.

    Args:
        made_of: settings of the features. readout: its name; None gives scores and no
            probabilities. frames: of every window by itself; otherwise of whole clips.
    """
    descriptors = distinct(folds)
    networks = [encoder.at(each).backbone for each in descriptors]
    # In single precision a row's last digit depends on the batch that it is multiplied in.
    readouts = Readouts(folds, descriptors, readout).double()
    batches = sources.batches(batch_size or batch_for(encoder))
    found = features_of(encoder.frontend, networks, batches, made_of.layers)
    parts = ((windows, torch.cat(each, 1).float().cpu()) for windows, each in found)
    for rows in rows_of(parts, made_of.pool, frames):
        outputs = readouts(rows.features.double().chunk(len(networks), 1))
        yield rows._replace(features=outputs.float())


class Head(nn.Module):
    """A readout as a module: features (n, d) -> probabilities (n, m), or values (n, m).

    Args:
        readout: fitted. name: of it, as in `fit_readout`, by which its scores are probabilities
            (`readout.told`); None leaves them scores.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, readout: Readout, name: str | None) -> None:
        super().__init__()
        for key, value in readout.tensors().items():
            self.register_buffer(key, value.clone())
        self.kind = "regression" if name is None else readout.kind
        self.by_ridge, self.two = name == "ridge", readout.has_two

    def forward(self, features: Tensor) -> Tensor:
        """As said above."""
        scores = ((features - self.mean) / self.std) @ self.weight.T + self.bias
        return told(scores, self.kind, self.by_ridge, self.two)


class Readouts(nn.Module):
    """The readouts of all folds: features (n, d) at D descriptors -> the mean of their outputs.

    Args:
        folds: that have learnt. descriptors: (D, K), in the order of the features. name: of the
            readout, as of `Head`.
    """

    def __init__(self, folds: Sequence[Adapted], descriptors: Tensor, name: str | None) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(fold.readout, name) for fold in folds)
        self.mixtures = [fold.mixture for fold in folds]
        self.places = [positions(mixture, descriptors).tolist() for mixture in self.mixtures]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Outputs (n, m)."""
        parts = [
            head(mixture.taken([features[k] for k in place]))
            for head, mixture, place in zip(self.heads, self.mixtures, self.places, strict=True)
        ]
        return torch.stack(parts).mean(0)


class TaskNetwork(nn.Module):
    """An adapted task as a plain network: windows (B, ...) -> probabilities or values (B, m).

    Weights and statistics of every descriptor in use stand in it; `torch.export` takes it.
    """

    def __init__(
        self, encoder: AmortisedEncoder, folds: Sequence[Adapted], layers: str, readout: str
    ) -> None:
        super().__init__()
        descriptors = distinct(folds)
        self.frontend = encoder.frontend
        self.backbones = nn.ModuleList(encoder.at(each).backbone for each in descriptors)
        self.readouts = Readouts(folds, descriptors, readout)
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, m) of windows as the front end takes them, the mean over the folds."""
        maps = self.frontend(x)
        outputs: Tensor = self.readouts([each(maps, self.layers) for each in self.backbones])
        return outputs
