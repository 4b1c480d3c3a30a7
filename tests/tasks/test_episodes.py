"""Episodes against independent loops over scikit-learn, one episode at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.tasks.episodes import (
    Episodes,
    Windows,
    best_corner_of_episodes,
    draw_episodes,
    episode_accuracies,
    interval,
    logistic_scores,
    sgd_orders,
    sgd_scores,
    split_classes,
    support_evidence,
)
from audioinv.tasks.evidence import best_noise, kernel
from audioinv.tasks.settings.fewshot import FewShotConfig

LABELS = torch.arange(12).repeat_interleave(9)


def features(noise: float = 2.0, d: int = 6) -> Tensor:
    centres = torch.randn(12, d, generator=generator(0, "centres"))
    return centres[LABELS] + noise * torch.randn(len(LABELS), d, generator=generator(0, "noise"))


def one_window(x: Tensor) -> Windows:
    return Windows.of(x, torch.arange(len(x)))


@given(
    n_way=st.integers(1, 6), k_shot=st.integers(1, 4), n_query=st.integers(1, 3), seed=st.integers()
)
@settings(max_examples=30, deadline=None)
def test_an_episode_is_what_it_says(n_way: int, k_shot: int, n_query: int, seed: int) -> None:
    config = FewShotConfig(n_way=n_way, k_shot=k_shot, n_query=n_query, n_tasks=40)
    classes = torch.tensor([1, 3, 4, 7, 8, 11])
    episodes = draw_episodes(LABELS, classes, config, seed % 1000)
    assert episodes.support.shape == (40, n_way, k_shot)
    assert episodes.query.shape == (40, n_way, n_query)
    both = torch.cat([episodes.support, episodes.query], dim=2)
    labels = LABELS[both]
    assert bool((labels == labels[:, :, :1]).all()), "support and query share their class"
    for clips, own in zip(both.flatten(1).tolist(), labels[:, :, 0].tolist(), strict=True):
        assert len(set(clips)) == len(clips), "no clip twice in an episode"
        assert len(set(own)) == n_way and set(own) <= set(classes.tolist())


def test_large_classes_are_drawn_from_in_parts_that_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = FewShotConfig(n_way=3, k_shot=2, n_tasks=700)
    whole = draw_episodes(LABELS, torch.arange(12), config, 0)
    monkeypatch.setattr("audioinv.tasks.episodes.MOST_KEYS", 200)
    parts = draw_episodes(LABELS, torch.arange(12), config, 0)
    assert torch.equal(parts.support, whole.support) and torch.equal(parts.query, whole.query)


def test_every_class_and_clip_comes_up_equally_often() -> None:
    config = FewShotConfig(n_way=3, n_tasks=6000)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 0)
    share = LABELS[episodes.query].flatten().bincount() / 18000
    assert float((share - 1 / 12).abs().max()) < 0.01
    clips = episodes.support.flatten().bincount(minlength=len(LABELS)) / 18000
    assert float((clips - 1 / len(LABELS)).abs().max()) < 0.004


@pytest.mark.parametrize("k_shot", [1, 3])
def test_centroids_are_scikit_learns_exactly(k_shot: int) -> None:
    x, config = features(), FewShotConfig(k_shot=k_shot, n_query=2, n_tasks=200)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 1)
    ours = episode_accuracies(one_window(x), episodes, "centroid", 0)
    truth = np.repeat(np.arange(5), k_shot), np.repeat(np.arange(5), 2)
    for k in range(200):
        model = NearestCentroid().fit(x[episodes.support[k].flatten()].numpy(), truth[0])
        predicted = model.predict(x[episodes.query[k].flatten()].numpy())
        assert float(ours[k]) == pytest.approx((predicted == truth[1]).mean(), abs=1e-6)
    assert 0.3 < float(ours.mean()) < 0.9


@pytest.mark.parametrize(("k_shot", "inverse_l2"), [(1, 1.0), (3, 1.0), (3, 0.1)])
def test_logistic_scores_are_scikit_learns(k_shot: int, inverse_l2: float) -> None:
    x = features()
    config = FewShotConfig(k_shot=k_shot, n_tasks=8)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 2)
    ours = logistic_scores(x[episodes.support], x[episodes.query[..., 0]], inverse_l2).double()
    for k in range(8):
        support = x[episodes.support[k].flatten()].double().numpy()
        centre = support.mean(0)
        model = LogisticRegression(C=inverse_l2, fit_intercept=False, tol=1e-10, max_iter=5000)
        model.fit(support - centre, np.repeat(np.arange(5), k_shot))
        expected = (x[episodes.query[k].flatten()].double().numpy() - centre) @ model.coef_.T
        np.testing.assert_allclose(ours[k].numpy(), expected, atol=2e-3)


RELEASED = {
    "loss": "log_loss", "max_iter": 20, "tol": None, "learning_rate": "constant", "eta0": 0.1,
    "alpha": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(("n_way", "k_shot", "scale"), [(5, 1, 1.0), (5, 1, 5.0), (3, 4, 1.0)])
def test_sgd_scores_are_scikit_learns(n_way: int, k_shot: int, scale: float) -> None:
    """In the order of the clips: scikit-learn's own shuffling cannot be asked for."""
    x = scale * features().double()
    config = FewShotConfig(n_way=n_way, k_shot=k_shot, n_tasks=8)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 2)
    support, query = x[episodes.support], x[episodes.query[..., 0]]
    orders = torch.arange(n_way * k_shot).expand(8, n_way, 20, -1)
    ours = sgd_scores(support, query, orders)
    for k in range(8):
        model = SGDClassifier(**RELEASED, shuffle=False)
        model.fit(support[k].flatten(0, 1).numpy(), np.repeat(np.arange(n_way), k_shot))
        expected = model.decision_function(query[k].numpy())
        np.testing.assert_allclose(ours[k].numpy(), expected, atol=1e-8, rtol=1e-8)
    single = sgd_scores(support.float(), query.float(), orders)
    torch.testing.assert_close(single, ours, rtol=0.01, atol=0.01)


