"""Every protocol and every baseline over the tiny corpus, as a user runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import SGDClassifier

from audioinv.cli import main
from audioinv.commands.judging import context_of, features_of
from audioinv.conf.compose import compose_config
from audioinv.runs.build import load_run
from audioinv.tasks.folds import find_tasks
from audioinv.tasks.protocols.fewshot import EpisodesOf
from audioinv.tasks.protocols.fewshot_published import PublishedEpisodes

Refuse = Callable[[Sequence[str]], str]
FEW = [
    "fewshot.n_way=3",
    "fewshot.n_tasks=50",
    "fewshot.class_split=[0.5,0,0.5]",
    "fewshot.modes=[fixed:all,search,soft,validation,episode]",
]
KEYS = {
    "protocol", "task", "kind", "method", "mode", "label", "metric", "value", "interval", "chance",
    "n_train", "n_test", "descriptor", "layers", "readout", "seed", "versions", "command", "corpus",
    "encoder",
}  # fmt: skip


def rows(folder: Path, protocol: str) -> dict[str, dict[str, Any]]:
    """Label -> result of one protocol."""
    found = [json.loads(p.read_text()) for p in sorted(folder.glob("tasks/**/result.json"))]
    return {f"{r['task']} {r['label']}": r for r in found if r["protocol"].startswith(protocol)}


@pytest.mark.parametrize("protocol", ["knn", "finetune"])
def test_protocols_on_adapted_descriptors(finished: Any, protocol: str) -> None:
    settings = [*finished.settings(), "adapt.modes=[fixed:all,soft]", "finetune.epochs=2"]
    assert main(["evaluate", *settings, f"protocol={protocol}", "tasks=[label]"]) == 0
    made = rows(finished.run, protocol)
    assert set(made) == {"label Amortised, all on", "label Amortised, soft descriptor"}
    for row in made.values():
        assert row.keys() >= KEYS and row["protocol"] == f"{protocol}-v1"
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
        assert row["n_test"] == 12


@pytest.mark.slow
def test_a_label_names_the_rows_of_a_run(
    finished: Any, refuse: Refuse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the refusal of two runs of one method and seed asks; rows that are there are renamed."""
    runs = [tmp_path / "one" / "amortised_s0", tmp_path / "two" / "amortised_s0"]
    settings = ["adapt.modes=[fixed:all]", "tasks=[label]"]
    for run in runs:
        shutil.copytree(finished.run, run)
        shutil.rmtree(run / "tasks")
        assert main(["adapt", *finished.settings(run), *settings]) == 0
        assert main(["evaluate", *finished.settings(run), *settings]) == 0
    folders = [str(run.parent) for run in runs]
    assert "label=NAME" in refuse(["table", *folders])
    before = rows(runs[1], "linear")["label Amortised, all on"]
    again = ["evaluate", *finished.settings(runs[1]), *settings]
    assert main([*again, "label=Wider"]) == 0
    after = rows(runs[1], "linear")["label Wider, all on"]
    assert after == before | {"named": "Wider", "label": "Wider, all on"}
    assert main(again) == 0, "no label leaves names as they are"
    assert main(["evaluate", *finished.settings(runs[1]), *settings, "protocol=knn"]) == 0
    assert main(["table", *folders]) == 0
    told = capsys.readouterr().out
    assert "| Wider, all on |" in told and "| Amortised, all on |" in told
    assert main([*again, "label=Wider still", "protocol=knn"]) == 0
    assert "label Wider still, all on" in rows(runs[1], "knn")


def test_a_label_given_to_pretraining_holds(finished: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("label: null", "label: Mine"))
    settings = [*finished.settings(run), "protocol=knn", "adapt.modes=[fixed:all]", "tasks=[label]"]
    assert main(["evaluate", *settings]) == 0
    assert "label Mine, all on" in rows(run, "knn")


def test_few_shot_rows(finished: Any, tmp_path: Path) -> None:
    settings = [*finished.settings(), *FEW, f"out={tmp_path}", "protocol=fewshot"]
    assert main(["evaluate", *settings]) == 0
    made = rows(tmp_path, "fewshot")
    assert len(made) == 10, "one classification task, five modes, two readouts"
    for row in made.values():
        assert row.keys() >= KEYS and row["protocol"] == "fewshot-v1 3-way 1-shot"
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
        assert (row["n_test"], row["n_train"], row["chance"]) == (50, 3, pytest.approx(1 / 3))
        assert len(row["test_classes"]) == 3
    values = [row["value"] for row in made.values()]
    assert max(values) > 0.4, "tones an octave apart are no riddle, even at random weights"
    scores = load_file(next(tmp_path.rglob("per_clip.safetensors")))
    assert scores["score"].shape == (50,)


