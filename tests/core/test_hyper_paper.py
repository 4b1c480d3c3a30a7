"""The paper's ResNets (Chavhan et al., ICLR 2023): every parameter counted, every block redone.

Per residual block an embedding K -> 16 without bias; per convolution of the block, its downsample's
among them, an MLP 16 -> 32 -> ReLU -> numel(kernel). The stem is not generated, BatchNorm shared.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Backbone
from audioinv.core.conditioning import HyperConditioning

K = 5
ON = torch.ones(K)
SIZE = (3, 64, 64)


def kernels(name: str) -> tuple[int, list[int]]:
    """Blocks, and the size of every generated kernel, from He et al. (CVPR 2016), table 1."""
    blocks = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}[name]
    sizes, before = [], 64
    for stage, n in enumerate(blocks):
        p = 64 * 2**stage
        for _ in range(n):
            after = p if name == "resnet18" else 4 * p
            if name == "resnet18":
                sizes += [before * p * 9, p * p * 9]
            else:
                sizes += [before * p, p * p * 9, p * after]
            if before != after:  # the first block of a stage: a 1x1 kernel on the shortcut
                sizes.append(before * after)
            before = after
    return sum(blocks), sizes


@pytest.mark.parametrize(
    ("name", "total", "generated"),
    [("resnet18", 368_208_608, 11_157_504), ("resnet50", 773_731_200, 23_445_504)],
)
def test_the_paper_setting_has_the_papers_parameters(name: str, total: int, generated: int) -> None:
    blocks, sizes = kernels(name)
    assert sum(sizes) == generated
    assert blocks * K * 16 + sum(16 * 32 + 32 + 32 * n + n for n in sizes) == total
    with torch.device("meta"):
        net = Backbone(name, (3, 224, 224), pool="global", dim=0)
        conditioning = HyperConditioning(net, K, bases=32, embedding=16)
    # The last bias of each MLP is the kernel that stays in the backbone.
    bases = [net.get_parameter(n).numel() for n in conditioning.names]
    assert sum(p.numel() for p in conditioning.parameters()) + sum(bases) == total
    assert sorted(bases) == sorted(sizes)
    assert "trunk.conv1.weight" not in conditioning.names


class Extremes(nn.Module):
    """The smallest and the largest kernel that a ResNet-50 has generated."""

    def __init__(self) -> None:
        super().__init__()
        self.small = nn.ModuleList([nn.Conv2d(64, 64, 1, bias=False)])
        self.large = nn.ModuleList([nn.Conv2d(512, 512, 3, bias=False)])


@torch.no_grad()
def spreads(corners: Tensor, seed: int, **options: Any) -> tuple[list[float], Any]:
    """How much the two kernels vary between corners, relative to their own spread."""
    with seeded(seed, "extremes"):
        net = Extremes()
        made = HyperConditioning(net, corners.shape[1], bases=32, **options)
    found = []
    for name, base in net.named_parameters():
        kernels = torch.stack([base + made(corner)[name] for corner in corners])
        found.append(float(kernels.std(0, correction=0).mean() / kernels.std()))
    return found, net


@pytest.mark.slow
def test_kernels_start_as_in_the_released_code() -> None:
    """It was read there as .005 to .15, K = 2; the larger of two kernels varies the less."""
    corners = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    small, large = zip(*(spreads(corners, s, start="paper")[0] for s in range(4)), strict=True)
    assert 0.1 < sum(small) / 4 < 0.2
    assert 0.004 < sum(large) / 4 < 0.009
    (ours, _), net = spreads(corners, 0)
    assert ours > 0.3
    base = spreads(corners, 0, start="paper")[1].large[0].weight
    assert float(base.std()) == pytest.approx(1 / math.sqrt(32 * 3), rel=1e-3)
    assert float(base.abs().max()) == pytest.approx(1 / math.sqrt(32), rel=1e-3)
    assert float(net.large[0].weight.std()) < 0.01  # as the network's own authors draw it


@torch.no_grad()
def pair(width: float) -> tuple[Any, Any]:
    """ResNet-50 in the paper's setting; timm starts each branch's last BatchNorm at 0, this not."""
    with seeded(0, "paper"):
        net = Backbone("resnet50", SIZE, width=width, pool="global", dim=0)
        for value in net.parameters():
            if value.ndim == 1:
                nn.init.uniform_(value, 0.2, 1.0)
        conditioning = HyperConditioning(net, K, bases=32, embedding=16)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0  # the running statistics are those of the next batch
    features(net, conditioning, torch.randn(8, *SIZE, generator=generator(0, "calibration")), ON)
    return net, conditioning


def features(net: Any, conditioning: Any, x: Tensor, i: Tensor) -> Tensor:
    weights = {name: net.get_parameter(name) + added for name, added in conditioning(i).items()}
    return torch.func.functional_call(net, weights, (x,))


def naive_features(net: Any, conditioning: Any, x: Tensor, i: Tensor) -> Tensor:
    """Pooled features, bottleneck by bottleneck: He et al. (CVPR 2016) with generated kernels."""
    p = dict(net.trunk.named_parameters())
    stats = dict(net.trunk.named_buffers())
    mlps = dict(zip(conditioning.names, conditioning.modulations, strict=True))

    def kernel(name: str, e: Tensor) -> Tensor:
        mlp, bias = mlps[f"trunk.{name}"], p[name].flatten()
        hidden = torch.relu(F.linear(e, mlp.hidden.weight, mlp.hidden.bias))
        return F.linear(hidden, mlp.full.T, bias).view(p[name].shape)

    def norm(x: Tensor, bn: str) -> Tensor:
        if net.training:
            return F.batch_norm(x, None, None, p[f"{bn}.weight"], p[f"{bn}.bias"], training=True)
        mean, var = stats[f"{bn}.running_mean"], stats[f"{bn}.running_var"]
        return F.batch_norm(x, mean, var, p[f"{bn}.weight"], p[f"{bn}.bias"])

    def bottleneck(x: Tensor, block: str, stride: int) -> Tensor:
        e = conditioning.embeddings[f"trunk/{block.replace('.', '/')}"].weight @ i
        y = F.relu(norm(F.conv2d(x, kernel(f"{block}.conv1.weight", e)), f"{block}.bn1"))
        y = F.conv2d(y, kernel(f"{block}.conv2.weight", e), stride=stride, padding=1)
        y = F.relu(norm(y, f"{block}.bn2"))
        y = norm(F.conv2d(y, kernel(f"{block}.conv3.weight", e)), f"{block}.bn3")
        if f"{block}.downsample.0.weight" in p:
            x = F.conv2d(x, kernel(f"{block}.downsample.0.weight", e), stride=stride)
            x = norm(x, f"{block}.downsample.1")
        return F.relu(x + y)

    x = F.relu(norm(F.conv2d(x, p["conv1.weight"], stride=2, padding=3), "bn1"))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for k in range(blocks):
            x = bottleneck(x, f"layer{stage}.{k}", 2 if k == 0 and stage > 1 else 1)
    return x.mean((2, 3))


@torch.no_grad()
def agree(width: float, training: bool) -> None:
    net, conditioning = pair(width)
    net.train(training)
    x = torch.randn(4, *SIZE, generator=generator(0, "maps"))
    seen = []
    for i in (ON, torch.tensor([1.0, 0.0, 1.0, 0.0, 0.4])):
        expected = naive_features(net, conditioning, x, i)
        ours = features(net, conditioning, x, i)
        assert ours.shape == (4, int(2048 * width))
        assert (ours - expected).norm() < 1e-5 * expected.norm()
        seen.append(expected)
    assert (seen[0] - seen[1]).norm() > 0.1 * seen[0].norm()


@pytest.mark.parametrize("training", [False, True])
def test_features_are_those_of_generated_bottlenecks(training: bool) -> None:
    """All 16 blocks of ResNet-50 in the paper's setting, at an eighth of its width."""
    agree(0.125, training)


@pytest.mark.slow
def test_features_are_those_of_generated_bottlenecks_at_full_width() -> None:
    if available_gb() < 8:
        pytest.skip("needs 8 GB of free memory: it takes 4, of which others may want some too")
    agree(1.0, training=False)


def available_gb() -> float:
    """Memory that can be had without swapping; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable"))
