"""adapt, evaluate and embed: what the public face offers of a frozen encoder.

The numbers are those of `audioinv adapt`, `evaluate` and `embed`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import meant, meant_by
from audioinv.base.versions import versions
from audioinv.core.bank import AugmentationBank
from audioinv.core.embedding import Frames, Rows, sources_of, together
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.doubts import doubts
from audioinv.data.task import PackTask, Task
from audioinv.tasks import modes
from audioinv.tasks.adapted import Adapted, save_adapted
from audioinv.tasks.applied import Head, TaskNetwork, outputs_of
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.given import cache_of, clips_for, frozen
from audioinv.tasks.labelled import Labelled
from audioinv.tasks.labels import Labels, read_labels
from audioinv.tasks.learn import described, learn, learn_task
from audioinv.tasks.mixture import Mixture, mean_mixture
from audioinv.tasks.protocols import JUDGES, Context, protocol_of
from audioinv.tasks.protocols.linear import id_of, kept
from audioinv.tasks.result import Result
from audioinv.tasks.scores import score, score_outputs
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Means:
    """What a task learns by.

    Args:
        encoder: frozen, a copy. mode, settings, seed: how it learns.
        made_of: settings of the features. bank: to average over.
    """

    encoder: AmortisedEncoder
    mode: str
    made_of: FeatureConfig
    settings: AdaptConfig
    seed: int
    bank: AugmentationBank | None = field(repr=False)


@dataclass(frozen=True)
class AdaptedTask(Means):
    """A task with what it learnt, on one frozen encoder; `adapt` makes it.

        digit = ai.adapt(encoder, x, y)
        digit.descriptor, digit.predict(x), digit.predict_proba(x)

    Args:
        task: that has learnt, with all of `Means`.
        folds: a mixture of descriptors and a readout each. info: what is known about them.
        values: the label of each class, empty for a regression.
        features: of the pack that the task is of; None where arrays were given.
    """

    task: Task
    folds: list[Adapted]
    info: dict[str, Any]
    values: NDArray[Any]
    features: TaskFeatures | None = field(repr=False)

    @property
    def descriptor(self) -> dict[str, float]:
        """Component -> value that was learnt, the mean over the folds."""
        return dict(self.info["descriptor"])

    def save(self, folder: str | Path) -> None:
        """Writes what it has learnt, as `audioinv adapt` does; `load_task` reads it.

        Args:
            folder: by custom RUN/tasks/TASK/MODE.
        """
        save_adapted(Path(folder), self.folds, self.info)

    @property
    def mixture(self) -> Mixture:
        """The descriptors of all folds with their mean weights, by which `embed` takes a task."""
        return mean_mixture([fold.mixture for fold in self.folds])

    @property
    def levels(self) -> str:
        """Whose features it reads: last, all or depth."""
        return self.made_of.layers

    def embed(self, x: Any, **options: Any) -> Tensor | Frames:
        """Features (n, d) of clips as this task sees them: at its mixture, with its windows.

        Args:
            x, options: as of `Encoder.embed`.
        """
        return self.encoder.embed(x, self, **{**self._windows(), **options})

    def network(self) -> TaskNetwork:
        """All of it as a plain network, which `torch.export` takes: a window of each clip, (B, ...)
        as the front end has it -> probabilities or values (B, m).

        Raises:
            UserError: it reads features that are averaged over views.
        """
        self._refuse_views()
        own = self.made_of.layers, self.settings.readout
        return TaskNetwork(copy.deepcopy(self.encoder), self.folds, *own).eval()

    def stream(
        self, x: Any, sample_rate: int | None = None, frames: bool = False
    ) -> tuple[Sequence[str], Iterator[Rows]]:
        """Names of the clips, and their outputs as soon as they are there.

        Args:
            x, sample_rate: as of `Encoder.embed`. frames: of every window instead.
        """
        return self._stream(x, sample_rate, self.settings.readout, frames)

    def _stream(
        self, x: Any, sample_rate: int | None, readout: str | None, frames: bool = False
    ) -> tuple[Sequence[str], Iterator[Rows]]:
        self._refuse_views()
        made_of = self.made_of
        sources = sources_of(
            self.encoder.frontend, x, sample_rate, made_of.hop_s, made_of.drop_last
        )
        own = made_of, readout, frames
        return sources.names, outputs_of(self.encoder, self.folds, sources, *own)

    def outputs(self, x: Any, sample_rate: int | None = None) -> Tensor:
        """Probabilities of classes or labels (n, m), or values (n, m): the mean over the folds.

        Args:
            x: clips, in any of the ways that `Encoder.embed` takes them. sample_rate: of arrays,
                in Hz; None means the encoder's.

        Raises:
            UserError: what cannot be read.
        """
        return self._outputs(x, sample_rate, self.settings.readout)

    def judged(self, x: Any) -> Tensor:
        """Outputs (n, m) as `scores` judges them: of labels, which are ranked, before they become
        probabilities, of which many may be 0 or 1."""
        ranked = self.task.kind == "multilabel"
        return self._outputs(x, None, None if ranked else self.settings.readout)

    def _outputs(self, x: Any, sample_rate: int | None, readout: str | None) -> Tensor:
        if self.made_of.views:
            return self._averaged_outputs(x, readout)
        names, rows = self._stream(x, sample_rate, readout)
        return together(rows, names).features

    def _averaged_outputs(self, x: Any, readout: str | None) -> Tensor:
        """Of features that are averaged over views of clips (n, ...)."""
        cache = cache_of(self.encoder, clips_for(self.encoder, x), self.made_of, self.bank)
        parts = [Head(fold.readout, readout)(fold.mixture.features(cache)) for fold in self.folds]
        return torch.stack(parts).mean(0)

    def _windows(self) -> dict[str, Any]:
        return {key: getattr(self.made_of, key) for key in ("hop_s", "drop_last", "pool")}

    def _refuse_views(self) -> None:
        if self.made_of.views:
            raise UserError(
                f"task {self.task.name} reads features averaged over {self.made_of.views} views, "
                "which are made in memory: use predict on clips (n, ...)"
            )

    def predict(self, x: Any, sample_rate: int | None = None) -> NDArray[Any]:
        """Labels (n,), 0/1 labels (n, m), or values (n,) or (n, m), of clips `x`, as `outputs`
        takes them."""
        outputs = self.outputs(x, sample_rate)
        if self.task.kind == "classification":
            return self.values[outputs.argmax(1).numpy()]
        if self.task.kind == "multilabel":
            return (outputs > 0.5).long().numpy()
        return outputs.squeeze(1).numpy()

    def predict_proba(self, x: Any, sample_rate: int | None = None) -> NDArray[Any]:
        """Probabilities (n, m) of the classes, in the order of `values`, or of each label.

        A ridge readout was fitted to -1 and 1; its scores become the nearest probabilities.

        Raises:
            UserError: the task is a regression.
        """
        if self.task.kind == "regression":
            raise UserError(f"task {self.task.name} is a regression and has values; use predict")
        return self.outputs(x, sample_rate).numpy()

    def score(self, x: Any = None, y: Any = None) -> float:
        """Accuracy, mean average precision or R^2 on clips `x`; without, on the pack's test clips.

        Args:
            y: their labels.
        """
        if x is None:
            return evaluate(self).value
        outputs = self.judged(x)
        return score(outputs, self._targets(y, len(outputs)), self.task.kind)

    def _targets(self, y: Any, n: int) -> Tensor:
        """Labels as this task has them.

        Raises:
            UserError: a class that it has not learnt.
        """
        given = read_labels(y, n, self.task.kind)
        if self.task.kind != "classification":
            return given.targets
        known = {text: k for k, text in enumerate(map(str, self.values.tolist()))}
        unknown = [text for text in given.classes if text not in known]
        if unknown:
            raise UserError(
                f"class {', '.join(unknown)} was not learnt; there are {list(known)}"
                f"{meant_by(unknown, known)}"
            )
        return torch.tensor([known[text] for text in given.classes])[given.targets]


def adapt(
    encoder: AmortisedEncoder | str | Path,
    task: PackTask | Any,
    labels: Any = None,
    *,
    mode: str = "soft",
    seed: int = 0,
    kind: str | None = None,
    bank: AugmentationBank | None = None,
    device: str = "auto",
    **settings: Any,
) -> AdaptedTask:
    """A task learns its descriptor and readout from a frozen encoder, as `audioinv adapt` does.

        digit = ai.adapt(encoder, pack.task("digit_unseen_speaker"), mode="soft")
        mine = ai.adapt(encoder, x, y)  # clips (n, ...) and a label each

    Args:
        encoder: it, or a run's folder `encoder`. It is copied and stays as it is.
        task: of a pack; or clips (n, ...) as the front end takes them, with their `labels` (n,).
        mode: fixed:CORNER, search, search:validation, soft, paper or surrogate.
        kind: of `labels`: classification, multilabel or regression; None goes by their type.
        bank: to average features over (`views`), and for protocols that transform clips.
        device: that computes features; "auto" takes a GPU where there is one.
        settings: of `AdaptConfig` and `FeatureConfig`, such as readout="logistic", layers="all".

    Raises:
        UserError: an unknown mode or setting, or clips or labels that cannot be learnt from.
    """
    means = Means(frozen(encoder, device), modes.check(mode), *_settings(settings), seed, bank)
    if not isinstance(task, PackTask):
        return _adapt_arrays(means, task, labels, kind)
    if labels is not None or kind is not None:
        raise UserError("a pack's task has its labels and kind; leave labels and kind out")
    return _adapt_pack(means, task)


def _adapt_pack(by: Means, given: PackTask) -> AdaptedTask:
    for told in doubts(given.pack.frame, [given.task]):
        log.warning("%s", told)
    features = TaskFeatures(by.encoder, given.pack, by.made_of, by.bank)
    folds, info = learn_task(features, given.task, by.mode, by.settings, by.seed)
    return AdaptedTask(
        **vars(by),
        task=given.task,
        folds=folds,
        info=info,
        values=np.array(folds[0].readout.classes),
        features=features,
    )


def _adapt_arrays(by: Means, given: Any, y: Any, kind: str | None) -> AdaptedTask:
    x = clips_for(by.encoder, given)
    if y is None:
        raise UserError("clips need labels to learn from; give adapt(encoder, clips, labels)")
    labels = read_labels(y, len(x), kind)
    task = Task("given", "given", labels.kind)
    known = _all_known(labels)
    known.check_values(task.name)
    cache = cache_of(by.encoder, x, by.made_of, by.bank)
    folds, info = learn(by.encoder, cache, [known], by.mode, by.settings, by.seed)
    return AdaptedTask(
        **vars(by),
        task=task,
        folds=folds,
        info={**described(task, by.mode, by.made_of, by.settings, by.seed), **info},
        values=labels.values,
        features=None,
    )


def _all_known(labels: Labels) -> Labelled:
    """Every row to learn from and none to choose on."""
    rows = torch.arange(len(labels.targets))
    return Labelled(labels.targets, labels.kind, labels.classes, rows, rows[:0])


def evaluate(
    adapted: AdaptedTask,
    x: Any = None,
    y: Any = None,
    protocol: str = "linear",
    settings: Any = None,
) -> Result:
    """How a task that has learnt does on clips it has not seen, with a 95% interval.

        ai.evaluate(digit).interval

    Args:
        x, y: clips (n, ...) and their labels; None takes the test clips of the task's pack.
        protocol: on a pack: linear, knn, finetune, averaging or robustness; the last two need the
            `bank` that `adapt` was given.
        settings: the protocol's dataclass of `audioinv.tasks.settings`; None takes its defaults.

    Raises:
        UserError: nothing to test on, or a protocol that is not for this task.
    """
    if protocol not in JUDGES:
        near = meant(protocol, JUDGES)
        raise UserError(f"protocol is '{protocol}'; for one task give {', '.join(JUDGES)}{near}")
    if x is not None:
        if protocol != "linear":
            raise UserError(f"protocol {protocol} is for tasks of packs; leave x and y out")
        result = _evaluate_arrays(adapted, x, y)
    elif adapted.features is None:
        raise UserError("this task learnt from arrays; give x and y to test it on")
    else:
        result = _evaluate_pack(adapted, adapted.features, protocol, settings)
    return replace(result, label=modes.label(adapted.mode), versions=versions())


def _evaluate_arrays(adapted: AdaptedTask, x: Any, y: Any) -> Result:
    outputs, info = adapted.judged(x), adapted.info
    task, targets = adapted.task, adapted._targets(y, len(outputs))
    found = score_outputs(outputs, targets, task.kind, torch.arange(len(outputs)), task.metric)
    return Result(
        protocol=id_of(task.kind),
        task=task.name,
        kind=task.kind,
        **found,
        **kept(info),
    )


def _evaluate_pack(
    adapted: AdaptedTask, features: TaskFeatures, protocol: str, settings: Any
) -> Result:
    learnt = (adapted.folds, adapted.info)
    context = Context(
        features, [adapted.task], [adapted.mode], lambda task, mode: learnt,
        adapted.settings, adapted.seed, named=True,
    )  # fmt: skip
    made = JUDGES[protocol]
    rows = list(protocol_of(protocol)(context, settings or (made() if made else None)))
    if not rows:
        raise UserError(f"protocol {protocol} does not judge a {adapted.task.kind}")
    return replace(rows[0].make(), corpus=features.pack.corpus.name)


def _settings(given: Mapping[str, Any]) -> tuple[FeatureConfig, AdaptConfig]:
    """Keyword arguments as the settings of features and of adaptation.

    Raises:
        UserError: one that neither has.
    """
    of_features = {f.name for f in fields(FeatureConfig)}
    of_learning = {f.name for f in fields(AdaptConfig)} - {"modes"}
    unknown = [name for name in given if name not in of_features | of_learning]
    if unknown:
        known = sorted(of_features | of_learning)
        near = meant_by(unknown, known)
        raise UserError(
            f"there is no setting {', '.join(unknown)}; there are {', '.join(known)}{near}"
        )
    return (
        FeatureConfig(**{name: v for name, v in given.items() if name in of_features}),
        AdaptConfig(**{name: v for name, v in given.items() if name in of_learning}),
    )
