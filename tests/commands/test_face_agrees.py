"""The public face and the commands give the same numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import audioinv as ai
from audioinv.base.errors import UserError
from audioinv.commands.embed import one_thread
from audioinv.tasks.clips import encoder_clips

BY_COMMAND = ("command", "corpus", "encoder", "label", "method", "named", "seconds", "versions")


@pytest.fixture(scope="module")
def pack(finished: Any) -> ai.Pack:
    return ai.open_pack(finished.pack)


@pytest.fixture(scope="module")
def encoder(finished: Any) -> ai.Encoder:
    return ai.load_encoder(finished.run / "encoder")


@pytest.mark.parametrize(
    ("task", "mode"),
    [("label", "soft"), ("label", "fixed:-pitch_shift"), ("label", "paper"), ("shift", "search")],
)
def test_adapt_and_evaluate(
    finished: Any, encoder: ai.Encoder, pack: ai.Pack, task: str, mode: str
) -> None:
    adapted = ai.adapt(encoder, pack.task(task), mode=mode, epochs=1)
    folder = finished.run / "tasks" / task / mode.replace(":", "_")
    written = json.loads((folder / "adapted.json").read_text())
    assert adapted.descriptor == written["descriptor"]
    tensors = load_file(folder / "adapted.safetensors")
    assert torch.equal(adapted.folds[0].readout.weight, tensors["0.weight"])
    result = json.loads((folder / "linear" / "result.json").read_text())
    found = json.loads(json.dumps(ai.evaluate(adapted).to_json()))
    for key in BY_COMMAND:
        found.pop(key, None)
        result.pop(key)
    assert found == result
    assert adapted.score() == result["value"]


def test_predictions_are_those_that_were_scored(
    finished: Any, encoder: ai.Encoder, pack: ai.Pack
) -> None:
    adapted = ai.adapt(encoder, pack.task("label"), mode="soft")
    tested = np.flatnonzero(pack.frame["split"] == "test").tolist()
    x = np.stack([pack.samples(row) for row in tested])
    y = pack.frame["label"].to_numpy()[tested]
    predicted, probabilities = adapted.predict(x), adapted.predict_proba(x)
    assert (predicted == y).mean() == pytest.approx(adapted.score())
    assert adapted.score(x, y) == pytest.approx(adapted.score())
    assert ai.evaluate(adapted, x, y).interval == ai.evaluate(adapted).interval
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5) and probabilities.min() >= 0
    assert (adapted.values[probabilities.argmax(1)] == predicted).all()


def test_other_protocols(encoder: ai.Encoder, pack: ai.Pack) -> None:
    adapted = ai.adapt(encoder, pack.task("label"), mode="fixed:all")
    assert ai.evaluate(adapted, protocol="knn").protocol == "knn-v1"
    with pytest.raises(UserError, match="bank=BANK"):
        ai.evaluate(adapted, protocol="robustness")
    with pytest.raises(UserError, match="fewshot"):
        ai.evaluate(adapted, protocol="fewshot")
    with pytest.raises(UserError, match="regression"):
        ai.evaluate(ai.adapt(encoder, pack.task("shift"), mode="fixed:all"), protocol="knn")


def test_embed(finished: Any, encoder: ai.Encoder, pack: ai.Pack) -> None:
    table = pd.read_parquet(finished.folder / "features.parquet")
    with one_thread():
        found = ai.embed(encoder, pack)
    assert np.array_equal(np.stack(table["feature"]), found.numpy())
    x = np.stack([pack.samples(row) for row in range(5)])
    torch.testing.assert_close(ai.embed(encoder, x), found[:5])
    first = encoder_clips(encoder, pack, range(5))
    kept = encoder.at("-pitch_shift")
    given = ai.embed(finished.run / "encoder", first, "-pitch_shift")
    torch.testing.assert_close(given, kept(first))
    torch.testing.assert_close(ai.embed(encoder, pack, "-pitch_shift", hop_s=0)[:5], given)


def test_a_pack_names_its_tasks(pack: ai.Pack) -> None:
    with pytest.raises(UserError, match=r"nothing.*label"):
        pack.task("nothing")
    own = ai.Task("mine", "label")
    assert pack.task(own).task is own


@pytest.mark.parametrize("name", ["adapt", "evaluate", "embed"])
def test_docstring_examples_run(encoder: ai.Encoder, pack: ai.Pack, name: str) -> None:
    said = re.findall(r"^ {8}((?:\w+ = )?ai\..*)$", getattr(ai, name).__doc__, re.M)
    x = encoder_clips(encoder, pack, range(0, 60, 3))
    known = {"ai": ai, "encoder": encoder, "pack": pack, "x": x}
    known["y"] = pack.frame["label"].to_numpy()[::3]
    known["digit"] = ai.adapt(encoder, pack.task("label"), mode="fixed:all")
    assert said
    for line in said:
        exec(line.replace('"digit_unseen_speaker"', '"label"'), known)


def test_a_classifier_over_rows_of_a_pack(finished: Any, pack: ai.Pack) -> None:
    from sklearn.model_selection import cross_val_score

    model = ai.AmortisedClassifier(finished.run / "encoder", pack, mode="fixed:all")
    rows, y = np.arange(60), pack.frame["label"].to_numpy()
    assert cross_val_score(model, rows, y, cv=2).mean() > 0.3, "of six classes"
    model.fit(rows[::2], y[::2])
    x = encoder_clips(ai.load_encoder(Path(finished.run) / "encoder"), pack, [1, 3])
    assert (model.predict([1, 3]) == model.adapted_.predict(x)).all()
    with pytest.raises(UserError, match=r"rows are 60 .* 0 to 59"):
        model.predict([60])
