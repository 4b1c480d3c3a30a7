"""The amortised encoder: a stock backbone whose weights a descriptor modulates."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call

from audioinv.base.errors import UserError
from audioinv.base.files import read_json, write_json
from audioinv.base.tensors import device_of, save_tensors
from audioinv.core.backbone import network_of
from audioinv.core.conditioning import build_conditioning, preset
from audioinv.core.conditioning.per_example import hooked
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.embedding import Frames, followed, sources_of, stream, together
from audioinv.core.pretrained import Pretrained
from audioinv.core.statistics import (
    NormStatistics,
    batch_norms,
    even_batches,
    kept_corners,
    normalised,
    running,
)

FORMAT = 2
READ = (1, 2)  # format 1 does not name its modality
BuildFrontend = Callable[[Mapping[str, Any]], nn.Module]
Descriptor = str | Mapping[str, float] | Tensor
"""What names a descriptor: "-pitch_shift", component -> value, or a tensor (K,)."""


class AmortisedEncoder(Pretrained, nn.Module):
    """One encoder for every descriptor: `encoder(x, i)`.

        network = ai.backbone("resnet18", front.output_size, width=0.25)
        encoder = ai.Encoder(front, network, "norm", bank.space)
        plain = encoder.at("-pitch_shift")

    Args:
        frontend: input batch -> maps (B, C, H, W); has `output_size`, (C, H, W) of a clip, and
            `config`.
        backbone: options of `build_backbone`, with "name"; or any network, maps (B, C, H, W) ->
            features (B, d).
        conditioning: a name of `conditioning.PRESETS`, or options of `build_conditioning`, "name"
            among them.
        space: what the descriptor's components mean.

    Raises:
        UserError: settings that no encoder can be made of.
    """

    frontend: Any  # modules with attributes of their own, which nn.Module's types do not know
    backbone: Any
    conditioning: Any
    statistics: NormStatistics | None

    def __init__(
        self,
        frontend: nn.Module,
        backbone: Mapping[str, Any] | nn.Module,
        conditioning: Mapping[str, Any] | str,
        space: DescriptorSpace,
    ) -> None:
        super().__init__()
        if isinstance(conditioning, str):
            conditioning = preset(conditioning)
        self.space = space
        self.frontend = frontend
        self.backbone = network_of(backbone, self.frontend.output_size)
        self.config = {"backbone": self.backbone.config, "conditioning": dict(conditioning)}
        self.conditioning = build_conditioning(
            backbone=self.backbone, size=space.size, **conditioning
        )
        self.register_module("statistics", None)

    @property
    def dim(self) -> int:
        """Features of the last layer."""
        return int(self.backbone.dim)

    @property
    def is_conditioned(self) -> bool:
        """Whether the descriptor can make a difference at all."""
        return self.config["conditioning"]["name"] != "none"

    @property
    def is_calibrated(self) -> bool:
        """Whether it knows its normalisation statistics at every corner, or needs none."""
        return self.statistics is not None or not batch_norms(self.backbone)

    def forward(self, x: Tensor, descriptor: Tensor, layers: str = "last") -> Tensor:
        """Features (B, d) of `x` under `descriptor`, (K,) for the batch or (B, K) for each example.

        In evaluation mode a feature depends on its clip and descriptor alone: BatchNorm takes the
        statistics that are kept for that descriptor. In training mode it takes them from the
        examples of a pass.

        Conditionings of low rank, norm and prompt run a batch of one descriptor per example in one
        pass; others, of full bases, run examples of equal descriptors together, which costs one
        generation of weights for each distinct descriptor.
        """
        maps = self.frontend(x)
        descriptor = descriptor.to(maps.device)
        if descriptor.ndim == 1:
            return self.run(maps, descriptor, layers)
        together = self.conditioning.per_example(descriptor, self.backbone)
        if together is None:
            return self._run_in_groups(maps, descriptor, layers)
        own = self._statistics_at(descriptor)
        with hooked(self.backbone, together.hooks), normalised(self.backbone, own) as neutral:
            return functional_call(self.backbone, {**together.weights, **neutral}, (maps, layers))

    def _run_in_groups(self, maps: Tensor, descriptor: Tensor, layers: str) -> Tensor:
        """Features (B, d) of maps under descriptors (B, K), one pass for each distinct one."""
        distinct, group = torch.unique(descriptor, dim=0, return_inverse=True)
        rows = [(group == g).nonzero().flatten() for g in range(len(distinct))]
        parts = [self.run(maps[r], i, layers) for r, i in zip(rows, distinct, strict=True)]
        return torch.cat(parts)[torch.cat(rows).argsort()]

    def run(self, maps: Tensor, descriptor: Tensor, layers: str = "last") -> Tensor:
        """Features (B, d) of front-end maps (B, C, H, W) under one descriptor (K,)."""
        return functional_call(
            self.backbone, self.state(descriptor.to(maps.device)), (maps, layers)
        )

    def state(self, descriptor: Tensor) -> dict[str, Tensor]:
        """What the backbone runs with at one descriptor (K,): modulated weights, and statistics."""
        return self.weights(descriptor) | self._statistics_at(descriptor)

    def weights(self, descriptor: Tensor) -> dict[str, Tensor]:
        """The modulated parameters at one descriptor (K,): base plus what the conditioning adds."""
        # Views older than what is added get their gradients last, and keep them uncopied.
        base = {name: weight.view_as(weight) for name, weight in self.backbone.named_parameters()}
        return {name: base[name] + added for name, added in self.conditioning(descriptor).items()}

    @torch.no_grad()
    def _statistics_at(self, descriptor: Tensor) -> dict[str, Tensor]:
        """Buffers of the backbone at a descriptor, constants to every gradient; in training mode
        none: it makes its own."""
        if self.training or self.statistics is None:
            return {}
        return self.statistics(descriptor)

    def at(self, descriptor: Descriptor) -> PlainEncoder:
        """A plain network with the weights and the normalisation statistics of one descriptor.

        Args:
            descriptor: (K,), or a text or mapping that says one ("-pitch_shift").
        """
        self._warn_without_statistics()
        return self.copied_at(self.space.of(descriptor))

    def bound(self, descriptor: Tensor) -> Bound:
        """The backbone as `at(descriptor)` has it, descriptor (K,), without a copy: for as long as
        the encoder stays in evaluation mode."""
        self._warn_without_statistics()
        with torch.no_grad():
            return Bound(self.backbone, self.state(descriptor.to(device_of(self))))

    def _warn_without_statistics(self) -> None:
        if not self.is_calibrated:
            warnings.warn(
                "this encoder has no normalisation statistics of its own at any descriptor; those "
                "of training fit none: run audioinv calibrate, or take encoder.recalibrated(clips)",
                stacklevel=3,
            )

    @torch.no_grad()
    def copied_at(self, descriptor: Tensor) -> PlainEncoder:
        """As `at` of a tensor (K,), for whoever gives it statistics next: none are missed."""
        descriptor = descriptor.to(device_of(self))
        backbone = copy.deepcopy(self.backbone).requires_grad_(False)
        for name, weight in self.weights(descriptor).items():
            backbone.get_parameter(name).copy_(weight)
        if self.statistics is not None:
            for name, value in self.statistics(descriptor).items():
                backbone.get_buffer(name).copy_(value)
        return PlainEncoder(self.frontend, backbone).eval()

    def trainable(self, descriptor: Descriptor = "all") -> PlainEncoder:
        """A copy of `at(descriptor)`, front end included, whose weights require gradients.

            network = torch.nn.Sequential(encoder.trainable("-pitch_shift"), torch.nn.Linear(...))

        It is in training mode: its BatchNorms take and keep the statistics of what they see.
        """
        return copy.deepcopy(self.at(descriptor)).requires_grad_(True).train()

    def embed(
        self,
        x: Any,
        descriptor: Descriptor | Any = "all",
        *,
        sample_rate: int | None = None,
        hop_s: float | None = None,
        drop_last: bool = False,
        pool: str = "mean",
        levels: str | None = None,
        frames: bool = False,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] = lambda done, all: None,
    ) -> Tensor | Frames:
        """Features (n, d) of clips of any length, on the CPU, a row a clip.

            encoder.embed("recordings/")
            encoder.embed(["a.wav", "b.flac"], "-pitch_shift", frames=True)
            encoder.embed(x, sample_rate=44100)  # x: (T,), (B, T) or (B, C, T)

        A row depends on its clip alone, not on the batch, the order or the neighbours. All of a
        clip counts: windows stand side by side, and the last one ends with the clip; a clip that is
        shorter than a window is filled up as in training.

        Args:
            x: a file, a folder, a list of files, a pack or its folder; or what the front end takes,
                as numpy or torch has it, one clip or several, or a list of clips of any lengths. A
                two-dimensional array is always several clips of one channel; one clip of several
                channels is `x[None]`.
            descriptor: "-pitch_shift", component -> value, a tensor (K,), or a mixture: a task that
                `adapt` or `load_task` gave, or a `Mixture`, whose features stand side by side, each
                times the root of its weight.
            sample_rate: of arrays, in Hz, from which they are resampled; None means they are at the
                encoder's.
            hop_s: seconds from one window to the next; None for side by side, 0 for the first
                alone. drop_last: leave out the window that ends with the clip, unless it is the
                only one or a whole number of hops leads to it.
            pool: mean or max over a clip's windows.
            levels: last, or all stages of the network; None takes last, or those of the task.
            frames: give the features of every window, with start and end in seconds, as `Frames`.
            batch_size: windows that run together; None is 32 on a processor and
                256 on a GPU. progress: called with (clips done, clips).

        Raises:
            UserError: what cannot be read, with its name; no such descriptor, level or pool; shapes
                that are no clips; values that are not finite.
        """
        sources = sources_of(self.frontend, x, sample_rate, hop_s, drop_last)
        rows = stream(self, sources, descriptor, pool, levels, frames, batch_size)
        made = together(followed(rows, len(sources.names), progress), sources.names)
        return made if frames else made.features

    @torch.no_grad()
    def calibrate(
        self, clips: Iterable[Tensor], progress: Callable[[int, int], None] = lambda done, all: None
    ) -> None:
        """Computes the normalisation statistics at every corner, in place; puts it into evaluation
        mode.

        Args:
            clips: batches (b, ...) as the front end takes them, a few hundred clips in all.
            progress: called with (corners done, corners).

        Raises:
            UserError: too few clips to have a variance.
        """
        self.eval()
        if not batch_norms(self.backbone):
            return
        device = device_of(self)
        maps = [self.frontend(part.to(device)) for part in clips]
        known = kept_corners(self.space.size) if self.is_conditioned else self.space.all_on()[None]
        statistics = NormStatistics(self.backbone, known).to(device)
        statistics.compute(lambda corner: self.copied_at(corner).backbone, maps, progress)
        self.statistics = statistics

    def keep_running_statistics(self) -> None:
        """Makes the running statistics of training those of every descriptor."""
        if batch_norms(self.backbone):
            statistics = NormStatistics(self.backbone, self.space.all_on()[None])
            statistics.take(0, *running(self.backbone))
            self.statistics = statistics.to(device_of(self))

    def recalibrated(self, clips: Tensor | Iterable[Tensor]) -> AmortisedEncoder:
        """A copy whose normalisation statistics are of your clips: (n, ...), or batches of them.

        Features then depend on these clips too. That can help where they differ much from those
        of pre-training; compare on validation clips.

            mine = encoder.recalibrated(x)

        Raises:
            UserError: too few clips to have a variance.
        """
        copied = copy.deepcopy(self)
        copied.calibrate(even_batches(clips) if isinstance(clips, Tensor) else clips)
        return copied

    def save(self, folder: str | Path, info: Mapping[str, Any] | None = None) -> None:
        """Writes `encoder.safetensors` and `encoder.json`; `info` is free-form provenance."""
        folder = Path(folder)
        description = {
            "format": FORMAT,
            "modality": getattr(self.frontend, "modality", None),
            "frontend": self.frontend.config,
            **self.config,
            "space": self.space.to_json(),
            "info": dict(info or {}),
        }
        save_tensors(folder / "encoder.safetensors", self.state_dict())
        write_json(folder / "encoder.json", description)

    def load_weights(self, folder: str | Path) -> None:
        """Takes the tensors that `save` wrote; statistics are missing in files of format 1."""
        tensors = load_file(Path(folder) / "encoder.safetensors")
        corners = tensors.get("statistics.corners")
        self.statistics = None if corners is None else NormStatistics(self.backbone, corners)
        self.load_state_dict(tensors)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        build_frontend: BuildFrontend,
        backbone: nn.Module | None = None,
    ) -> AmortisedEncoder:
        """The encoder that `save` wrote, in evaluation mode; runs no code from the files.

        Args:
            build_frontend: "name" and options of a front end, and "modality" where the file tells
                one -> the front end.
            backbone: the network, of an encoder that was made with one of the user's own: its code
                is not in the files.

        Raises:
            UserError: a file is missing, damaged, or of an unknown format.
        """
        folder = Path(folder)
        described = read_json(folder / "encoder.json")
        found = described.get("format") if isinstance(described, dict) else None
        if found not in READ:
            path = folder / "encoder.json"
            raise UserError(f"{path} has format {found!r}; this version reads {FORMAT}")
        try:
            named = {"modality": described["modality"]} if described.get("modality") else {}
            encoder = cls(
                build_frontend({**described["frontend"], **named}),
                backbone if backbone is not None else described["backbone"],
                described["conditioning"],
                DescriptorSpace.from_json(described["space"]),
            )
            encoder.load_weights(folder)
        except UserError:
            raise
        except Exception as error:  # whatever a damaged or hostile file provokes
            raise UserError(f"{folder} holds no readable encoder: {error}") from error
        return encoder.eval()


class Bound(nn.Module):
    """A network that runs with other weights and statistics than its own.

    Args:
        network: in evaluation mode. state: name -> parameter or buffer, in place of its own.
    """

    def __init__(self, network: nn.Module, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = network
        # Channels last: a third to a half faster on CPUs.
        self.state = {
            name: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in {**dict(network.named_parameters()), **state}.items()
        }

    def forward(self, maps: Tensor, layers: str = "last") -> Tensor:
        """Features (B, d) of front-end maps (B, C, H, W)."""
        features: Tensor = functional_call(self.network, self.state, (maps, layers))
        return features


class PlainEncoder(nn.Module):
    """Front end and backbone with fixed weights; knows nothing of descriptors.

    Args:
        layers: whose features it gives where it is not told: last or all.
    """

    def __init__(self, frontend: nn.Module, backbone: nn.Module, layers: str = "last") -> None:
        super().__init__()
        self.frontend = frontend
        self.backbone = backbone
        self.layers = layers

    def forward(self, x: Tensor, layers: str | None = None) -> Tensor:
        """Features (B, d) of a batch `x`."""
        return self.backbone(self.frontend(x), layers or self.layers)
