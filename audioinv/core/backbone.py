"""Stock networks with a common face: maps (B, C, H, W) in, pooled features (B, d) out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import check_options, meant, unknown

STEMS = ("stock", "no_pool", "cifar")
POOLS = ("time", "global", "both")
LAYERS = ("last", "all", "depth")
"""Which of a network's levels features are made of; see `Backbone.forward`."""
VITS = ("vision_transformer", "deit")  # timm's modules of them
LOADING = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
"""Options by which timm would fetch or open files that a saved encoder names."""


class Backbone(nn.Module):
    """A timm trunk, a pooling rule and a linear layer.

    Args:
        name: a timm model that offers `forward_intermediates`, for example "resnet18".
        input_size: (C, H, W) of the maps it will see; W may differ later, but where pool is "both".
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
        options: further keyword arguments of the timm model. Of its ResNets, zero_init_last=False
            starts the last BatchNorm of each residual block at one, as torchvision and InvCLR do;
            timm starts it at zero, so that blocks begin as the identity.

    Raises:
        UserError: an unknown model, pooling rule, or option.
    """

    trunk: Any
    pools: tuple[str, ...] = POOLS

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
        if pool not in self.pools:
            raise unknown(f"pool of {name}", pool, self.pools)
        self.pool = pool
        self.input_size = input_size
        self.trunk = _create(name, input_size[0], width, dict(options or {}))
        _set_stem(self.trunk, stem, input_size[0])
        rows = self._pool_last(self._maps(torch.zeros(2, *input_size))[-1]).shape[1]
        self.linear = nn.Linear(rows, dim) if dim else nn.Identity()
        self.dim = dim or rows
        self.sizes = tuple(level.shape[1] for level in self.levels(torch.zeros(2, *input_size)))

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features of maps `x` (B, C, H, W).

        Args:
            layers: "last" gives (B, dim); "all" puts the pooled output of every stage before it,
                the last stage's only where a linear layer follows it; "depth" gives all `levels`
                side by side, of `sizes` features each.
        """
        if layers == "last":
            return self._last(self._maps(x)[-1])
        levels = self.levels(x)
        return torch.cat(levels if layers == "depth" else levels[1:], dim=1)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Features (B, d) of maps `x` (B, C, H, W) level by level: 0 is mean and deviation of the
        front end's rows; each stage follows, pooled, and then the last layer."""
        maps = self._maps(x)
        before = maps[:-1] if isinstance(self.linear, nn.Identity) else maps
        return [rows_of(x), *(self._pool(m) for m in before), self._last(maps[-1])]

    def _last(self, maps: Tensor) -> Tensor:
        pooled = self._pool_last(maps)
        expected = getattr(self.linear, "in_features", pooled.shape[1])
        if not torch.jit.is_tracing() and pooled.shape[1] != expected:
            raise UserError(
                f"with pool={self.pool} this network takes maps of {tuple(self.input_size[1:])} "
                "alone; give clips of its own length, or encoder.embed, which cuts windows"
            )
        last: Tensor = self.linear(pooled)
        return last

    def _maps(self, x: Tensor) -> list[Tensor]:
        return self.trunk.forward_intermediates(x, intermediates_only=True)

    def _pool_last(self, maps: Tensor) -> Tensor:
        pooled = self._pool(maps)
        if self.pool != "both":
            return pooled
        return torch.cat([pooled, maps.mean(2).flatten(1)], dim=1)

    def _pool(self, maps: Tensor) -> Tensor:
        if self.pool == "global":
            return maps.mean((2, 3))
        # With the channels last, as they lie in memory on CPUs: a tenth of the time.
        return maps.permute(0, 2, 3, 1).mean(2).transpose(1, 2).flatten(1)


