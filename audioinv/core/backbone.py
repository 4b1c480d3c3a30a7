"""Stock networks with a common face: maps (B, C, H, W) in, pooled features (B, d) out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audioinv.core.errors import UserError

STEMS = ("stock", "no_pool", "cifar")
POOLS = ("time", "global", "both")
LAYERS = ("last", "all")


class Backbone(nn.Module):
    """A timm trunk, a pooling rule and a linear layer.

    Args:
        name: a timm model that offers `forward_intermediates`, for example "resnet18".
        input_size: (C, H, W) of the maps it will see; W may differ later.
        width: multiplies the channels of a ResNet's stages.
        stem: "stock" as timm builds it; "no_pool" without its max-pooling (stride 2 instead of 4);
            "cifar" one 3x3 convolution of stride 1 and no pooling (He et al., CVPR 2016,
            section 4.2).
        pool: "global" averages over both map axes; "time" over the last axis only, and keeps the
            rows apart, so that what stands where on the H axis survives; "both" gives the linear
            layer the columns too, averaged over H, so that it can tell when (for clips of one
            length). Earlier stages are pooled over time then: when is left to the last layer, which
            the descriptor governs.
        dim: output features of the linear layer; 0 leaves it out.
        options: further keyword arguments of the timm model.

    Raises:
        UserError: an unknown model, pooling rule, or option.
    """

    trunk: Any

    def __init__(
        self,
        name: str = "resnet18",
        input_size: tuple[int, int, int] = (1, 64, 64),
        width: float = 1.0,
        stem: str = "stock",
        pool: str = "time",
        dim: int = 256,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if pool not in POOLS:
            raise UserError(f"pool is '{pool}'; give {' or '.join(POOLS)}")
        self.pool = pool
        self.trunk = _create(name, input_size[0], width, dict(options or {}))
        _set_stem(self.trunk, stem, input_size[0])
        rows = self._pool_last(self._maps(torch.zeros(2, *input_size))[-1]).shape[1]
        self.linear = nn.Linear(rows, dim) if dim else nn.Identity()
        self.dim = dim or rows

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features of maps `x` (B, C, H, W).

        Args:
            layers: "last" gives (B, dim); "all" puts the pooled output of every stage before it.
        """
        maps = self._maps(x)
        last = self.linear(self._pool_last(maps[-1]))
        if layers == "last":
            return last
        return torch.cat([self._pool(m) for m in maps] + [last], dim=1)

    def _maps(self, x: Tensor) -> list[Tensor]:
        return self.trunk.forward_intermediates(x, intermediates_only=True)

    def _pool_last(self, maps: Tensor) -> Tensor:
        pooled = self._pool(maps)
        if self.pool != "both":
            return pooled
        return torch.cat([pooled, maps.mean(2).flatten(1)], dim=1)

    def _pool(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3)) if self.pool == "global" else maps.mean(3).flatten(1)


class Statistics(nn.Module):
    """No network at all: mean and standard deviation of every row over the last axis, (B, 2 C H).

    The baseline that a sceptic asks for first.
    """

    def __init__(self, input_size: tuple[int, int, int]) -> None:
        super().__init__()
        self.dim = 2 * input_size[0] * input_size[1]

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features (B, 2 C H) of maps `x` (B, C, H, W); `layers` makes no difference."""
        return torch.cat([x.mean(3), x.std(3)], dim=2).flatten(1)


class Concat(nn.Module):
    """Several networks side by side, their features one after the other.

    Args:
        parts: options of `build_backbone` for each, with "name".
    """

    def __init__(
        self, input_size: tuple[int, int, int], parts: Sequence[Mapping[str, Any]]
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(build_backbone(input_size=input_size, **part) for part in parts)
        self.dim = sum(part.dim for part in cast(Iterable[Any], self.parts))

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features of maps `x` (B, C, H, W): those of every part, (B, sum of d)."""
        return torch.cat([part(x, layers) for part in self.parts], dim=1)


