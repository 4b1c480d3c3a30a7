"""What a manifest holds, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audioinv.data.doubts import doubts
from audioinv.data.labels import SEPARATOR, label_texts
from audioinv.data.later import pandas as pd
from audioinv.data.manifest import SPLITS, Manifest
from audioinv.data.preparing import FILE, Preparation

MOST_LABELS = 20


def summary(manifest: Manifest, preparation: Preparation, folder: Path) -> Iterator[str]:
    """Clips, hours, labels and parts with their counts, what was left out, and what may be odd."""
    frame, corpus = manifest.frame, manifest.corpus
    hours = f", {frame['duration'].sum() / 3600:.4g} hours" if "duration" in frame else ""
    yield f"{len(frame)} clips{hours}"
    labels = {task.label: task.kind for task in corpus.tasks if task.augmentation is None}
    for name, kind in labels.items():
        if kind != "regression":
            yield f"{name}: {_counts(_each_label(frame[name], kind))}"
    if "label" in frame and "label" not in labels:
        yield f"label: {_counts(frame['label'])}"
    for part in {"split", "fold"} & set(frame):
        yield f"{part}: {_counts(frame[part])}"
    if told := preparation.told():
        yield f"left out: {len(preparation.left_out)} files, listed in {folder / FILE}"
        yield from (f"  {line}" for line in told)
    if preparation.also:
        yield "links lead out of the root; give validate and pack the same --also_inside"
    odd = [*preparation.notes, *_odd_parts(frame), *doubts(frame, corpus.tasks)]
    yield from (f"warning: {line}" for line in odd)


def _each_label(column: pd.Series, kind: str) -> pd.Series:
    """The labels of all clips; a clip may have several."""
    texts = label_texts(column, kind == "multilabel")
    return texts.str.split(SEPARATOR).explode() if kind == "multilabel" else texts


def _counts(column: pd.Series) -> str:
    counts = column.value_counts().sort_index()
    shown = [f"{name or '(none)'} {n}" for name, n in counts.items()][:MOST_LABELS]
    more = f", and {len(counts) - MOST_LABELS} more" if len(counts) > MOST_LABELS else ""
    return ", ".join(shown) + more


def _odd_parts(frame: pd.DataFrame) -> Iterator[str]:
    if "split" not in frame:
        return
    lacking = [part for part in SPLITS if part not in set(frame["split"])]
    if "train" in lacking:
        yield "no clip is for training; a run needs some: rename a folder, or change the split"
    elif lacking and len(frame) < 10:
        yield f"too few clips to set any aside for {' and '.join(lacking)}; ten give one each"
    elif lacking:
        yield f"no clip is in {' and '.join(lacking)}"
