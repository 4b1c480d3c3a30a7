"""The protocols `averaging` and `robustness` over the tiny corpus, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.audio.modality import AUDIO as audio
from audioinv.cli import main
from audioinv.commands.judging import context_of
from audioinv.conf.compose import compose_config
from audioinv.tasks.adapt import fit
from audioinv.tasks.adapted import load_adapted
from audioinv.tasks.folds import find_tasks, folds
from audioinv.tasks.protocols import Context
from audioinv.tasks.protocols.robustness import TransformedClips, judged_clips

pytestmark = pytest.mark.slow

Refuse = Callable[[Sequence[str]], str]
MODES = "adapt.modes=[fixed:all,soft]"


def made(folder: Path, protocol: str) -> dict[str, dict[str, Any]]:
    """Task and mode -> result of one protocol."""
    found = [json.loads(p.read_text()) for p in sorted(folder.glob("tasks/**/result.json"))]
    return {f"{r['task']} {r['mode']}": r for r in found if r["protocol"].startswith(protocol)}


def context(finished: Any, *more: str) -> Context:
    return context_of(compose_config([*finished.settings(), *more]))


def accuracy(finished: Any, world: Context, features_at: Callable[[Tensor], Tensor]) -> float:
    """Of a readout fitted to `features_at` the run's learnt soft descriptor of the labels."""
    task = find_tasks(world.pack, ["label"])[0]
    (adapted,), _ = load_adapted(finished.run / "tasks" / "label" / "soft")
    data, test = next(folds(world.pack, task, None))
    readout = fit(adapted.mixture, features_at, data, world.adapt)
    predicted = readout.predict(adapted.mixture.features(features_at)[test])
    return float((predicted == data.targets[test]).float().mean())


def test_averaging_is_the_linear_protocol_on_features_of_m_views(finished: Any) -> None:
    settings = [*finished.settings(), MODES, "averaging.draws=[4,1]"]
    assert main(["evaluate", *settings, "protocol=averaging"]) == 0
    rows = made(finished.run, "averaging-v1 M=4")
    assert set(rows) == {f"{t} {m}" for t in ("label", "shift") for m in ("fixed:all", "soft")}
    row = rows["label soft"]
    curve = row["curves"][""]
    assert curve["x"] == [0, 1, 4] and curve["value"][-1] == row["value"]
    assert row["x_name"] == "encodings averaged" and row["n_test"] == 12
    for m, value in zip(curve["x"], curve["value"], strict=True):
        world = context(finished, f"features.views={m}")
        cache, _ = world.features.of(find_tasks(world.pack, ["label"])[0])
        assert value == pytest.approx(accuracy(finished, world, cache))


def test_robustness_at_strength_0_is_the_linear_protocol(finished: Any, tmp_path: Path) -> None:
    settings = [*finished.settings(), MODES, "robustness.strengths=[0,0.5,1]"]
    assert main(["evaluate", *settings, "protocol=robustness"]) == 0
    rows, linear = made(finished.run, "robustness-v1"), made(finished.run, "linear-v1")
    assert set(rows) == {"label fixed:all", "label soft"}, "clips of `shift` are changed already"
    for key, row in rows.items():
        assert row["protocol"] == "robustness-v1 strength 1"
        names = ["pitch_shift", "time_shift", "white_noise", "all together"]
        assert list(row["curves"]) == names
        for curve in row["curves"].values():
            assert curve["x"] == [0, 0.5, 1]
            assert curve["value"][0] == pytest.approx(linear[key]["value"])
        assert row["curves"]["all together"]["value"][-1] == row["value"]


def test_transformed_clips_are_the_banks(finished: Any) -> None:
    """At strength 1 a series alone is its augmentation at the drawn parameters, clip by clip."""
    world = context(finished, "features.hop_s=0")  # as `encoder_clips` gives them
    task = find_tasks(world.pack, ["label"])[0]
    rows = tuple(judged_clips(world, task, 5))
    assert len(rows) == 5 and set(rows) <= set(judged_clips(world, task, 500))
    clips = TransformedClips(world, rows)
    corner = world.encoder.space.parse("-pitch_shift")
    plain = world.encoder.at(corner)
    shift = world.bank.augmentations["pitch_shift"]
    cache, _ = world.features.of(task)
    clean = cache(corner)[list(rows)]
    assert torch.allclose(clips.features("pitch_shift", 0.0, corner), clean, atol=1e-5)
    from audioinv.tasks.clips import encoder_clips

    x = encoder_clips(world.encoder, world.pack, rows)
    params = clips._params("pitch_shift")["pitch_shift"]
    expected = plain(shift.apply(x, params))
    assert torch.allclose(clips.features("pitch_shift", 1.0, corner), expected, atol=1e-4)
    half = plain(shift.apply(x, params * 0.5))
    assert torch.allclose(clips.features("pitch_shift", 0.5, corner), half, atol=1e-4)
    assert not torch.allclose(half, clean, atol=1e-3)


def test_batches_without_a_judged_clip_are_left_out(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, corner = context(finished), torch.ones(3)
    whole = TransformedClips(world, (0, 1)).features("all together", 1.0, corner)
    windows = audio.windows

    def by_fives(*told: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for x, clips in windows(*told):
            yield from zip(x.split(5), clips.split(5), strict=True)

    monkeypatch.setattr(audio, "windows", by_fives)
    parts = TransformedClips(world, (0, 1)).features("all together", 1.0, corner)
    assert torch.allclose(parts, whole, atol=1e-5)


def test_settings_that_cannot_work_are_refused(finished: Any, refuse: Refuse) -> None:
    settings = [*finished.settings(), MODES]
    told = refuse(["evaluate", *settings, "protocol=averaging", "averaging.draws=[0,3]"])
    assert "averaging.draws is [0, 3]" in told
    told = refuse(["evaluate", *settings, "protocol=robustness", "robustness.strengths=[-1]"])
    assert "robustness.strengths is [-1.0]" in told
    told = refuse(["evaluate", *settings, "protocol=robustness", "features.views=2"])
    assert "leave features.views at 0" in told
