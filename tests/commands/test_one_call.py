"""The same clip has the same features however it comes; tasks are applied to files straight."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from safetensors import safe_open

import audioinv as ai
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.commands import embed as command
from audioinv.data.manifest import read_manifest
from audioinv.data.pack import build_pack

RATE = 8000
TOLERANCE: dict[str, float] = {"atol": 1e-5, "rtol": 0}
Refuse = Callable[..., str]


@pytest.fixture(scope="module")
def encoder(finished: Any) -> ai.Encoder:
    return ai.load_encoder(finished.run / "encoder")


@pytest.fixture(scope="module")
def files(finished: Any) -> list[Path]:
    """The corpus' files, in the order of the pack."""
    pack = ai.open_pack(finished.pack)
    return [finished.folder / "audio" / path for path in pack.frame["path"]]


@pytest.fixture(scope="module")
def row(encoder: ai.Encoder, files: list[Path]) -> torch.Tensor:
    """The features of the first file, by itself."""
    found = encoder.embed(files[0])
    assert isinstance(found, torch.Tensor) and found.shape == (1, 16)
    return found[0]


def close(found: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected, **TOLERANCE)


def windows(file: Path) -> torch.Tensor:
    """A naive cut of 0.6 s into the first and the last half second."""
    x = torch.from_numpy(soundfile.read(file, dtype="float32")[0])
    return torch.stack([x[:4000], x[-4000:]])


def test_in_python_it_is_one_row_however_it_comes(
    finished: Any, encoder: ai.Encoder, files: list[Path], row: torch.Tensor, tmp_path: Path
) -> None:
    sound = soundfile.read(files[0], dtype="float32")[0]
    others = [0.1 * np.random.default_rng(k).standard_normal(3000 + 100 * k) for k in range(63)]
    close(encoder.embed(sound)[0], row)
    close(encoder.embed(np.stack([0 * sound, sound]))[1], row)
    close(encoder.embed([*others[:40], np.stack([sound, sound]), *others[40:]])[40], row)
    close(encoder.embed([files[3], str(files[0]), files[7]])[1], row)
    close(encoder.embed(finished.folder / "audio")[sorted(files).index(files[0])], row)
    close(ai.embed(finished.run / "encoder", ai.open_pack(finished.pack))[0], row)
    close(encoder.embed(finished.pack, batch_size=7)[0], row)
    manifest = read_manifest(finished.manifest)
    few = manifest.frame.iloc[[9, 0, 4]].reset_index(drop=True)
    build_pack(type(manifest)(**{**vars(manifest), "frame": few}), tmp_path / "few", Sounds(RATE))
    close(encoder.embed(tmp_path / "few")[1], row)
    close(encoder.at("all")(windows(files[0])).detach().mean(0), row)


def test_from_the_shell_it_is_the_same_row(
    finished: Any, files: list[Path], row: torch.Tensor, tmp_path: Path
) -> None:
    where = ["--encoder", str(finished.run / "encoder")]
    given = [str(files[3]), str(files[0])]
    for ending in ("parquet", "csv", "npy", "safetensors"):
        assert main(["embed", *given, *where, "--out", str(tmp_path / f"f.{ending}")]) == 0
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert table["path"].tolist() == given
    close(table["feature"][1], row)
    csv = pd.read_csv(tmp_path / "f.csv")
    assert csv["path"].tolist() == given
    close(csv.iloc[1, 1:].to_numpy(np.float32), row)
    close(np.load(tmp_path / "f.npy", allow_pickle=False)[1], row)
    assert pd.read_csv(tmp_path / "f.npy.rows.csv")["path"].tolist() == given
    with safe_open(tmp_path / "f.safetensors", "pt") as file:
        close(file.get_tensor("feature")[1], row)
        assert given[1] in file.metadata()["path"]
    close(np.stack(pd.read_parquet(finished.folder / "features.parquet")["feature"])[0], row)


