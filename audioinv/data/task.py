"""What a downstream task is: a label column, its kind, and which clips may not be seen together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.near import unknown

if TYPE_CHECKING:
    import pandas as pd

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
        split: a column of train, valid and test for this task alone, empty for clips that it leaves
            out; None uses the manifest's.
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
    split: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown(f"task {self.name}: kind", self.kind, KINDS)
        if self.metric not in METRICS:
            raise unknown(f"task {self.name}: metric", self.metric, METRICS)

    @property
    def columns(self) -> list[str]:
        """Of a manifest, that it reads."""
        label = self.label if self.augmentation is None else None
        return [name for name in (label, self.groups, self.split) if name]

    def over(self, frame: pd.DataFrame) -> Task:
        """This task, if a table has all the columns that it reads.

        Raises:
            UserError: it lacks some.
        """
        if missing := [name for name in self.columns if name not in frame]:
            has = ", ".join(map(str, frame))
            raise UserError(f"task {self.name} reads {', '.join(missing)}; there are {has}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The fields as a dictionary; `split` only where there is one."""
        fields = asdict(self)
        if self.split is None:
            del fields["split"]
        return fields

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
            metric=str,
        )  # fmt: skip
        checked({"split": None, **fields}, what, split=(str, absent))
        try:
            return cls(**fields)
        except TypeError as error:
            raise UserError(f"not {what}: {error}") from error


@dataclass(frozen=True)
class PackTask:
    """A task and the clips that it is of; `Pack.task` makes it."""

    pack: Pack
    task: Task
