"""Where few labels are positive, choices go by average precision: accuracy misleads."""

from __future__ import annotations

import torch
from torch import Tensor

from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import AdaptConfig, Mixture, choose, fit
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.readout import fit_readout
from audioinv.tasks.scores import score

SPACE = DescriptorSpace.single(["a", "b", "c"], min_active=0)


def sparse_labels() -> tuple[Labelled, Tensor, Tensor]:
    """One positive in a hundred, and two features that only together tell suspects from the rest.

    Of the suspects two in three are positive in training, two in five in validation: by accuracy,
    never to suspect is better. The last value holds noise.
    """
    g, half = generator(0, "sparse"), 1000
    target, suspect = torch.zeros(2 * half), torch.zeros(2 * half)
    for first, suspects in ((0, 15), (half, 25)):
        target[first : first + 10] = 1
        suspect[first : first + suspects] = 1
    hiding, noise = torch.randn(2 * half, generator=g), torch.randn(2 * half, 2, generator=g)
    rows = torch.arange(2 * half).split(half)
    data = Labelled(target[:, None], "multilabel", ["rare"], *rows)
    return data, torch.stack([suspect + hiding, hiding], 1), noise


def test_sparse_labels_choose_a_corner_by_average_precision() -> None:
    data, telling, noise = sparse_labels()

    def features_at(descriptor: Tensor) -> Tensor:
        return noise if descriptor[0] else torch.stack([telling[:, 0] - telling[:, 1]] * 2, 1)

    wrong = {}
    for corner in (SPACE.all_on(), SPACE.parse("-a")):
        x = features_at(corner)
        readout = fit_readout(
            x[data.train], data.targets[data.train], "multilabel", data.classes, "logistic"
        )
        predicted = readout.predict(x[data.valid])
        wrong[float(corner[0])] = int((predicted != data.targets[data.valid]).sum())
    assert wrong == {1.0: 10, 0.0: 15}, "by accuracy, the useless corner is the better one"
    chosen = choose("search:validation", SPACE, features_at, data, AdaptConfig())
    assert float(chosen.reported[0]) == 0


def test_sparse_labels_choose_the_l2_by_average_precision() -> None:
    data, telling, _ = sparse_labels()
    readout = fit(Mixture.single(SPACE.all_on()), lambda i: telling, data, AdaptConfig())
    assert score(readout.scores(telling[data.valid]), data.targets[data.valid], "multilabel") > 0.3
