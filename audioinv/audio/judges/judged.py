"""An encoder at a descriptor, as every judge takes it: sounds in, features out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.embedding import Frames, mixture_of, sources_of
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import load_encoder
from audioinv.tasks.face import adapt

AUTO = "auto"
log = logging.getLogger(__name__)


class Judged(nn.Module):
    """A frozen encoder at a descriptor.

    Args:
        encoder: it, its folder, or OWNER/NAME on the hub.
        descriptor: as of `AmortisedEncoder.embed`, a task that has learnt among them; or "auto":
            all-on until `learn` is given the first labels that the judge shows.
        shows_labels: whether the judge ever does.

    Raises:
        UserError: no such encoder or descriptor, or "auto" where no labels are shown.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder | str | Path,
        descriptor: Any = "all",
        shows_labels: bool = True,
    ) -> None:
        super().__init__()
        given = encoder if isinstance(encoder, AmortisedEncoder) else load_encoder(encoder)
        self.encoder = given.eval().requires_grad_(False)
        self.auto = isinstance(descriptor, str) and descriptor == AUTO
        if self.auto and not shows_labels:
            raise UserError(
                "the descriptor is auto, and this judge shows an encoder no labels to learn one "
                "from; give a corner such as -pitch_shift, or a task that ai.adapt has let learn"
            )
        self.descriptor: Any = "all" if self.auto else descriptor
        mixture_of(self.encoder, self.descriptor)  # refuses what is none

    @property
    def sample_rate(self) -> int:
        """Hz of the sounds that it takes."""
        return int(self.encoder.frontend.config["sample_rate"])

    @property
    def size(self) -> int:
        """Features of a sound."""
        return int(self.embed(torch.zeros(1, self.encoder.frontend.n_samples)).shape[1])

    def embed(self, x: Any) -> Tensor:
        """Features (n, d) of sounds of any length, (n, T) or a list, on the device they are on."""
        found = cast(Tensor, self.encoder.embed(x, self.descriptor))
        return found.to(x.device) if isinstance(x, Tensor) else found

    def frames(self, x: Tensor, hop_s: float) -> Tensor:
        """Features (n, t, d) of windows around 0, hop_s, 2 hop_s, ... seconds of sounds (n, T).

        Beyond its ends a sound is silent, so that the first window's middle is its beginning.
        """
        length = self.encoder.frontend.n_samples
        padded = F.pad(x, (length // 2, length - length // 2))
        windows: dict[str, Any] = {"hop_s": hop_s, "drop_last": True, "frames": True}
        found = cast(Frames, self.encoder.embed(padded, self.descriptor, **windows)).features
        return found.view(len(x), -1, found.shape[1]).to(x.device)

    def learn(self, x: Any, y: Any) -> None:
        """Takes the corner that labelled sounds ask for, by evidence, if the descriptor is "auto".

        Args:
            x: as of `embed`; the first window of each counts. y: a label each, as of `ai.adapt`.
        """
        if not self.auto:
            return
        sources = sources_of(self.encoder.frontend, x, None, 0, False)
        clips = torch.cat([part.x for part in sources.batches(256)])
        learnt = adapt(self.encoder, clips, y, mode="search", device="cpu").descriptor
        self.descriptor = self.encoder.space.from_dict(learnt)
        log.info("learnt from %d clips: %s", len(clips), self.encoder.space.label(self.descriptor))