class Hear(nn.Module):
    """Any module of the HEAR 2021 API (Turian et al., 2022) as a frozen feature extractor.

    Its front end is "waveform". The module's `load_model` and `get_scene_embeddings` are called.

    Args:
        module: an importable name. weights: a path for `load_model`; "" for its own default.

    Raises:
        UserError: a module that was not trusted by name, cannot be imported, or lacks the API.
    """

    def __init__(self, input_size: tuple[int, int, int], module: str, weights: str = "") -> None:
        super().__init__()
        if module not in TRUSTED_MODULES:
            raise UserError(
                f"the encoder runs code of the module '{module}'; if you trust it, add "
                f"trusted_modules=[{module}]"
            )
        try:
            api = import_module(module)
            self.model = api.load_model(*([weights] if weights else []))
            self.get_scene_embeddings = api.get_scene_embeddings
            self.dim = int(self.model.scene_embedding_size)
        except (ImportError, AttributeError) as error:
            raise UserError(f"'{module}' is no module of the HEAR API: {error}") from error

    @torch.no_grad()
    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Scene embeddings (B, dim) of waveforms `x` (B, 1, 1, T); `layers` makes no difference."""
        embeddings: Tensor = self.get_scene_embeddings(x[:, 0, 0], self.model)
        return embeddings


TRUSTED_MODULES: set[str] = set()
"""Names that `Hear` may import: a saved encoder must not run code that its user did not allow."""

OTHERS = {"statistics": Statistics, "concat": Concat, "hear": Hear}


def build_backbone(name: str, input_size: tuple[int, int, int], **options: Any) -> nn.Module:
    """The backbone called `name`: a timm model, or one of `OTHERS` with its own options."""
    return OTHERS.get(name, partial(Backbone, name))(input_size=input_size, **options)


def load_trunk(backbone: nn.Module, path: str | Path) -> int:
    """Loads a timm state dict (safetensors, or weights-only .pt/.pth) into the trunk.

    Tensors under other names or of other shapes are left out, such as a classifier's.

    Returns:
        how many of the trunk's tensors were loaded.

    Raises:
        UserError: an unreadable file, one of which nothing fits, or a backbone without a trunk.
    """
    if not isinstance(backbone, Backbone):
        raise UserError(f"init_weights is for timm networks; this one is {type(backbone).__name__}")
    own = backbone.trunk.state_dict()
    try:
        if str(path).endswith(".safetensors"):
            given = load_file(path)
        else:
            given = torch.load(path, map_location="cpu", weights_only=True)
        fitting = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise UserError(f"cannot read weights from {path}: {error}") from error
    if not fitting:
        raise UserError(
            f"no tensor of {path} fits this backbone; it expects {next(iter(own))}, ..."
        )
    backbone.trunk.load_state_dict({**own, **fitting})
    return len(fitting)


def _create(name: str, in_channels: int, width: float, options: dict[str, Any]) -> nn.Module:
    if name not in timm.list_models():
        near = ", ".join(timm.list_models(f"{name[:6]}*")[:6]) or "resnet18, resnet50"
        raise UserError(f"timm has no model '{name}'; for example: {near}")
    if width != 1.0:
        options["channels"] = [max(8, int(width * c)) for c in (64, 128, 256, 512)]
    try:
        return timm.create_model(name, in_chans=in_channels, num_classes=0, **options)
    except (TypeError, RuntimeError) as error:
        raise UserError(f"timm could not build {name} with {options}: {error}") from error


def _set_stem(trunk: Any, stem: str, in_channels: int) -> None:
    if stem not in STEMS:
        raise UserError(f"stem is '{stem}'; give one of {', '.join(STEMS)}")
    if stem == "stock":
        return
    if not hasattr(trunk, "maxpool"):
        raise UserError(f"stem '{stem}' is for ResNets; leave it at stock")
    trunk.maxpool = nn.Identity()
    if stem == "cifar":
        trunk.conv1 = nn.Conv2d(in_channels, trunk.bn1.num_features, 3, padding=1, bias=False)