class Vit(Backbone):
    """A timm ViT (Dosovitskiy et al., ICLR 2021) as a backbone.

    Its maps are the patches after each block, through the final norm, (B, D, H/p, W/p) for patches
    of p x p. One more `pool`, "token", takes the class token of each block in their place. Where it
    has a `prompt` (1, 1, D), that is one more token, after the patches, never pooled.

    Args:
        options: as in `Backbone`; `img_size` is `input_size`'s unless given.

    Raises:
        UserError: as in `Backbone`, and pool "token" where there is no class token.
    """

    pools = (*POOLS, "token")

    def __init__(
        self,
        name: str,
        input_size: tuple[int, int, int],
        options: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        options = {"img_size": tuple(input_size[1:]), **(options or {})}
        super().__init__(name, input_size, options=options, **others)
        if self.pool == "token" and self.trunk.cls_token is None:
            raise UserError(f"{name} has no class token; set pool to global")

    def add_prompt(self) -> None:
        """Gives it a prompt of zeros, for a conditioning to add to."""
        self.prompt = nn.Parameter(torch.zeros(1, 1, self.trunk.embed_dim))

    def tokens(self, x: Tensor) -> Tensor:
        """What the first block sees of maps `x` (B, C, H, W): (B, tokens, D)."""
        trunk = self.trunk
        tokens = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(x))))
        if not hasattr(self, "prompt"):
            return tokens
        return torch.cat([tokens, self.prompt.expand(len(x), -1, -1)], dim=1)

    def resample(self, positions: Tensor) -> Tensor:
        """Position embeddings (1, tokens, D) of a square grid, interpolated to its own grid."""
        trunk = self.trunk
        if trunk.pos_embed is None or trunk.pos_embed.shape == positions.shape:
            return positions
        before = 0 if trunk.no_embed_class else trunk.num_prefix_tokens
        grid = trunk.patch_embed.grid_size
        return resample_abs_pos_embed(positions, grid, num_prefix_tokens=before)

    def _maps(self, x: Tensor) -> list[Tensor]:
        tokens, maps = self.tokens(x), []
        for block in self.trunk.blocks:
            tokens = block(tokens)
            maps.append(self._map(tokens, x.shape[2:]))
        return maps

    def _map(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        if self.pool == "token":
            return self.trunk.norm(tokens[:, 0])[:, :, None, None]
        height, width = self.trunk.patch_embed.dynamic_feat_size(size)
        patches = tokens[:, self.trunk.num_prefix_tokens :][:, : height * width]
        return self.trunk.norm(patches).transpose(1, 2).unflatten(2, (height, width))


def rows_of(x: Tensor) -> Tensor:
    """Mean and standard deviation of every row of maps `x` (B, C, H, W), (B, 2 C H)."""
    mean = x.mean(3)
    # torch's own std takes ten times as long on CPUs.
    variance = (x - mean[..., None]).square().sum(3) / (x.shape[3] - 1)
    return torch.cat([mean, variance.sqrt()], dim=2).flatten(1)


class Statistics(nn.Module):
    """No network at all: level 0 alone, `rows_of`. The baseline that a sceptic asks for first."""

    def __init__(self, input_size: tuple[int, int, int]) -> None:
        super().__init__()
        self.dim = 2 * input_size[0] * input_size[1]
        self.sizes = (self.dim,)

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features (B, 2 C H) of maps `x` (B, C, H, W); `layers` makes no difference."""
        return rows_of(x)


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
        built: list[Any] = list(self.parts)
        self.dim = sum(part.dim for part in built)
        self.sizes = sum((part.sizes[1:] for part in built), built[0].sizes[:1])

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features of maps `x` (B, C, H, W): those of every part, (B, sum of d); level 0, which
        they share, once."""
        if layers != "depth":
            return torch.cat([part(x, layers) for part in self.parts], dim=1)
        above = [part(x, layers)[:, part.sizes[0] :] for part in cast(Iterable[Any], self.parts)]
        return torch.cat([rows_of(x), *above], dim=1)


class OwnNetwork(nn.Module):
    """Somebody's own network as a backbone.

    Args:
        network: maps (B, C, H, W) -> features (B, d). It may take `layers`, last or all, as a
            second argument, as `Backbone` does; otherwise its output stands for all layers.

    Raises:
        UserError: it does not give features (B, d) of maps of `input_size`.
    """

    def __init__(self, network: nn.Module, input_size: tuple[int, int, int]) -> None:
        super().__init__()
        self.network = network
        self.takes_layers = "layers" in inspect.signature(network.forward).parameters
        self.config = {"name": OWN, "class": type(network).__qualname__}
        training = network.training
        with torch.no_grad():
            found = self.eval()(torch.zeros(2, *input_size))
        self.train(training)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = tuple(getattr(found, "shape", ())) or type(found).__name__
            raise UserError(
                f"{self.config['class']} gives {shape} of maps {(2, *input_size)}; "
                "a backbone gives features (B, d): pool and flatten its maps"
            )
        self.dim = found.shape[1]
        self.sizes = (2 * input_size[0] * input_size[1], self.dim)

    def forward(self, x: Tensor, layers: str = "last") -> Tensor:
        """Features (B, d) of maps `x` (B, C, H, W); "depth" puts level 0 before its output."""
        if layers == "depth":
            return torch.cat([rows_of(x), self(x)], dim=1)
        features: Tensor = self.network(x, layers) if self.takes_layers else self.network(x)
        return features


OWN = "own"
OTHERS: dict[str, type[nn.Module]] = {"statistics": Statistics, "concat": Concat}
"""Backbones that timm does not have, by name; a modality may add its own."""
TRUSTED_MODULES: set[str] = set()
"""What they may import: a saved encoder must not run code that its user did not allow."""


def register_backbone(name: str, kind: type[nn.Module]) -> None:
    """Makes `kind` known as the backbone `name`, for settings and for saved encoders.

        class Loudness(torch.nn.Module):
            dim = 1

            def __init__(self, input_size):
                super().__init__()

            def forward(self, x, layers="last"):
                return x.mean((1, 2, 3))[:, None]

        ai.register_backbone("loudness", Loudness)
        network = ai.backbone("loudness", (1, 128, 9))

    Args:
        kind: called as kind(input_size=(C, H, W), **options); maps (B, C, H, W) and `layers` ->
            features (B, dim), with an attribute `dim`.

    Raises:
        UserError: the name is taken.
    """
    if OTHERS.get(name, kind) is not kind or name in timm.list_models():
        raise UserError(f"there is a backbone '{name}' already; give yours another name")
    OTHERS[name] = kind


def build_backbone(name: str, input_size: tuple[int, int, int], **options: Any) -> nn.Module:
    """The backbone called `name`: a timm model, or one of `OTHERS` with its own options.

        network = ai.backbone("resnet18", (1, 128, 9), width=0.25)

    Its `config` are the name and the options, from which it can be built again.

    Raises:
        UserError: an unknown name or option.
    """
    if name == OWN:
        raise UserError("the encoder has a network of its maker's own: load it with backbone=")
    kind = Vit if timm.models.is_model_in_modules(name, VITS) else Backbone
    check_options(f"backbone {name}", OTHERS.get(name, Backbone), options)
    built: Any = OTHERS.get(name, partial(kind, name))(input_size=input_size, **options)
    built.config = {"name": name, **options}
    return cast(nn.Module, built)


def network_of(
    backbone: Mapping[str, Any] | nn.Module, input_size: tuple[int, int, int]
) -> nn.Module:
    """The backbone that options or a network say; a network without `config` is one's own."""
    if not isinstance(backbone, nn.Module):
        return build_backbone(input_size=input_size, **backbone)
    return backbone if hasattr(backbone, "config") else OwnNetwork(backbone, input_size)


def _create(name: str, in_channels: int, width: float, options: dict[str, Any]) -> nn.Module:
    known = timm.list_models()
    if name not in known:
        near = ", ".join(timm.list_models(f"{name[:6]}*")[:6]) or "resnet18, resnet50"
        raise UserError(
            f"timm has no model '{name}'{meant(name, [*known, *OTHERS])}; for example: {near}"
        )
    loading = sorted(LOADING & options.keys())
    if loading:
        raise UserError(f"a backbone takes no {', '.join(loading)}; give init_weights=FILE")
    if width != 1.0:
        options["channels"] = [max(8, int(width * c)) for c in (64, 128, 256, 512)]
    try:
        return timm.create_model(name, in_chans=in_channels, num_classes=0, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(f"timm could not build {name} with {options}: {error}") from error


def _set_stem(trunk: Any, stem: str, in_channels: int) -> None:
    if stem not in STEMS:
        raise unknown("stem", stem, STEMS)
    if stem == "stock":
        return
    if not hasattr(trunk, "maxpool"):
        raise UserError(f"stem '{stem}' is for ResNets; leave it at stock")
    trunk.maxpool = nn.Identity()
    if stem == "cifar":
        trunk.conv1 = nn.Conv2d(in_channels, trunk.bn1.num_features, 3, padding=1, bias=False)
