"""The clips that a monitor looks at: few, always the same, with labels where there are any."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.bank import ClipSource
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.labels import label_texts
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack
from audioinv.data.rows import sample_rows, training_rows
from audioinv.data.task import Task


@dataclass(frozen=True)
class Probe:
    """Clips (n, ...), and of a task by its name the class (n,) of each, -1 where there is none."""

    clips: Tensor
    task: str = ""
    targets: Tensor | None = None

    @property
    def chance(self) -> float:
        """The share of the commonest class: what is right without looking."""
        if self.targets is None:
            return 0.0
        known = self.targets[self.targets >= 0]
        return float(known.bincount().max() / len(known))


def probe_of(
    clips: Pack | Tensor | ClipSource,
    source: ClipSource,
    encoder: AmortisedEncoder,
    n: int,
    seed: int,
) -> Probe:
    """At most `n` clips, drawn by the seed.

    Of a pack they are of its validation part, or without one of the rows that are trained on; never
    of the test part.

    Args:
        clips: what is trained on. source: the same as batches.
    """
    if not isinstance(clips, Pack):
        drawn = torch.tensor(sample_rows(range(len(source)), n, seed, "monitor"))
        return Probe(source.batch(drawn, generator(seed, "monitor crops")))
    rows = sorted(sample_rows(_unseen_rows(clips), n, seed, "monitor"))
    made = modality_of(clips.corpus.modality).clips(encoder.frontend, clips, rows)
    for task in clips.corpus.tasks:
        targets = _classes(clips.frame.iloc[rows], task)
        if targets is not None:
            return Probe(made, task.name, targets)
    return Probe(made)


def _unseen_rows(pack: Pack) -> list[int]:
    if "split" not in pack.frame:
        return training_rows(pack)
    valid = (pack.frame["split"] == "valid").to_numpy().nonzero()[0].tolist()
    return valid if len(valid) > 1 else training_rows(pack)


def _classes(frame: pd.DataFrame, task: Task) -> Tensor | None:
    """The class (n,) of each row, -1 of one without a label and of one that the task tests on; None
    unless two classes are among them."""
    if task.kind != "classification" or task.augmentation or task.label not in frame:
        return None
    texts = label_texts(frame[task.label], False)
    if task.split in frame:
        texts = texts.where((frame[task.split] != "test").to_numpy(), "")
    codes, classes = pd.factorize(texts.where(texts != ""), sort=True)
    return torch.tensor(codes, dtype=torch.long) if len(classes) > 1 else None
