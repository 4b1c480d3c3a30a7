"""How good features are without a task: effective rank, alignment, uniformity, neighbours, gaps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.bank import AugmentationBank


def effective_rank(features: Tensor, eps: float = 1e-7) -> float:
    """RankMe (Garrido et al., ICML 2023, eq. 3): exp of the entropy of the singular values.

        p_k = sigma_k / sum_j sigma_j + eps,     exp(-sum_k p_k log p_k)

    Args:
        features: (n, d), as they are: neither centred nor scaled.

    Returns:
        1, all are multiples of one vector, to min(n, d); 1 where all are zero.
    """
    sigma = torch.linalg.svdvals(features.double())
    p = sigma / sigma.sum().clamp_min(torch.finfo(sigma.dtype).tiny) + eps
    return max(1.0, float((-(p * p.log()).sum()).exp()))


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of features (n, d) of two views on the unit sphere, 0 to 4.

    Wang and Isola (ICML 2020, section 4.1), with alpha = 2. 0 is two views that are the same.
    """
    apart = F.normalize(first.double(), dim=1) - F.normalize(second.double(), dim=1)
    return float(apart.square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Log of the mean Gaussian potential of pairs of features (n, d) on the unit sphere, -8 to 0.

    Wang and Isola (ICML 2020, section 4.1), with t = 2. Spread evenly over many dimensions it is
    near -4; 0 is one single point.

    Raises:
        UserError: fewer than two features, which are no pair.
    """
    if len(features) < 2:
        raise UserError(
            f"uniformity is of pairs, there are {len(features)} features; give 2 or more"
        )
    squared = torch.pdist(F.normalize(features.double(), dim=1)).square()
    return float((-2 * squared).exp().mean().log())


def leave_one_out(features: Tensor, targets: Tensor, k: int, temperature: float = 0.07) -> float:
    """Share of the clips, 0 to 1, whose class their k nearest neighbours among the others vote for.

    Features (n, d) are centred and compared by cosine; a neighbour votes with
    exp(cosine / temperature) (Wu et al., CVPR 2018, section 3.4).

    Args:
        targets: class indices (n,). k: at most n - 1 are taken.
    """
    z = F.normalize((features - features.mean(0)).double(), dim=1)
    cosine = (z @ z.T).fill_diagonal_(-torch.inf)
    near = cosine.topk(min(k, len(z) - 1), dim=1)
    votes = z.new_zeros(len(z), int(targets.max()) + 1)
    votes.scatter_add_(1, targets[near.indices], ((near.values - 1) / temperature).exp())
    return float((votes.argmax(1) == targets).double().mean())


def centred_cosine(clean: Tensor, augmented: Tensor) -> float:
    """Mean cosine of features (n, d) of clips and augmented clips, centred by the clean mean."""
    centre = clean.mean(0)
    return float(F.cosine_similarity(clean - centre, augmented - centre, dim=1).mean())


@torch.no_grad()
def augmented_alone(bank: AugmentationBank, name: str, x: Tensor, seed: int) -> Tensor:
    """Clips `x` (B, ...) with the augmentation `name` alone, drawn at its full range."""
    params = {other: a.identity(len(x)) for other, a in bank.augmentations.items()}
    drawn = bank.augmentations[name].sample(len(x), generator(seed, "measure", name))
    return bank.apply(x, {**params, name: drawn})
