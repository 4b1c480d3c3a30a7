"""A token computed from the descriptor, which a transformer's other tokens attend to.

    prompt(i) = base + mean_m W_m relu(V_m i + c_m)

Chavhan et al. (ICLR 2023) append one such token to a ViT's sequence after the position embedding;
theirs is the mean of 256 MLPs K -> 768 -> 768. The last bias of the MLPs is the base.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.core.backbone import Vit
from audioinv.core.conditioning.per_example import PerExample


class PromptConditioning(nn.Module):
    """Gives a `Vit` a prompt token, and adds a descriptor-dependent part to it.

    Args:
        backbone: a `Vit`; its `add_prompt` is called.
        size: K, components of a descriptor.
        mlps: how many MLPs K -> D -> D are averaged, D the size of a token. The paper's setting is
            256: one MLP 256 times as wide, 152 M parameters at K = 5 and D = 768.
        scale: spread of the prompt over random corners at the start, relative to the root mean
            square of the other tokens. The blocks' norms hide most of it: what they see is how much
            the prompt's direction differs between corners, which `signed` raises.
        signed: embed 2 i - 1 instead of i, so that a component at 0 speaks as loudly as one at 1.
            Flipping one component of five then moves a new tiny ViT's features by 4%, not 2%.
        start: "scaled" as `scale` says, or "paper": every MLP as torch draws it, its last bias too.
            The prompt then hardly varies: 256 of them average out.

    Raises:
        UserError: a number out of range, an unknown start, or a backbone that takes no prompt.
    """

    def __init__(
        self,
        backbone: nn.Module,
        size: int,
        mlps: int = 1,
        scale: float = 1.0,
        signed: bool = False,
        start: str = "scaled",
    ) -> None:
        super().__init__()
        if not isinstance(backbone, Vit):
            raise UserError(
                "prompt conditioning is for ViTs, such as backbone vit_small_patch16_224"
            )
        if mlps < 1 or scale < 0:
            raise UserError(f"prompt conditioning has mlps={mlps}, scale={scale}; give >= 1, >= 0")
        if start not in ("scaled", "paper"):
            near = meant(start, ("scaled", "paper"))
            raise UserError(f"prompt conditioning has start='{start}'; give scaled or paper{near}")
        backbone.add_prompt()
        width = backbone.prompt.numel()
        self.mlps = mlps
        self.signed = signed
        # MLPs side by side whose outputs are summed are one wide MLP.
        self.hidden = nn.Linear(size, mlps * width)
        self.output = nn.Linear(mlps * width, width, bias=False)
        if start == "paper":
            self._draw_as_published(backbone.prompt)
        else:
            self._set_scale(size, scale * _token_size(backbone))

    def forward(self, descriptor: Tensor) -> dict[str, Tensor]:
        """{"prompt": what is added to it}, for one descriptor (K,)."""
        return {"prompt": self.output(self._hidden(descriptor))[None, None]}

    def per_example(self, descriptors: Tensor, backbone: nn.Module) -> PerExample:
        """How to run `backbone` under descriptors (B, K): a token of its own for each example."""
        added = self.output(self._hidden(descriptors))[:, None]
        return PerExample({"prompt": backbone.get_parameter("prompt") + added})

    def _hidden(self, descriptor: Tensor) -> Tensor:
        i = 2 * descriptor - 1 if self.signed else descriptor
        return torch.relu(self.hidden(i)) / self.mlps

    @torch.no_grad()
    def _set_scale(self, size: int, spread: Tensor) -> None:
        corners = torch.randint(0, 2, (64, size)).float()
        nn.init.normal_(self.output.weight)
        self.output.weight.mul_(spread / self._hidden(corners).var(0).sum().sqrt())

    @torch.no_grad()
    def _draw_as_published(self, prompt: Tensor) -> None:
        """The last layers of MLPs D -> D as torch draws them; their biases' mean is the base."""
        bound = prompt.numel() ** -0.5
        nn.init.uniform_(self.output.weight, -bound, bound)
        biases = torch.empty(self.mlps, prompt.numel()).uniform_(-bound, bound)
        prompt.copy_(biases.mean(0).view_as(prompt))


@torch.no_grad()
def _token_size(backbone: Vit) -> Tensor:
    """Root mean square of a token's components, of maps of unit variance."""
    tokens = backbone.tokens(torch.randn(8, *backbone.input_size))
    return tokens[:, :-1].square().mean().sqrt()  # but the prompt
