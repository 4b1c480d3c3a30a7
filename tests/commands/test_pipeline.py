"""Every command, one after the other, as a user runs them."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from audioinv.audio.augment.fade import Fade
from audioinv.audio.clips import fixed_clips, waveforms
from audioinv.cli import main
from audioinv.conf.compose import compose_config
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.modality import build_frontend, modality_of
from audioinv.data.pack import open_pack
from audioinv.runs.build import load_run

Snapshot = Callable[[Path], dict[str, str]]
FOLDERS = {
    "fixed:all": "fixed_all",
    "fixed:-pitch_shift": "fixed_-pitch_shift",
    "search": "search",
    "search:validation": "search_validation",
    "soft": "soft",
    "paper": "paper",
}
KEYS = {
    "protocol", "task", "kind", "method", "mode", "label", "metric", "value", "interval", "n_train",
    "n_test", "chance", "descriptor", "layers", "readout", "seed", "versions", "command", "seconds",
}  # fmt: skip


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_run_folder_is_complete(finished: Any) -> None:
    run = finished.run
    names = {path.name for path in run.iterdir()}
    assert names == {
        "checkpoints", "config.yaml", "encoder", "measure.json", "metrics.jsonl",
        "monitor.jsonl", "statistics.json", "tasks", "tensorboard",
    }  # fmt: skip
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    info = read(run / "encoder" / "encoder.json")["info"]
    assert (info["method"], info["seed"], info["steps"]) == ("amortised", 0, 6)
    assert not list(finished.folder.rglob("*.tmp"))


def test_the_encoder_has_the_statistics_of_the_training_clips(finished: Any) -> None:
    values = read(finished.statistics)
    pack = open_pack(finished.pack)
    encoder = AmortisedEncoder.load(finished.run / "encoder", build_frontend)
    assert float(encoder.frontend.mean) == pytest.approx(values["mean"], abs=1e-4)
    rows = np.flatnonzero(pack.frame["split"] != "test")
    maps = encoder.frontend(fixed_clips(pack, rows.tolist(), 4000))
    assert float(maps.mean()) == pytest.approx(0, abs=1e-3)
    assert float(maps.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("task", ["label", "shift"])
@pytest.mark.parametrize("mode", list(FOLDERS))
def test_results_say_what_was_done(finished: Any, task: str, mode: str) -> None:
    result = read(finished.run / "tasks" / task / FOLDERS[mode] / "linear" / "result.json")
    assert result.keys() >= KEYS
    assert (result["task"], result["mode"], result["method"]) == (task, mode, "amortised")
    assert (result["protocol"], result["metric"]) == (
        ("linear-v1", "accuracy") if task == "label" else ("regression-v1", "r2")
    )
    assert (result["n_train"], result["n_test"]) == (48, 12)
    low, high = result["interval"]
    assert low <= result["value"] <= high <= 1
    assert set(result["descriptor"]) == {"pitch_shift", "time_shift", "white_noise"}
    assert all(0 <= value <= 1 for value in result["descriptor"].values())
    assert torch.__version__.startswith(result["versions"]["torch"])
    if task == "label":
        assert result["chance"] == pytest.approx(1 / 6)
        assert 0 <= result["balanced_accuracy"] <= 1


def test_fixed_corners_are_what_they_say(finished: Any) -> None:
    folder = finished.run / "tasks" / "label"
    off = read(folder / "fixed_-pitch_shift" / "linear" / "result.json")
    assert off["descriptor"] == {"pitch_shift": 0.0, "time_shift": 1.0, "white_noise": 1.0}
    assert off["label"] == "Amortised, pitch shift off"


def test_measured_invariance(finished: Any) -> None:
    result = read(finished.run / "measure.json")
    names = ["pitch_shift", "time_shift", "white_noise"]
    assert result["names"] == names and result["n_clips"] == 12 and result["seed"] == 0
    for part in ("on", "off", "gap"):
        assert list(result[part]) == names
    assert result["matrix"]["columns"] == names and len(result["matrix"]["cosine"]) == 4
    for k, name in enumerate(names):
        assert result["on"][name] == result["matrix"]["cosine"][0][k]
        assert result["gap"][name] == pytest.approx(result["on"][name] - result["off"][name])


def expected_features(finished: Any, start: int = 0) -> torch.Tensor:
    """All-on features of half a second of the pack's clips, from a sample on."""
    pack = open_pack(finished.pack)
    encoder = AmortisedEncoder.load(finished.run / "encoder", build_frontend)
    clips = waveforms(pack, range(len(pack)), 4000, [start] * len(pack))
    with torch.no_grad():
        return encoder(clips, encoder.space.all_on())


