"""Weights that others trained, as the first weights of a timm trunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from audioinv.base.errors import UserError
from audioinv.core.backbone import Backbone, Vit

QUERY_ENCODERS = ("module.base_encoder.", "module.encoder_q.", "module.")  # MoCo-v3, MoCo-v2, DDP


def load_trunk(backbone: nn.Module, path: str | Path) -> int:
    """Loads a state dict (safetensors, or weights-only .pt, .pth, .tar) into the trunk.

    Under timm's names, or as a MoCo-v2 or MoCo-v3 checkpoint, of which the query encoder is taken,
    as its authors do. Tensors under other names or of other shapes are left out, such as a
    classifier's or projector's; position embeddings of another grid are interpolated.

    Returns:
        how many of the trunk's tensors were loaded.

    Raises:
        UserError: an unreadable file, one of which nothing fits, one made for other attention
            heads, or a backbone without a trunk.
    """
    if not isinstance(backbone, Backbone):
        raise UserError(f"init_weights is for timm networks; this one is {type(backbone).__name__}")
    own = backbone.trunk.state_dict()
    try:
        given = _read_weights(Path(path), backbone)
        fitting = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    except UserError:
        raise
    except Exception as error:  # whatever a damaged or hostile file provokes
        raise UserError(f"cannot read weights from {path}: {error}") from error
    if not fitting:
        raise UserError(
            f"no tensor of {path} fits this backbone; it expects {next(iter(own))}, ..."
        )
    backbone.trunk.load_state_dict({**own, **fitting})
    return len(fitting)


def _read_weights(path: Path, backbone: Backbone) -> dict[str, Any]:
    """What a file holds under timm's names, its position embeddings for the backbone's grid."""
    if path.suffix == ".safetensors":
        given: Any = load_file(path)
    else:
        given = torch.load(path, map_location="cpu", weights_only=True)
    for nested in ("state_dict", "model"):
        given = given.get(nested, given)
    for prefix in QUERY_ENCODERS:
        if any(name.startswith(prefix) for name in given):
            given = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
            _check_heads(prefix, backbone.trunk)
            break
    if isinstance(backbone, Vit) and "pos_embed" in given:
        given["pos_embed"] = backbone.resample(given["pos_embed"])
    return given


def _check_heads(prefix: str, trunk: Any) -> None:
    """MoCo-v3's ViT-S has 12 attention heads, timm's 6: the weights fit, and compute otherwise."""
    if "base_encoder" not in prefix or getattr(trunk, "embed_dim", 0) != 384:
        return
    if trunk.blocks[0].attn.num_heads != 12:
        raise UserError("MoCo-v3's ViT-S has 12 heads; add num_heads: 12 to the backbone's options")
