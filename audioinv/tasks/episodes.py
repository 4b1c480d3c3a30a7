"""Few-shot episodes from frozen features, thousands at a time.

An episode draws N classes, K support and Q query clips of each; a readout fitted to the support
classifies the queries. The protocol is that of MetaAudio (Heggan et al., ICANN 2022) and MT-SLVR
(Heggan et al., Interspeech 2023): 5-way 1-shot, 10,000 episodes, a 95% interval over episodes, long
clips in windows, of which a random one supports and all vote for a query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.stats import norm
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.base.progress import shown
from audioinv.base.randomness import generator
from audioinv.tasks.evidence import evidence_on_grid
from audioinv.tasks.features import first_windows
from audioinv.tasks.settings.fewshot import EpisodeConfig

READOUTS = ("centroid", "logistic", "sgd")
CHUNK = 500
MOST_KEYS = 1 << 24
"""Clips that are drawn from at a time: of large classes fewer episodes together."""
ITERATIONS = 200
EPOCHS, RATE = 20, 0.1  # of the readout sgd, as released


@dataclass(frozen=True)
class Episodes:
    """Clip indices of T episodes: support (T, N, K) and query (T, N, Q)."""

    support: Tensor
    query: Tensor

    def __len__(self) -> int:
        return len(self.support)

    def chunks(self, size: int = CHUNK) -> Iterator[Episodes]:
        """The same episodes in parts of at most `size`."""
        for s, q in zip(self.support.split(size), self.query.split(size), strict=True):
            yield Episodes(s, q)

    def take(self, which: Tensor) -> Episodes:
        """The episodes at `which`, indices or a mask (T,)."""
        return Episodes(self.support[which], self.query[which])


def split_classes(n_classes: int, shares: list[float], seed: int) -> list[Tensor]:
    """Class indices for training, validation and testing: a keyed draw of the given shares.

    Raises:
        UserError: shares that are not three numbers, 0 or more, of sum 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(f"class_split is {shares}; give three shares of sum 1: [.7, .1, .2]")
    order = torch.randperm(n_classes, generator=generator(seed, "class split"))
    first = round(shares[0] * n_classes)
    second = first + round(shares[1] * n_classes)
    return [order[:first], order[first:second], order[second:]]