def test_embed_writes_the_encoders_features(finished: Any) -> None:
    """Of 0.6 s: the mean over the first and the last half second."""
    table = pd.read_parquet(finished.folder / "features.parquet")
    assert len(table) == 60 and {"id", "path", "split", "label"} <= set(table)
    expected = (expected_features(finished) + expected_features(finished, 800)) / 2
    np.testing.assert_allclose(np.stack(table["feature"]), expected, atol=1e-4)


ALONE = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
x = torch.load(sys.argv[2])
torch.save([program(x), program(x[:3]), program(x[:1])], sys.argv[3])
assert not any(name.startswith("audioinv") for name in sys.modules)
"""


@pytest.mark.slow
def test_an_exported_encoder_runs_without_this_package(finished: Any, tmp_path: Path) -> None:
    pack = open_pack(finished.pack)
    torch.save(fixed_clips(pack, range(len(pack)), 4000), tmp_path / "x.pt")
    files = [str(finished.folder / "encoder.pt2"), str(tmp_path / "x.pt"), str(tmp_path / "y.pt")]
    command = [sys.executable, "-c", ALONE, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = expected_features(finished)
    for features, n in zip(torch.load(tmp_path / "y.pt"), (60, 3, 1), strict=True):
        torch.testing.assert_close(features, expected[:n], atol=1e-4, rtol=1e-4)


def test_an_exported_encoder_gives_the_layers_asked_for(finished: Any, tmp_path: Path) -> None:
    out = tmp_path / "all.pt2"
    assert main(["export", "--out", str(out), *finished.settings(), "features.layers=all"]) == 0
    clips = fixed_clips(open_pack(finished.pack), range(3), 4000)
    given = torch.export.load(out).module()(clips)
    last = expected_features(finished)
    assert given.shape[1] > last.shape[1]
    torch.testing.assert_close(given[:, -last.shape[1] :], last[:3], atol=1e-4, rtol=1e-4)


def test_measurements_go_to_the_folder_of_results(finished: Any, tmp_path: Path) -> None:
    """Those of another pack do not stand for those of the run."""
    assert main(["measure", *finished.settings(), f"out={tmp_path}"]) == 0
    assert read(tmp_path / "measure.json") == read(finished.run / "measure.json")


def test_the_report_shows_the_run(finished: Any) -> None:
    page = (finished.folder / "exp" / "report.html").read_text()
    assert "<html" in page and "soft descriptor" in page
    assert "soft descriptor" in (finished.folder / "RESULTS.md").read_text()


def test_an_example_tells_the_quantities_of_its_augmentation(finished: Any, tmp_path: Path) -> None:
    encoder, bank, pack = load_run(compose_config(finished.settings()))
    write = modality_of("audio").write_example
    told = write(bank.augmentations["white_noise"], encoder.frontend, pack, tmp_path)
    assert list(told["parameters"]) == ["snr_db"] and all(
        (tmp_path / name).is_file() for name in told["after"]
    )
    told = write(Fade(), encoder.frontend, pack, tmp_path)
    assert list(told["parameters"]) == ["fade_in", "fade_out"], "a shape is no number"


def test_statistics_of_another_front_end_are_made_anew(packed: Any, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    command = ["statistics", *packed.settings(), f"statistics={file}"]
    assert main(command) == 0
    before = read(file)
    assert main([*command, "frontend.floor_db=0"]) == 0
    assert read(file)["mean"] > before["mean"]
    assert main(command) == 0
    assert read(file) == before


@pytest.mark.parametrize("name", ["statistics", "pretrain", "adapt", "evaluate", "measure", "pack"])
def test_a_second_run_finds_it_done_and_changes_nothing(
    finished: Any,
    name: str,
    snapshot: Snapshot,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = snapshot(finished.folder)
    with caplog.at_level(logging.INFO):
        assert main([name, *finished.commands()[name]]) == 0
    assert snapshot(finished.folder) == before
    said = caplog.text if name != "pack" else capsys.readouterr().err
    assert ("already done" if name != "pack" else "up to date") in said


def test_prepare_and_embed_again_give_the_same_files(finished: Any, tmp_path: Path) -> None:
    audio = finished.folder / "audio"
    assert main(["prepare", "folder", "--root", str(audio), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "manifest.csv").read_bytes() == finished.manifest.read_bytes()
    again = ["--out", str(tmp_path / "again.parquet"), *finished.settings()]
    assert main(["embed", *again]) == 0
    first = (finished.folder / "features.parquet").read_bytes()
    assert (tmp_path / "again.parquet").read_bytes() == first


def test_a_descriptor_may_be_chosen_and_options_stand_anywhere(
    finished: Any, tmp_path: Path
) -> None:
    out = tmp_path / "off.parquet"
    settings = finished.settings()
    words = [*settings[:2], "--descriptor=-pitch_shift", *settings[2:5], "--out", str(out)]
    assert main(["embed", *words, *settings[5:]]) == 0
    on, off = (
        np.stack(pd.read_parquet(path)["feature"])
        for path in (finished.folder / "features.parquet", out)
    )
    assert np.abs(on - off).max() > 1e-3


@pytest.mark.slow
def test_methods_without_training_or_network(
    finished: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sceptic's rows: their descriptor makes no difference, and no step is taken."""
    for method in ("logmel", "random"):
        run = tmp_path / f"{method}_s0"
        settings = [*finished.settings(run), "adapt.readout=lda"]
        assert main(["pretrain", *settings, f"method={method}"]) == 0
        assert not (run / "checkpoints").exists()
        assert main(["adapt", *settings, f"method={method}", "tasks=[label]"]) == 0
        assert main(["evaluate", *settings, "adapt.modes=[fixed:all]", "tasks=[label]"]) == 0
        result = read(run / "tasks" / "label" / "fixed_all" / "linear" / "result.json")
        assert result["method"] == method, "the run knows its method, whatever the command says"
        assert main(["measure", *settings]) == 0
        assert max(abs(gap) for gap in read(run / "measure.json")["gap"].values()) < 0.02
    assert (
        read(tmp_path / "logmel_s0" / "tasks" / "label" / "fixed_all" / "linear" / "result.json")[
            "value"
        ]
        > 0.6
    )