def test_shuffled_sgd_reads_out_what_scikit_learns_does() -> None:
    x, config = features(), FewShotConfig(n_tasks=300)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 3)
    ours = episode_accuracies(one_window(x), episodes, "sgd", 0)
    theirs = []
    for support, query in zip(episodes.support.flatten(1), episodes.query.flatten(1), strict=True):
        model = SGDClassifier(**RELEASED, random_state=0).fit(x[support].numpy(), np.arange(5))
        theirs.append(float((model.predict(x[query].numpy()) == np.arange(5)).mean()))
    assert float(ours.mean()) == pytest.approx(np.mean(theirs), abs=0.01)
    assert float((ours - torch.tensor(theirs)).abs().mean()) < 0.03
    assert not torch.equal(
        sgd_orders(x[episodes.support], generator(0, "a"))[0, 0, 0],
        sgd_orders(x[episodes.support], generator(0, "a"))[0, 0, 1],
    )


def test_the_windows_of_a_query_vote() -> None:
    """Class 0 wins two windows of three narrowly, class 1 one of them by far: the vote is 0."""
    support = torch.tensor([[0.0], [10.0]])
    query = torch.tensor([[4.9], [4.9], [9.9], [10.0]])
    windows = Windows.of(torch.cat([support, query]), torch.tensor([0, 1, 2, 2, 2, 3]))
    episodes = Episodes(torch.tensor([[[0], [1]]]), torch.tensor([[[2], [3]]]))
    assert float(episode_accuracies(windows, episodes, "centroid", 0)) == 1.0


def test_a_random_window_supports() -> None:
    windows = Windows.of(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 0, 1, 1]))
    drawn = windows.one_of(torch.tensor([0, 1]).repeat(500, 1), generator(0, "w"))[..., 0]
    assert drawn[:, 0].unique().tolist() == [0, 1, 2, 3]
    assert drawn[:, 1].unique().tolist() == [4, 5]


def test_evidence_of_many_supports_is_that_of_each() -> None:
    x = features()
    episodes = draw_episodes(LABELS, torch.arange(12), FewShotConfig(k_shot=3, n_tasks=5), 3)
    ours = support_evidence(x[episodes.support])
    y = torch.eye(5).repeat_interleave(3, 0).double()
    for k in range(5):
        support = x[episodes.support[k].flatten()].double()
        support = support - support.mean(0)
        expected = best_noise(support @ support.T / support.shape[1], y - y.mean(0))[0]
        assert float(ours[k]) == pytest.approx(float(expected), rel=1e-6)
    assert kernel(x).shape == (len(x), len(x))


def test_each_episode_finds_the_corner_that_tells_its_classes() -> None:
    good, bad = one_window(features(0.3)), one_window(torch.randn(len(LABELS), 6))
    config = FewShotConfig(k_shot=4, n_tasks=100)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 4)
    assert float(best_corner_of_episodes([bad, good], episodes, 0).float().mean()) > 0.95


def test_classes_are_split_by_shares() -> None:
    parts = split_classes(10, [0.7, 0.1, 0.2], 0)
    assert [len(part) for part in parts] == [7, 1, 2]
    assert sorted(torch.cat(parts).tolist()) == list(range(10))
    assert not torch.equal(parts[0], split_classes(10, [0.7, 0.1, 0.2], 1)[0])
    for shares in ([0.5, 0.6, 0.2], [1.0], [1.2, -0.2, 0.0]):
        with pytest.raises(UserError, match=rf"class_split.*\[{shares[0]}.*\[\.7, \.1, \.2\]"):
            split_classes(10, shares, 0)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (FewShotConfig(n_way=4), "there are 3 to test on"),
        (FewShotConfig(n_way=2, k_shot=9), "9 \\+ 1 clips"),
        (FewShotConfig(n_tasks=0), "episodes"),
    ],
)
def test_episodes_that_cannot_be(config: FewShotConfig, word: str) -> None:
    with pytest.raises(UserError, match=word):
        draw_episodes(LABELS, torch.tensor([0, 1, 2]), config, 0)


def test_an_unknown_readout() -> None:
    config = FewShotConfig(n_tasks=2)
    episodes = draw_episodes(LABELS, torch.arange(12), config, 0)
    with pytest.raises(UserError, match=r"fewshot\.readouts.*'svm'.*centroid.*logistic"):
        episode_accuracies(one_window(features()), episodes, "svm", 0)


def test_the_interval_covers_the_mean_of_many_episodes() -> None:
    values = (torch.rand(10000, generator=generator(0, "v")) < 0.6).float()
    low, high = interval(values)
    assert low < float(values.mean()) < high
    assert high - low == pytest.approx(2 * 1.96 * (0.24 / 10000) ** 0.5, rel=0.02)