def draw_episodes(labels: Tensor, classes: Tensor, config: EpisodeConfig, seed: int) -> Episodes:
    """Episodes over the clips of `classes`, drawn without replacement within an episode.

    Args:
        labels: class index of every clip, (n,). classes: which of them may be drawn.

    Raises:
        UserError: fewer classes than N, or no N of them have K + Q clips.
    """
    wanted = config.k_shot + config.n_query
    members = [(labels == c).nonzero().flatten() for c in classes.tolist()]
    members = [rows for rows in members if len(rows) >= wanted]
    if len(members) < config.n_way or min(config.n_way, wanted, config.n_tasks) < 1:
        raise UserError(
            f"{config.n_way}-way episodes of {config.k_shot} + {config.n_query} clips a class need "
            f"{config.n_way} classes of {wanted} clips; there are {len(members)} to test on: lower "
            "n_way, or give testing more of class_split"
        )
    table = torch.nn.utils.rnn.pad_sequence(members, batch_first=True, padding_value=-1)
    draw = generator(seed, "episodes")
    parts = []
    for start in range(0, config.n_tasks, CHUNK):
        n = min(CHUNK, config.n_tasks - start)
        chosen = torch.rand(n, len(members), generator=draw).topk(config.n_way).indices
        for few in chosen.split(max(1, MOST_KEYS // (config.n_way * table.shape[1]))):
            rows = table[few]
            keys = torch.rand(rows.shape, generator=draw).masked_fill(rows < 0, -1)
            parts.append(rows.gather(2, keys.topk(wanted).indices))
    clips = torch.cat(parts)
    return Episodes(clips[..., : config.k_shot], clips[..., config.k_shot :])


@dataclass(frozen=True)
class Windows:
    """Features of every window of every clip.

    Args:
        features: (m, d), a clip's windows one after the other. first, count: (n,), where a clip's
            windows begin and how many there are.
    """

    features: Tensor
    first: Tensor
    count: Tensor

    @classmethod
    def of(cls, features: Tensor, owner: Tensor) -> Windows:
        """From the clip that owns each window, (m,), in ascending order."""
        return cls(features, first_windows(owner), owner.bincount())

    def one_of(self, clips: Tensor, draw: torch.Generator) -> Tensor:
        """A random window of each clip: indices (...) -> features (..., d)."""
        count = self.count[clips]
        place = (torch.rand(clips.shape, generator=draw) * count).long().clamp(max=count - 1)
        return self.features[self.first[clips] + place]

    def all_of(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """All windows of each clip, padded: indices (...) -> ((..., S, d), (..., S) is there)."""
        place = torch.arange(int(self.count[clips].max()))
        there = place < self.count[clips][..., None]
        rows = self.first[clips][..., None] + place.where(there, torch.zeros_like(place))
        return self.features[rows], there


def episode_accuracies(
    windows: Windows, episodes: Episodes, readout: str, seed: int, inverse_l2: float = 1.0
) -> Tensor:
    """Accuracy over its queries of each episode, (T,).

    Args:
        inverse_l2: of the readout logistic.

    Raises:
        UserError: an unknown readout.
    """
    if readout not in READOUTS:
        raise unknown("a readout of fewshot.readouts", readout, READOUTS)
    draw, shuffle = generator(seed, "support windows"), generator(seed, "sgd")
    parts = []
    for part in shown(episodes.chunks(), f"episodes, {readout}", "parts"):
        support = windows.one_of(part.support, draw)
        query, there = windows.all_of(part.query.flatten(1))
        flat = query.flatten(1, 2)
        if readout == "centroid":
            scores = centroid_scores(support, flat)
        elif readout == "sgd":
            scores = sgd_scores(support, flat, sgd_orders(support, shuffle))
        else:
            scores = logistic_scores(support, flat, inverse_l2)
        parts.append(_vote(scores.unflatten(1, there.shape[1:]), there, part.query.shape[1:]))
    return torch.cat(parts)


def centroid_scores(support: Tensor, query: Tensor) -> Tensor:
    """Minus the squared distance of queries (T, M, d) to class means: (T, M, N).

    Args:
        support: (T, N, K, d).
    """
    return -torch.cdist(query, support.mean(2)).square()


def logistic_scores(support: Tensor, query: Tensor, inverse_l2: float = 1.0) -> Tensor:
    """Scores (T, M, N) of a multinomial logistic regression fitted to each support.

    Without intercept, on features centred on the support; the objective is scikit-learn's,
    inverse_l2 * sum of losses + |W|^2 / 2, solved in its dual (W = A^T X) by Boehning's fixed
    bound on the Hessian (Boehning, 1992): every iteration lowers the objective, none needs a step
    size, and the matrix is inverted once.

    Args:
        support: (T, N, K, d). query: (T, M, d).
    """
    t, n_way, k_shot, _ = support.shape
    x = support.flatten(1, 2)
    centre = x.mean(1, keepdim=True)
    x = x - centre
    kernel = (x @ x.mT).double()
    y = torch.eye(n_way, dtype=kernel.dtype).repeat_interleave(k_shot, 0).expand(t, -1, -1)
    eye = torch.eye(kernel.shape[1], dtype=kernel.dtype)
    bound = torch.linalg.inv(kernel / 2 + eye / inverse_l2)
    a = torch.zeros_like(y)
    for _ in range(ITERATIONS):
        change = bound @ ((kernel @ a).softmax(2) - y + a / inverse_l2)
        a = a - change
        if change.abs().max() < 1e-7 * inverse_l2:
            break
    return (((query - centre) @ x.mT).double() @ a).float()


def sgd_orders(support: Tensor, draw: torch.Generator) -> Tensor:
    """In which order each class's classifier sees the support (T, N, K, d): (T, N, EPOCHS, N K)."""
    t, n_way, k_shot, _ = support.shape
    return torch.rand(t, n_way, EPOCHS, n_way * k_shot, generator=draw).argsort(-1)


def sgd_scores(support: Tensor, query: Tensor, orders: Tensor) -> Tensor:
    """Scores (T, M, N) of scikit-learn's SGDClassifier fitted to each support, one class to a rest.

    As MT-SLVR and MetaAudio released it: logistic loss, constant rate 0.1, no penalty, 20 epochs,
    with intercept. Weights that start at 0 stay sums of support clips, so what each clip adds to
    its class's weights is followed instead of them: all episodes and classes at once.

    Args:
        support: (T, N, K, d). query: (T, M, d).
        orders: (T, N, epochs, N K), as `sgd_orders` gives them.
    """
    n_way, k_shot = support.shape[1:3]
    x = support.flatten(1, 2)
    kernel = x.double() @ x.double().mT + 1  # of features beside a 1, for the intercept
    sign = 2 * torch.eye(n_way).double().repeat_interleave(k_shot, 1) - 1  # (N, N K)
    added = torch.zeros(len(x), n_way, n_way * k_shot).double()
    for clip in orders.flatten(2).unbind(2):
        y = sign.expand_as(added).gather(2, clip[..., None])
        rows = kernel.gather(1, clip[..., None].expand(-1, -1, kernel.shape[2]))
        margin = y * (rows * added).sum(2, keepdim=True)
        added = added.scatter_add(2, clip[..., None], RATE * y * torch.sigmoid(-margin))
    return ((query @ x.mT).double() + 1) @ added.mT


def _vote(scores: Tensor, there: Tensor, shape: torch.Size) -> Tensor:
    """Accuracy (T,) where the windows (T, N Q, S) of a query vote; a tie goes by summed scores."""
    n_way = scores.shape[-1]
    ballots = F.one_hot(scores.argmax(-1), n_way) * there[..., None]
    likely = (scores.softmax(-1) * there[..., None]).sum(2)
    votes = ballots.sum(2) + likely / (1 + likely.sum(-1, keepdim=True))
    truth = torch.arange(n_way).repeat_interleave(shape[1])
    return (votes.argmax(-1) == truth).float().mean(1)


def best_corner_of_episodes(features: list[Windows], episodes: Episodes, seed: int) -> Tensor:
    """For each episode, which of C corners has the highest evidence for its support, (T,).

    Args:
        features: the windows at each corner.
    """
    best = torch.full((len(episodes),), -torch.inf, dtype=torch.float64)
    which = torch.zeros(len(episodes), dtype=torch.long)
    for corner, windows in shown(enumerate(features), "evidence of episodes", "corners"):
        draw = generator(seed, "support windows")
        parts = [support_evidence(windows.one_of(part.support, draw)) for part in episodes.chunks()]
        evidence = torch.cat(parts)
        which[evidence > best] = corner
        best = torch.maximum(best, evidence)
    return which


def support_evidence(support: Tensor) -> Tensor:
    """Log evidence, up to a constant, of the one-hot classes of supports (T, N, K, d): (T,).

    The features' scale matters, so they come standardised over the whole corpus.
    """
    n_way, k_shot, d = support.shape[1:]
    x = support.flatten(1, 2).double()
    x = x - x.mean(1, keepdim=True)
    y = torch.eye(n_way, dtype=x.dtype).repeat_interleave(k_shot, 0)
    return evidence_on_grid(x @ x.mT / d, y - y.mean(0)).amax(1)


def interval(accuracies: Tensor) -> tuple[float, float]:
    """95% interval of the mean over episodes (T,), as normally distributed."""
    mean, n = float(accuracies.mean()), len(accuracies)
    half = float(norm.ppf(0.975)) * float(accuracies.std()) / n**0.5 if n > 1 else 0.0
    return max(0.0, mean - half), min(1.0, mean + half)
