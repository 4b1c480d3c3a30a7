"""What a user gets wrong: status 2, one line, and nothing left that a later run would trust."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import soundfile

from audioinv.base.lock import locked
from audioinv.cli import main
from audioinv.data.pack import open_pack

Refuse = Callable[[Sequence[str]], str]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pretrain.step=3", "pretrain.step"),
        ("pretrian.steps=3", "pretrian"),
        ("pretrain.steps=many", "many"),
        ("backbone=resnet19", "resnet19"),
        ("frontend.n_bins=[1", "[1"),
        ("frontend.name=mfcc", "log_mel, log_frequency"),
        ("frontend.max_hz=9000", "4000"),
        ("backbone.name=resnet19", "resnet19"),
        ("backbone.pool=max", "time, global, both"),
        ("method=timm", "give init_weights=FILE"),
        ("conditioning.name=film", "hyper, norm, prompt, none"),
        ("bank.names=[echo]", "echo"),
        ("bank.min_active=9", "min_active is 9"),
        ("bank.inactive=sometimes", "identity or shared"),
        ("pretrain.optimiser=rmsprop", "adamw, adam, sgd, lars"),
        ("pretrain.corners=echo", "echo"),
        ("pretrain.batch_size=500", "lower pretrain.batch_size"),
        ("pretrain.log_every=0", "pretrain.log_every"),
        ("+method_pretrain.amortised={step: 3}", "method_pretrain.amortised: Key 'step'"),
        ("+method_pretrain.amortised={lr: high}", "method_pretrain.amortised: Value 'high'"),
        ("accelerator=abacus", "accelerator=abacus"),
        ("precision=3-bit", "precision=3-bit"),
        ("bank.audiomentations=[{_target_: os.getcwd}]", "audiomentations.X"),
        (
            "bank.audiomentations=[{_target_: audiomentations.Gain, p: {_target_: os.getcwd}}]",
            "os.getcwd",
        ),
        ("bank.audiomentations=[{_target_: audiomentations.Gain, max_volume: 3}]", "max_volume"),
    ],
)
def test_settings_of_pretraining(
    packed: Any, refuse: Refuse, tmp_path: Path, override: str, message: str
) -> None:
    run = tmp_path / "run"
    assert message in refuse(["pretrain", *packed.settings(run), override])
    written = [path.name for path in run.rglob("*")] if run.exists() else []
    harmless = {"config.yaml", "statistics.json", "metrics.jsonl", "tensorboard"}
    assert set(written) <= harmless, written


def test_a_refused_run_folder_can_be_used_once_mended(
    packed: Any, refuse: Refuse, tmp_path: Path
) -> None:
    settings = [*packed.settings(tmp_path), "pretrain.steps=1"]
    refuse(["pretrain", *settings, "pretrain.batch_size=500"])
    assert main(["pretrain", *settings]) == 0
    assert "batch_size: 12" in (tmp_path / "config.yaml").read_text()


def test_a_run_folder_of_other_settings(finished: Any, refuse: Refuse, snapshot: Any) -> None:
    before = snapshot(finished.run)
    line = refuse(["pretrain", *finished.settings(), "pretrain.lr=0.5"])
    assert "other settings (pretrain.lr: 0.002 -> 0.5)" in line and "another run folder" in line
    assert "allow_changes=true" in line
    for name in ("adapt", "evaluate"):
        line = refuse([name, *finished.settings(), "adapt.modes=[soft]", "features.layers=all"])
        assert "layers last -> all" in line
        if name == "evaluate":
            continue
    line = refuse(["adapt", *finished.settings(), "adapt.modes=[soft]", "adapt.readout=lda"])
    assert "readout ridge -> lda" in line
    assert snapshot(finished.run) == before


def test_a_run_goes_on_with_other_settings_if_asked_to(
    packed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And with older settings: a key that its config.yaml does not have yet had its default."""
    settings = [*packed.settings(tmp_path), "pretrain.steps=2"]
    assert main(["pretrain", *settings]) == 0
    shutil.rmtree(tmp_path / "encoder")
    config = tmp_path / "config.yaml"
    config.write_text(
        config.read_text().replace("  keep_checkpoints: 2\n", "").replace("  skip_limit: 10\n", "")
    )
    assert main(["pretrain", *settings]) == 0
    shutil.rmtree(tmp_path / "encoder")
    longer = [*settings[:-1], "pretrain.steps=3", "allow_changes=true"]
    assert main(["pretrain", *longer]) == 0
    assert "goes on with other settings: pretrain.steps: 2 -> 3" in caplog.text
    assert "steps: 3" in config.read_text()
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]