@pytest.mark.slow
def test_published_few_shot_rows_are_of_raw_features(finished: Any, tmp_path: Path) -> None:
    """Of the last layer, unstandardised, read out by SGD: judged here once more by scikit-learn."""
    few = [word.replace("fewshot.", "fewshot_published.") for word in FEW]
    settings = [*finished.settings(), *few, f"out={tmp_path}", "protocol=fewshot_published"]
    settings.append("features.hop_s=0")
    assert main(["evaluate", *settings]) == 0
    made = rows(tmp_path, "fewshot_published")
    assert len(made) == 5, "one classification task, five modes, one readout"
    assert {row["readout"] for row in made.values()} == {"sgd"}
    assert {row["layers"] for row in made.values()} == {"last"}
    row = made["label Amortised, all on, sgd"]
    assert row.keys() >= KEYS and row["protocol"] == "fewshot_published-v1 3-way 1-shot"

    config = compose_config(settings)
    context, few_shot = context_of(config), config.fewshot_published
    features, encoder, pack = context.features, context.encoder, context.pack
    released = PublishedEpisodes(context, find_tasks(pack, ["label"])[0], few_shot)
    before = EpisodesOf(context, released.task, few_shot).episodes
    assert torch.equal(released.episodes.support, before.support), "the sampler is one"
    x = features.of(released.task)[0].windows(encoder.space.all_on()).numpy()
    scores = []
    for support, query in zip(before.support.flatten(1), before.query.flatten(1), strict=True):
        model = SGDClassifier(
            loss="log_loss", max_iter=20, tol=None, learning_rate="constant", eta0=0.1, alpha=0.0
        ).fit(x[support], range(3))
        scores.append((model.predict(x[query]) == range(3)).mean())
    assert row["value"] == pytest.approx(sum(scores) / len(scores), abs=0.05)


def test_published_few_shot_rows_have_one_readout(finished: Any, refuse: Refuse) -> None:
    words = ["protocol=fewshot_published", "fewshot_published.readouts=[logistic]"]
    assert "fewshot_published.readouts" in refuse(["evaluate", *finished.settings(), *words])
    line = refuse(["evaluate", *finished.settings(), "score_on=valid", words[0]])
    assert "test clips only" in line


def test_few_shot_descriptors_come_from_training_classes(finished: Any, tmp_path: Path) -> None:
    """Features of the clips of the testing classes change nothing that is learnt."""
    config = compose_config([*finished.settings(), *FEW, "protocol=fewshot"])
    context = context_of(config)
    episodes = EpisodesOf(context, find_tasks(context.pack, ["label"])[0], config.fewshot)
    cache, _ = context.features.of(episodes.task)
    tested = torch.isin(episodes.labels, episodes.parts[2])
    for mode in ("search", "soft", "validation"):
        before = episodes.learn(mode, cache).reported
        for clips, features in (block for known in cache.known.values() for block in known):
            if mode != "validation":  # which standardises over all unlabelled training clips
                features[tested[clips]] = 1e3
        assert torch.equal(before, episodes.learn(mode, cache).reported), mode
        cache.known.clear()


def test_a_task_of_too_few_classes(finished: Any, refuse: Refuse, tmp_path: Path) -> None:
    settings = [*finished.settings(), *FEW, f"out={tmp_path}", "protocol=fewshot"]
    settings.append("fewshot.n_way=5")
    assert main(["evaluate", *settings]) == 0, "left out with a warning"
    assert not rows(tmp_path, "fewshot")
    assert "there are 3 to test on" in refuse(["evaluate", *settings, "tasks=[label]"])


def test_factors_are_probed_on_and_off(finished: Any, tmp_path: Path) -> None:
    settings = [*finished.settings(), f"out={tmp_path}", "protocol=factors"]
    assert main(["evaluate", *settings]) == 0
    made = rows(tmp_path, "factors")
    assert {row["task"] for row in made.values()} == {
        "pitch_shift.semitones", "time_shift.shift", "white_noise.snr_db"
    }  # fmt: skip
    assert {row["mode"] for row in made.values()} == {"all", "off"} and len(made) == 6
    off = made["pitch_shift.semitones Amortised, own component off"]
    assert off["descriptor"] == {"pitch_shift": 0.0, "time_shift": 1.0, "white_noise": 1.0}
    assert off["unit"] == "semitones" and off["metric"] == "r2" and off["value"] <= 1