def test_exported_and_traced_it_is_the_same_row(
    finished: Any, encoder: ai.Encoder, files: list[Path], row: torch.Tensor
) -> None:
    x = windows(files[0])
    program = torch.export.load(finished.folder / "encoder.pt2").module()
    close(program(x).detach().mean(0), row)
    traced = torch.jit.trace(encoder.at("all"), torch.randn(3, 4000))
    close(traced(x).detach().mean(0), row)
    saved = io.BytesIO()
    torch.jit.save(traced, saved)
    saved.seek(0)
    close(torch.jit.load(saved)(x).detach().mean(0), row)


def test_windows_are_rows_with_their_times(
    finished: Any, encoder: ai.Encoder, files: list[Path], tmp_path: Path
) -> None:
    run = f"run={finished.run}"
    words = [str(files[0]), run, "--windows", "--hop_s", "0.05", "--descriptor", "-pitch_shift"]
    assert main(["embed", *words, "--out", str(tmp_path / "w.parquet")]) == 0
    table = pd.read_parquet(tmp_path / "w.parquet")
    assert np.allclose(table["start_s"], [0, 0.05, 0.1])
    assert np.allclose(table["end_s"], [0.5, 0.55, 0.6])
    frames = encoder.embed(files[0], "-pitch_shift", frames=True, hop_s=0.05)
    close(np.stack(table["feature"]), frames.features)
    packed = [f"pack={finished.pack}", run, "--windows", "--nj", "1"]
    assert main(["embed", *packed, "--out", str(tmp_path / "p.csv")]) == 0
    rows = pd.read_csv(tmp_path / "p.csv")
    assert len(rows) == 120 and np.allclose(rows["start_s"], [0, 0.1] * 60)
    assert rows["id"].nunique() == 60 and (rows["id"][::2].values == rows["id"][1::2].values).all()


def peak_of(words: list[str]) -> int:
    """The most memory (MiB) that a command takes in a process of its own, libraries included."""
    code = (
        "import re, sys; from audioinv.cli import main; assert not main(sys.argv[1:]);"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) // 1024


@pytest.mark.slow
def test_ten_minutes_are_600_windows_in_little_memory(finished: Any, tmp_path: Path) -> None:
    """At 44.1 kHz in stereo, 26 million frames, 212 MB as floats: over what one minute takes."""
    second = 0.1 * np.random.default_rng(0).standard_normal((44100, 2))
    peaks = []
    for minutes in (1, 10):
        path, out = tmp_path / f"{minutes}.wav", tmp_path / f"{minutes}.npy"
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            for _ in range(60 * minutes):
                file.write(second)
        words = ["--encoder", str(finished.run / "encoder"), "features.drop_last=true"]
        words += ["--windows", "--hop_s", "1", "--out", str(out)]
        peaks.append(peak_of(["embed", str(path), *words]))
        rows = pd.read_csv(f"{out}.rows.csv")
        assert rows["start_s"].tolist() == list(range(60 * minutes))
        assert np.allclose(rows["end_s"] - rows["start_s"], 0.5)
        assert np.load(out, allow_pickle=False).shape == (60 * minutes, 16)
    print(peaks)
    assert peaks[1] < peaks[0] + 64 and peaks[1] < 1024