def test_a_finished_run_trains_on_or_says_that_it_cannot(
    packed: Any, tmp_path: Path, refuse: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends as one that was stopped at its old end and went on with the new number of steps."""
    for name in ("finished", "stopped"):
        assert main(["pretrain", *packed.settings(tmp_path / name), "pretrain.steps=3"]) == 0
    shutil.rmtree(tmp_path / "stopped" / "encoder")
    run = [*packed.settings(tmp_path / "finished"), "allow_changes=true"]
    before = (tmp_path / "finished" / "encoder" / "encoder.safetensors").read_bytes()
    for word in ("pretrain.steps=2", "pretrain.lr=0.5", "seed=1", "bank.min_active=2"):
        steps = [] if word.startswith("pretrain.steps") else ["pretrain.steps=3"]
        told = refuse(["pretrain", *run, *steps, word])
        assert "is finished, at 3 steps" in told and "give pretrain.steps above 3" in told
    assert "not seed" in refuse(["pretrain", *run, "pretrain.steps=5", "seed=1"])
    for name in ("finished", "stopped"):
        words = [*packed.settings(tmp_path / name), "pretrain.steps=5", "allow_changes=true"]
        assert main(["pretrain", *words]) == 0
    assert "has 3 steps and trains on to 5 from its last checkpoint" in caplog.text
    assert (
        "cosine_after_warmup counts them all, and step 4 begins at 75% of the peak" in caplog.text
    )
    encoders = [
        (tmp_path / name / "encoder" / "encoder.safetensors").read_bytes()
        for name in ("finished", "stopped")
    ]
    assert encoders[0] == encoders[1] != before
    rows = (tmp_path / "finished" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3, 4, 5]


def test_a_run_of_before_the_stem_was_conditioned(
    packed: Any, refuse: Refuse, tmp_path: Path
) -> None:
    """Its config.yaml does not say `stem`: it shared it, and goes on where that is said."""
    settings = [*packed.settings(tmp_path), "pretrain.steps=1"]
    assert main(["pretrain", *settings, "conditioning.stem=false"]) == 0
    config = tmp_path / "config.yaml"
    assert "  stem: false\n" in config.read_text()
    config.write_text(config.read_text().replace("  stem: false\n", ""))
    assert "conditioning.stem: False -> True" in refuse(["pretrain", *settings])
    assert main(["pretrain", *settings, "conditioning.stem=false"]) == 0
    others = [word for word in settings if not word.startswith("conditioning")]
    assert main(["embed", "--out", str(tmp_path / "e.parquet"), *others]) == 0


@pytest.mark.parametrize("command", ["statistics", "pretrain", "calibrate"])
def test_a_pack_without_clips_to_train_on(
    packed: Any, refuse: Refuse, tmp_path: Path, command: str
) -> None:
    table = pd.read_csv(packed.manifest)
    table[table["split"] == "test"].head(1).to_csv(tmp_path / "manifest.csv", index=False)
    shutil.copy(packed.manifest.with_name("corpus.json"), tmp_path)
    one = tmp_path / "pack"
    files = ["--root", str(packed.folder / "audio")]
    assert main(["pack", str(tmp_path), "--out", str(one), "--sample_rate", "8000", *files]) == 0
    words = [*packed.settings(tmp_path / "run"), f"statistics={tmp_path / 's.json'}", f"pack={one}"]
    if command == "calibrate":
        assert main(["pretrain", *packed.settings(tmp_path / "run"), "pretrain.steps=1"]) == 0
        words = [str(tmp_path / "run"), "--pack", str(one)]
    elif command == "pretrain":
        words.append("statistics=none")
    assert "has no clips to train on: all 1 are in the test part" in refuse([command, *words])


@pytest.mark.parametrize("command", ["embed", "export"])
def test_a_pack_of_one_clip_is_used(finished: Any, tmp_path: Path, command: str) -> None:
    table = pd.read_csv(finished.manifest)
    table.head(1).to_csv(tmp_path / "manifest.csv", index=False)
    shutil.copy(finished.manifest.with_name("corpus.json"), tmp_path)
    one, files = tmp_path / "pack", ["--root", str(finished.folder / "audio")]
    assert main(["pack", str(tmp_path), "--out", str(one), "--sample_rate", "8000", *files]) == 0
    out = tmp_path / ("f.npy" if command == "embed" else "f.pt2")
    assert main([command, "--out", str(out), *finished.settings(), f"pack={one}"]) == 0
    assert out.exists()


def test_two_runs_in_one_folder(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with locked(run):
        line = refuse(["pretrain", *packed.settings(run)])
        assert f"in use by process {os.getpid()} on" in line and "another folder" in line
        assert [path.name for path in run.iterdir()] == [".lock"]
    assert main(["pretrain", *packed.settings(run), "pretrain.steps=1"]) == 0
    assert not (run / ".lock").exists()


def test_pack_of_another_rate(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    wrong = ["frontend.sample_rate=16000", f"run={tmp_path / 'run'}"]
    line = refuse(["pretrain", *packed.settings(), *wrong])
    assert "sample_rate 8000" in line and "--sample_rate 16000" in line
    line = refuse(["statistics", *packed.settings(), *wrong, f"statistics={tmp_path / 's.json'}"])
    assert "--sample_rate 16000" in line
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "name", ["statistics", "pretrain", "adapt", "evaluate", "measure", "embed"]
)
def test_missing_pack_or_run(packed: Any, refuse: Refuse, tmp_path: Path, name: str) -> None:
    out = ["--out", str(tmp_path / "out")] if name == "embed" else []
    settings = [*packed.settings(tmp_path / "run"), f"statistics={tmp_path / 's.json'}"]
    if name == "statistics":
        assert "give statistics=PATH" in refuse([name, *settings, "statistics=null"])
    else:
        assert "give run=PATH" in refuse([name, *out, *settings, "run=null"])
    if name in ("statistics", "pretrain"):
        assert "give pack=PATH" in refuse([name, *settings, "pack=null"])
        assert "nowhere is not a finished pack" in refuse([name, *settings, "pack=nowhere"])
    else:
        assert "run audioinv pretrain" in refuse([name, *out, *settings])
    assert list(tmp_path.rglob("*")) == []


def test_missing_or_damaged_statistics(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    file, settings = tmp_path / "s.json", packed.settings(tmp_path / "run")
    assert "s.json" in refuse(["pretrain", *settings, f"statistics={file}"])
    for text in ("{", "[]", '{"mean": 1}', '{"mean": "a", "std": 1}', "3"):
        file.write_text(text)
        assert "s.json" in refuse(["pretrain", *settings, f"statistics={file}"]), text
    assert not (tmp_path / "run").exists()


def test_unknown_task_or_mode(finished: Any, refuse: Refuse, snapshot: Any) -> None:
    before = snapshot(finished.run)
    for name in ("adapt", "evaluate"):
        line = refuse([name, *finished.settings(), "tasks=[colour]"])
        assert "unknown task colour; the pack has label, shift" in line
    line = refuse(["adapt", *finished.settings(), "adapt.modes=[guess]"])
    assert "mode is 'guess'" in line and "search:validation" in line
    assert "run audioinv adapt" in refuse(
        ["evaluate", *finished.settings(), "adapt.modes=[fixed:none]"]
    )
    for text, told in (("fixed:echo", "unknown component echo"), ("fixed:", "give fixed:CORNER")):
        assert told in refuse(["adapt", *finished.settings(), f"adapt.modes=['{text}']"])
    assert "unknown component" in refuse(
        ["embed", *finished.settings(), "--descriptor", "echo", "--out", "x"]
    )
    assert snapshot(finished.run) == before


def test_a_task_over_an_augmentation_needs_it_in_no_bank_but_in_the_house(
    packed: Any, refuse: Refuse, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(packed.pack, pack)
    settings = [*packed.settings(tmp_path / "run"), "bank.names=[fade,white_noise]"]
    settings += ["pretrain.steps=0", f"pack={pack}", "adapt.modes=[fixed:all]", "tasks=[shift]"]
    assert main(["pretrain", *settings]) == 0
    assert main(["adapt", *settings]) == 0
    described = json.loads((pack / "pack.json").read_text())
    described["corpus"]["tasks"][-1]["augmentation"] = "echo"
    (pack / "pack.json").write_text(json.dumps(described))
    shutil.rmtree(tmp_path / "run" / "tasks")
    assert "there is no augmentation echo" in refuse(["adapt", *settings])
    assert not (tmp_path / "run" / "tasks").exists()


def test_a_task_of_one_class_is_named_before_others_are_learnt(
    finished: Any, refuse: Refuse, tmp_path: Path
) -> None:
    pack, run = tmp_path / "pack", tmp_path / "run"
    shutil.copytree(finished.pack, pack)
    shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("tasks", "results"))
    described = json.loads((pack / "pack.json").read_text())
    first = described["corpus"]["tasks"][0]
    described["corpus"]["tasks"] = [first, {**first, "name": "odd", "label": "sample_rate"}]
    (pack / "pack.json").write_text(json.dumps(described))
    line = refuse(["adapt", *finished.settings(run), f"pack={pack}", "adapt.modes=[fixed:all]"])
    assert "task odd: the label is 8000 for every training clip" in line and "tasks=[" in line
    assert not (run / "tasks").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other", "json", "format", "config"])
def test_damaged_encoder(finished: Any, refuse: Refuse, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run / "encoder", run / "encoder")
    shutil.copy(finished.run / "config.yaml", run)
    weights, described = run / "encoder" / "encoder.safetensors", run / "encoder" / "encoder.json"
    if damage in ("cut", "empty"):
        weights.write_bytes(weights.read_bytes()[: 5000 * (damage == "cut")])
    elif damage == "gone":
        weights.unlink()
    elif damage == "other":  # an error of many lines
        described.write_text(described.read_text().replace('"bases": 2', '"bases": 3'))
    elif damage == "json":
        described.write_text(described.read_text()[:100])
    elif damage == "format":
        described.write_text("[]")
    else:
        (run / "config.yaml").write_text("bank: [unclosed")
    line = refuse(["adapt", *finished.settings(run), "adapt.modes=[soft]"])
    assert str(run) in line
    assert not (run / "tasks").exists()


def test_damaged_adaptation(finished: Any, refuse: Refuse, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    folder = run / "tasks" / "label" / "soft"
    (folder / "linear" / "result.json").unlink()
    (folder / "adapted.safetensors").write_bytes(b"half")
    settings = [*finished.settings(run), "adapt.modes=[soft]"]
    assert "no readable adaptation" in refuse(["evaluate", *settings])
    assert not (folder / "linear" / "result.json").exists()
    (folder / "adapted.json").write_text("{")
    assert "cannot read" in refuse(["evaluate", *settings])


@pytest.mark.parametrize("size", ["8k", "40k", "300k"])
def test_full_disk_in_pretraining(
    packed: Any, refuse: Refuse, small_disk: Callable[[Path, str], None], tmp_path: Path, size: str
) -> None:
    run = tmp_path / "disk"
    small_disk(run, size)
    line = refuse(["pretrain", *packed.settings(run), "pretrain.checkpoint_every=6"])
    assert "No space left" in line or "is the disk full?" in line
    assert not (run / "encoder" / "encoder.json").exists()
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize("name", ["adapt", "measure", "embed", "export"])
def test_full_disk_in_using_an_encoder(
    finished: Any,
    refuse: Refuse,
    small_disk: Callable[[Path, str], None],
    tmp_path: Path,
    name: str,
) -> None:
    run = tmp_path / "disk"
    small_disk(run, "1m")
    shutil.copytree(finished.run / "encoder", run / "encoder")
    shutil.copy(finished.run / "config.yaml", run)
    whole = sorted(path.name for path in run.rglob("*"))
    with contextlib.suppress(OSError), open(run / "ballast", "wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    out = {"embed": ["--out", str(run / "out")], "export": ["--out", str(run / "out.pt2")]}
    line = refuse([name, *out.get(name, []), *finished.settings(run), "adapt.modes=[fixed:all]"])
    assert "No space left" in line or "cannot write" in line
    (run / "ballast").unlink()
    left = [path for path in run.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == [name for name in whole if name != "encoder"]


def test_a_missing_label_is_counted(
    packed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(packed.manifest.parent, tmp_path / "data")
    manifest = tmp_path / "data" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",tone3\n", ",\n", 1))
    assert main(["validate", str(manifest), "--root", str(packed.folder / "audio")]) == 0
    assert "task label: 1 of 60 clips have no label and are left out" in capsys.readouterr().out


def test_corrupt_and_empty_audio(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    shutil.copytree(packed.folder / "audio", tmp_path / "audio")
    shutil.copytree(packed.manifest.parent, tmp_path / "data")
    arguments = [str(tmp_path / "data" / "manifest.csv"), "--root", str(tmp_path / "audio")]
    bad = tmp_path / "audio" / "train" / "tone0" / "0.wav"
    for content in (b"", b"RIFF not a wav", bad.read_bytes()[:400]):
        bad.write_bytes(content)
        line = refuse(
            ["pack", *arguments, "--out", str(tmp_path / "pack"), "--sample_rate", "8000"]
        )
        assert "0.wav" in line
        assert not (tmp_path / "pack" / "pack.json").exists()
        assert main(["validate", *arguments, "--nj", "1"]) == 1


def test_audio_on_another_disk(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    """A folder of symbolic links, as of a corpus that lies on several disks."""
    root, given = tmp_path / "links", [str(packed.manifest), "--root", str(tmp_path / "links")]
    for path in (packed.folder / "audio").rglob("*.wav"):
        link = root / path.relative_to(packed.folder / "audio")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    pack = ["pack", *given, "--out", str(tmp_path / "pack"), "--sample_rate", "8000"]
    assert "--also_inside" in refuse(pack)
    assert main(["validate", *given, "--nj", "1"]) == 1
    allowed = ["--also_inside", str(packed.folder / "audio")]
    assert main(["validate", *given, "--nj", "1", *allowed]) == 0
    assert main([*pack, *allowed]) == 0
    assert len(open_pack(tmp_path / "pack")) == len(open_pack(packed.pack))
    assert "is not a folder" in refuse([*pack, "--also_inside", str(tmp_path / "none")])


def test_silent_corpus(refuse: Refuse, tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in "ab":
            path = tmp_path / "audio" / split / name / "0.wav"
            path.parent.mkdir(parents=True)
            soundfile.write(path, [0.0] * 8000, 8000)
    assert (
        main(
            [
                "prepare",
                "folder",
                "--root",
                str(tmp_path / "audio"),
                "--out",
                str(tmp_path / "data"),
            ]
        )
        == 0
    )
    manifest = str(tmp_path / "data" / "manifest.csv")
    assert (
        main(
            [
                "pack",
                manifest,
                "--out",
                str(tmp_path / "pack"),
                "--sample_rate",
                "8000",
                "--nj",
                "1",
            ]
        )
        == 0
    )
    out = tmp_path / "s.json"
    line = refuse(
        [
            "statistics",
            f"pack={tmp_path / 'pack'}",
            f"statistics={out}",
            "frontend.sample_rate=8000",
        ]
    )
    assert "silent" in line and not out.exists()


def test_report_of_nothing(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    assert "exp" in refuse(["report", str(tmp_path / "exp")])
    assert "nowhere" in refuse(["report", str(tmp_path / "nowhere")])
    assert list(tmp_path.rglob("*")) == [tmp_path / "exp"]


def test_config_dir(packed: Any, refuse: Refuse, tmp_path: Path) -> None:
    assert "not a folder" in refuse(["pretrain", "--config_dir", str(tmp_path / "conf"), "run=x"])
    folder = tmp_path / "my conf's" / "experiment"
    folder.mkdir(parents=True)
    file = folder / "tiny.yaml"
    file.write_text("# @package _global_\npretrain:\n  step: 3\n")
    settings = [
        "--config_dir",
        str(folder.parent),
        *packed.settings(tmp_path / "run"),
        "experiment=tiny",
    ]
    assert "step" in refuse(["pretrain", *settings])
    file.write_text("pretrain: [unclosed\n")
    refuse(["pretrain", *settings])
    file.write_text("# @package _global_\npretrain:\n  steps: 0\nseed: 7\n")
    without = [word for word in settings if not word.startswith("pretrain.steps")]
    assert main(["pretrain", *without]) == 0
    info = json.loads((tmp_path / "run" / "encoder" / "encoder.json").read_text())["info"]
    assert (info["steps"], info["seed"]) == (0, 7)
