"""An encoder as MTEB wants it, for its audio tasks (MAEB).

import mteb
from audioinv.audio.judges.mteb import MtebEncoder

model = MtebEncoder("exp/mine/amortised_s0/encoder", "auto")
mteb.evaluate(model, mteb.get_tasks(["BeijingOpera"]))
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.audio.judges.judged import Judged
from audioinv.audio.sources import mono_of
from audioinv.core.encoder import AmortisedEncoder

META = "mteb.models.model_meta:ModelMeta"  # the kit is there when it judges
log = logging.getLogger(__name__)


class MtebEncoder(Judged):
    """MTEB's encoder protocol: `encode`, `similarity`, `similarity_pairwise`, `mteb_model_meta`.

    Args:
        encoder, descriptor: as of `Judged`. With "auto" a task learns its descriptor from its
            training clips, and one without labelled training clips of its own stays at all-on: of
            cross-validation, where every clip is tested on, nothing is learnt.
        name: OWNER/NAME in MTEB's results.
    """

    def __init__(
        self,
        encoder: AmortisedEncoder | str | Path,
        descriptor: Any = "all",
        name: str = "audioinv/encoder",
    ) -> None:
        super().__init__(encoder, descriptor)
        self.name, self.task = name, ("", "")

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB keeps beside results."""
        about = {"name": self.name, "revision": "local", "modalities": ["audio"]}
        return resolve_name(META).create_empty(about)

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **options: Any,
    ) -> Tensor:
        """Features (n, d) of the `audio` of a loader's batches, at any rates and lengths."""
        self._meet(inputs.dataset, task_metadata, hf_split, hf_subset)
        return torch.cat([self.embed(self._sounds(batch["audio"])) for batch in inputs])

    def _meet(self, dataset: Any, task: Any, split: str, subset: str) -> None:
        """A new task starts at all-on, and learns if these are labelled clips to train on."""
        if not self.auto:
            return
        if self.task != (task.name, subset):
            self.task, self.descriptor = (task.name, subset), "all"
        labels = [name for name in dataset.column_names if name != "audio"]
        if split in task.eval_splits:
            return
        if len(labels) != 1:
            log.warning("%s: MTEB shows no labels of its training clips: all-on", task.name)
            return
        rows = [dataset[k] for k in range(len(dataset))]
        self.learn(self._sounds(row["audio"] for row in rows), [row[labels[0]] for row in rows])

    def _sounds(self, items: Iterable[Any]) -> list[Tensor]:
        """Sounds of one channel at the encoder's rate."""
        rate = self.sample_rate
        return [
            torch.from_numpy(mono_of(_samples(each), "a clip", int(each["sampling_rate"]), rate))
            for each in items
        ]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosine of every pair, (n, m)."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosine of each pair, (n,)."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(-1)


def _samples(item: Any) -> Any:
    return torch.as_tensor(item["array"]).float().numpy()


def _unit(x: Any) -> Tensor:
    return F.normalize(torch.atleast_2d(torch.as_tensor(x)).float(), dim=-1)