def test_a_task_predicts_files_as_it_was_scored(
    finished: Any, files: list[Path], tmp_path: Path
) -> None:
    pack = ai.open_pack(finished.pack)
    tested = np.flatnonzero(pack.frame["split"] == "test")
    folder = finished.run / "tasks" / "label" / "soft"
    task = ai.load_task(folder)
    given = [files[row] for row in tested]
    labels = pack.frame["label"].to_numpy()[tested]
    result = pd.read_json(folder / "linear" / "result.json", typ="series")
    assert (task.predict(given) == labels).mean() == pytest.approx(result["value"])
    assert task.descriptor == pytest.approx(result["descriptor"]) and len(task.values) == 6
    learnt = ai.adapt(finished.run / "encoder", pack.task("label"), mode="soft")
    assert np.allclose(task.predict_proba(given), learnt.predict_proba(given), atol=1e-5)
    out, words = tmp_path / "p.csv", ["--run", str(finished.run), "--task", "label"]
    assert main(["predict", *map(str, given), *words, "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert table["path"].tolist() == list(map(str, given))
    assert (table["prediction"] == task.predict(given)).all()
    assert np.allclose(table[task.values], task.predict_proba(given), atol=1e-5)


def test_predictions_go_to_standard_output(
    finished: Any, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--run", str(finished.run), "--task", "label", "--mode", "search", "--windows"]
    assert main(["predict", str(files[0]), *words]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table)[:4] == ["path", "start_s", "end_s", "prediction"] and len(table) == 2


@pytest.mark.slow
def test_the_network_of_a_task_gives_its_probabilities(
    finished: Any, files: list[Path], tmp_path: Path
) -> None:
    task = ai.load_task(finished.run / "tasks" / "label" / "soft")
    x = torch.cat([windows(file)[:1] for file in files[:5]])
    expected = torch.from_numpy(task.predict_proba(x))
    close(task.network()(x).detach(), expected)
    out = tmp_path / "task.pt2"
    words = ["--task", "label", "--out", str(out), *finished.settings()]
    assert main(["export", *words]) == 0
    close(torch.export.load(out).module()(x).detach(), expected)


def test_features_of_a_task_are_those_of_its_mixture(
    finished: Any, encoder: ai.Encoder, files: list[Path], tmp_path: Path
) -> None:
    task = ai.load_task(finished.run / "tasks" / "label" / "soft")
    (fold,) = task.folds
    found = task.embed(files[:3])
    weights = task.mixture.weights
    assert float(weights.sum()) == pytest.approx(1) and torch.equal(
        weights, weights.sort(descending=True).values
    )
    parts = [encoder.embed(files[:3], each) for each in task.mixture.descriptors]
    expected = torch.cat([w.sqrt() * f for w, f in zip(weights, parts, strict=True)], 1)
    close(found, expected)
    assert sorted(weights.tolist()) == sorted(fold.mixture.weights.tolist())
    words = [*map(str, files[:3]), f"run={finished.run}", "--task", "label"]
    assert main(["embed", *words, "--out", str(tmp_path / "t.npy")]) == 0
    close(np.load(tmp_path / "t.npy", allow_pickle=False), found)
    close(encoder.embed(files[:3], task), found)


@pytest.mark.slow
def test_fine_tuned_weights_are_kept_and_exported(
    finished: Any, files: list[Path], tmp_path: Path
) -> None:
    modes = [f"out={tmp_path}", "adapt.modes=[fixed:all]", "tasks=[label]", "features.hop_s=0"]
    settings = [*finished.settings(), *modes]
    assert main(["adapt", *settings]) == 0
    assert main(["evaluate", *settings, "protocol=finetune", "finetune.epochs=2"]) == 0
    folder = tmp_path / "tasks" / "label" / "fixed_all" / "finetune"
    network = ai.load_finetuned(folder)
    pack = ai.open_pack(finished.pack)
    tested = np.flatnonzero(pack.frame["split"] == "test")
    x = torch.cat([windows(files[row])[:1] for row in tested])
    outputs = network(x).detach()
    assert torch.allclose(outputs.sum(1), torch.ones(len(x)))
    predicted = np.array(network.classes)[outputs.argmax(1)]
    result = pd.read_json(folder / "result.json", typ="series")
    labels = pack.frame["label"].to_numpy()[tested]
    assert (predicted == labels).mean() == pytest.approx(result["value"])
    words = ["--task", "label", "--mode", "fixed:all", "--finetuned", "--out"]
    assert main(["export", *words, str(tmp_path / "tuned.pt2"), *settings]) == 0
    program = torch.export.load(tmp_path / "tuned.pt2").module()
    close(program(x).detach(), outputs)
    (folder / "finetuned.json").write_text("{}")
    with pytest.raises(UserError, match="finetune"):
        ai.load_finetuned(folder)


def test_a_task_of_another_encoder_is_refused(
    finished: Any, tmp_path: Path, refuse: Refuse
) -> None:
    other = ai.load_encoder(finished.run / "encoder")
    other.save(tmp_path / "encoder", {"other": True})
    with pytest.raises(UserError, match="another encoder"):
        ai.load_task(finished.run / "tasks" / "label" / "soft", tmp_path / "encoder")
    words = ["--run", str(finished.run), "--task", "nothing"]
    assert "label/soft" in refuse(["predict", "a.wav", *words])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{audio}", "pack={pack}", "run={run}", "--out", "f.npy"], "give one"),
        (["{audio}", "--out", "f.npy"], "give run=PATH"),
        (["run={run}", "--out", "f.npy"], "give pack=PATH"),
        (["{audio}", "run={run}", "--out", "f.txt"], "--out is f.txt"),
        (["nothing.wav", "run={run}", "--out", "f.npy"], "nothing.wav"),
        (["{audio}", "--encoder", "nowhere", "--out", "f.npy"], "nowhere holds no encoder"),
        (["{audio}", "--encoder", "{run}", "--out", "f.npy"], "encoder?)"),
        (["{audio}", "run={run}", "--task", "label", "--mode", "luck", "--out", "f.npy"], "luck"),
        (["{audio}", "run={run}", "--descriptor", "-luck", "--out", "f.npy"], "luck"),
        (["{audio}", "run={run}", "--hop_s", "-1", "--out", "f.npy"], "hop_s is -1"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    finished: Any, refuse: Refuse, words: list[str], told: str
) -> None:
    at = {"audio": finished.folder / "audio", "pack": finished.pack, "run": finished.run}
    assert told in refuse(["embed", *(word.format(**at) for word in words)])


def test_every_piece_of_a_pack_is_a_row_of_its_own(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PIECE_CLIPS", 7)
    words = ["--out", str(tmp_path / "f.npy"), "--nj", "1", *finished.settings()]
    assert main(["embed", *words]) == 0
    whole = np.stack(pd.read_parquet(finished.folder / "features.parquet")["feature"])
    assert np.allclose(np.load(tmp_path / "f.npy", allow_pickle=False), whole, atol=1e-5)


def test_a_task_over_levels_is_one_network_and_survives_its_files(
    finished: Any, files: list[Path], tmp_path: Path
) -> None:
    pack = ai.open_pack(finished.pack)
    learnt = ai.adapt(finished.run / "encoder", pack.task("label"), layers="depth")
    learnt.save(tmp_path)
    task = ai.load_task(tmp_path, finished.run / "encoder")
    expected = torch.from_numpy(learnt.predict_proba(files[:5]))
    close(torch.from_numpy(task.predict_proba(files[:5])), expected)
    assert task.info["depth"] == learnt.info["depth"]
    assert sum(task.info["depth"].values()) == pytest.approx(1, abs=1e-3)
    mixture = task.mixture
    assert mixture.spans is not None
    parts = [task.encoder.embed(files[:5], d, levels="depth") for d in mixture.descriptors]
    cut = zip(parts, mixture.spans.tolist(), mixture.weights, strict=True)
    close(task.embed(files[:5]), torch.cat([w.sqrt() * f[:, a:b] for f, (a, b), w in cut], 1))
    x = torch.cat([windows(file)[:1] for file in files[:5]])
    close(task.network()(x).detach(), torch.from_numpy(task.predict_proba(x)))
    assert ai.evaluate(learnt).depth == learnt.info["depth"]
