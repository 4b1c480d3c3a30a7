"""How frozen encoders are judged: one module a protocol, each with an ID that its results carry.

`rows(context, settings)` yields every row to be made, so that those that are there can be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.near import unknown
from audioinv.core.bank import AugmentationBank
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.learn import Learnt
from audioinv.tasks.result import Result
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.finetune import FinetuneConfig
from audioinv.tasks.settings.protocols import AveragingConfig, KnnConfig, RobustnessConfig

PROTOCOLS = (
    "linear", "knn", "fewshot", "factors", "finetune", "averaging", "robustness",
    "fewshot_published",
)  # fmt: skip
JUDGES: dict[str, type[Any] | None] = {
    "linear": None,
    "knn": KnnConfig,
    "finetune": FinetuneConfig,
    "averaging": AveragingConfig,
    "robustness": RobustnessConfig,
}
"""Protocols that judge what one task has learnt, with their settings."""
ON_TEST_ALONE = ("fewshot", "fewshot_published", "factors")
WITHOUT_TASKS = ("factors",)


@dataclass(frozen=True)
class Row:
    """A row to be made: its task, its mode, a name for the protocol, and how to make it.

    `keep` writes into the row's folder what is to stay of it beside the result, once it is made.
    """

    task: str
    mode: str
    name: str
    make: Callable[[], Result]
    keep: Callable[[Path], None] = lambda folder: None


Rows = Iterator[Row]


@dataclass(frozen=True)
class Context:
    """What a protocol works on: a frozen encoder, the features of a pack, and what tasks learnt.

    Args:
        features: of the encoder's, on the pack. tasks: to judge. modes: by which they learnt.
        learnt: task and mode -> what was learnt; raises a UserError where nothing was yet.
        adapt: settings of whatever is learnt anew.
        named: whether the tasks were chosen by name: one that cannot be judged is an error then.
        amortised: whether the encoder knows more corners than one.
    """

    features: TaskFeatures
    tasks: Sequence[Task]
    modes: Sequence[str]
    learnt: Callable[[Task, str], Learnt]
    adapt: AdaptConfig
    seed: int = 0
    score_on: str = "test"
    named: bool = False
    amortised: bool = True

    @property
    def encoder(self) -> AmortisedEncoder:
        """The frozen encoder."""
        return self.features.encoder

    @property
    def bank(self) -> AugmentationBank:
        """The bank that transforms clips."""
        return self.features.bank

    @property
    def pack(self) -> Pack:
        """The clips."""
        return self.features.pack


def protocol_of(name: str, score_on: str = "test") -> Callable[[Context, Any], Rows]:
    """`rows` of a protocol; what it is to be given besides is its dataclass of `tasks.settings`.

    Raises:
        UserError: an unknown protocol, or one that cannot be scored on validation clips.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    if score_on != "test" and name in ON_TEST_ALONE:
        raise UserError(f"protocol {name} has test clips only; leave score_on at test")
    rows: Callable[[Context, Any], Rows] = import_module(f"{__name__}.{name}").rows
    return rows
