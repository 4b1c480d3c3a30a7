"""What a downstream task is: a label column, its kind, and which clips may not be seen together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.near import unknown

if TYPE_CHECKING:
    from audioinv.data.pack import Pack

KINDS = ("classification", "multilabel", "regression")
METRICS = ("r2", "mse")


@dataclass(frozen=True)
class Task:
    """A task over a manifest.

        ai.Task("digit_unseen_speaker", label="digit", groups="speaker")

    Args:
        name: for people and folders, for example "digit_unseen_speaker".
        label: the manifest column to predict, labels of a multilabel task and values of a
            regression of several joined by ";"; with `augmentation`, a parameter of it.
        kind: one of classification, multilabel, regression.
        groups: a column whose values are held out in turn: no value is both trained and tested on.
            None uses the manifest's own split.
        augmentation: if given, every clip is transformed once by this augmentation of the bank and
            the target is the parameter drawn for it that `label` names, or its first if it has none
            of that name: a regression that needs the opposite.
        unit: of a regression label, for example "s".
        metric: of a regression: "r2", or "mse" in the squared unit of the label, where that is what
            others publish.

    Raises:
        UserError: an unknown kind or metric.
    """

    name: str
    label: str
    kind: str = "classification"
    groups: str | None = None
    augmentation: str | None = None
    unit: str = ""
    metric: str = "r2"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown(f"task {self.name}: kind", self.kind, KINDS)
        if self.metric not in METRICS:
            raise unknown(f"task {self.name}: metric", self.metric, METRICS)

    def to_json(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """The task that `to_json` described.

        Raises:
            UserError: it is not such a description.
        """
        what, absent = "the description of a task", type(None)
        fields = checked(value, what, name=str, label=str)
        checked(
            {**cls("", "").to_json(), **fields}, what,
            kind=str, groups=(str, absent), augmentation=(str, absent), unit=str,
        )  # fmt: skip
        try:
            return cls(**fields)
        except TypeError as error:
            raise UserError(f"not {what}: {error}") from error


@dataclass(frozen=True)
class PackTask:
    """A task and the clips that it is of; `Pack.task` makes it."""

    pack: Pack
    task: Task