def test_an_unknown_protocol(finished: Any, refuse: Refuse) -> None:
    line = refuse(["evaluate", *finished.settings(), "protocol=zeroshot"])
    assert "zeroshot" in line and "linear, knn, fewshot, factors, finetune" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        "augself",
        *(
            pytest.param(method, marks=pytest.mark.slow)
            for method in ("looc", "cassle", "equimod", "mt_slvr", "invclr", "simclr:-pitch_shift")
        ),
    ],
)
def test_baselines_train_and_are_judged(finished: Any, tmp_path: Path, method: str) -> None:
    run = tmp_path / "run_s0"
    settings = [*finished.settings(run), f"method={method}", "tasks=[label]"]
    for command in ("pretrain", "adapt", "evaluate"):
        assert main([command, *settings]) == 0
    (row,) = rows(run, "linear").values()
    assert row["method"] == method and row["mode"] == "fixed:all"


@pytest.mark.slow
def test_encoders_are_joined(finished: Any, refuse: Refuse, tmp_path: Path) -> None:
    joined = [*finished.settings(tmp_path / "concat_groups_s0"), "method=concat_groups"]
    parts = "backbone.options.parts=[simclr:pitch_shift,simclr:time_shift]"
    assert "simclr:pitch_shift_s0/encoder is not there" in refuse(["pretrain", *joined, parts])
    plain = []
    for corner in ("pitch_shift", "time_shift"):
        run = tmp_path / f"simclr:{corner}_s0"
        assert main(["pretrain", *finished.settings(run), f"method=simclr:{corner}"]) == 0
        plain.append(load_run(compose_config(finished.settings(run)))[0])
    assert main(["pretrain", *joined, parts]) == 0
    encoder, _, _ = load_run(compose_config(joined))
    x = torch.randn(3, 4000)
    descriptor = encoder.space.all_on()
    with torch.no_grad():
        expected = torch.cat([part.at(descriptor)(x) for part in plain], dim=1)
        torch.testing.assert_close(encoder.at(descriptor)(x), expected)


@pytest.mark.slow
def test_windows_and_averaging_are_options_of_every_row(finished: Any, tmp_path: Path) -> None:
    values = {}
    for name, more in {
        "first": ["features.hop_s=0"],
        "hop": ["features.hop_s=0.05"],
        "all": [],
        "views": ["features.hop_s=0", "features.views=2"],
    }.items():
        settings = [*finished.settings(), f"out={tmp_path / name}", "tasks=[label]", *more]
        settings.append("adapt.modes=[fixed:all]")
        for command in ("adapt", "evaluate"):
            assert main([command, *settings]) == 0
        config = compose_config(settings)
        features = features_of(config)
        cache, _ = features.of(find_tasks(features.pack, ["label"])[0])
        # of 0.6 s: at 0, 0.05 and 0.1 s, or at 0 and 0.1 s
        assert len(cache.owner) == {"hop": 180, "all": 120}.get(name, 60)
        values[name] = cache(features.encoder.space.all_on())
        assert len(values[name]) == 60
    assert not torch.allclose(values["first"], values["hop"])
    assert not torch.allclose(values["first"], values["views"])


def test_features_that_cannot_be(finished: Any, refuse: Refuse) -> None:
    assert "features.hop_s is -1" in refuse(["adapt", *finished.settings(), "features.hop_s=-1"])
    line = refuse(["adapt", *finished.settings(), "features.views=3", MODES])
    assert "adapted with other settings" in line and "views 0 -> 3" in line


def test_fine_tuning_refuses_averaged_features(finished: Any, refuse: Refuse) -> None:
    line = refuse(["evaluate", *finished.settings(), "protocol=finetune", "features.views=3"])
    assert "leave features.views at 0" in line


@pytest.mark.slow
def test_results_of_another_encoder_are_not_taken_for_ones_own(
    finished: Any, tmp_path: Path, refuse: Refuse
) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished.run, other, ignore=shutil.ignore_patterns("tasks"))
    weights = other / "encoder" / "encoder.safetensors"
    save_file({name: 0.5 * value for name, value in load_file(weights).items()}, weights)
    further = [f"out={tmp_path / 'out'}", "tasks=[label]", MODES]
    for command in ("adapt", "evaluate"):
        assert main([command, *finished.settings(), *further]) == 0
    of_other = [*finished.settings(other), *further]
    assert "adapted with other settings (encoder " in refuse(["adapt", *of_other])
    assert "adapted with other settings (encoder " in refuse(["evaluate", *of_other])
    shutil.rmtree(tmp_path / "out" / "tasks" / "label" / "fixed_all" / "linear")
    for command in ("adapt", "evaluate"):  # nothing was lost
        assert main([command, *finished.settings(), *further]) == 0
    knn = [*further, "protocol=knn"]
    assert main(["evaluate", *finished.settings(), *knn]) == 0
    for path in (tmp_path / "out").rglob("adapted.*"):
        path.unlink()
    assert main(["adapt", *of_other]) == 0
    assert "has the result of another encoder" in refuse(["evaluate", *of_other, "protocol=knn"])


MODES = "adapt.modes=[fixed:all]"