def test_another_seed_is_another_encoder_and_the_same_seed_the_same(
    finished: Any, tmp_path: Path
) -> None:
    weights = [load_file(finished.run / "encoder" / "encoder.safetensors")]
    for name, seed in (("again", 0), ("other", 1)):
        run = tmp_path / name
        assert main(["pretrain", *finished.settings(run), f"seed={seed}"]) == 0
        weights.append(load_file(run / "encoder" / "encoder.safetensors"))
    first, again, other = weights
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["backbone.linear.weight"], other["backbone.linear.weight"])


@pytest.mark.slow
def test_results_are_the_same_when_adapted_again(finished: Any, tmp_path: Path) -> None:
    run = tmp_path / "amortised_s0"
    shutil.copytree(finished.run, run)
    shutil.rmtree(run / "tasks")
    modes = "adapt.modes=[soft,paper]"
    for name in ("adapt", "evaluate"):
        assert main([name, *finished.settings(run), modes, "tasks=[shift]"]) == 0
    assert [path.name for path in (run / "tasks").iterdir()] == ["shift"]
    for mode in ("soft", "paper"):
        one, two = (
            read(r / "tasks" / "shift" / mode / "linear" / "result.json")
            for r in (finished.run, run)
        )
        assert [one[k] for k in ("value", "interval", "descriptor")] == [
            two[k] for k in ("value", "interval", "descriptor")
        ]
