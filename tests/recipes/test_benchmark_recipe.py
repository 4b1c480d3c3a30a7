"""The benchmark: one encoder on every corpus that is there."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audioinv.cli import main
from audioinv.data.modality import registered
from tests.halves import HAVE, of_sounds

RECIPES = Path(__file__).parents[2] / "recipes"
SCRIPT = RECIPES / "benchmark" / "ssl1" / "run.sh"
MODALITY = {"benchmark": "audio", "vision_benchmark": "image"}
THERE = [name for name, modality in MODALITY.items() if modality in HAVE]
AUDIOINV = Path(sys.executable).with_name("audioinv")


def listed(name: str) -> dict[str, list[str]]:
    """corpora.txt: folder -> what it says of it."""
    lines = (RECIPES / name / "ssl1" / "corpora.txt").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line[0] != "#"]
    return {row[0]: row[1:] for row in rows}


def run(folder: Path, *options: object, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    """The script, with the stub that is in the folder."""
    command = ["bash", str(script), "--audioinv", "./audioinv", *map(str, options)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


STUB = """#!/bin/sh
set -- "$1" audio sample_rate image image_size series channels
[ "$1" != modalities ] || { shift; printf '%s\\t%s\\twhat it is\\n' "$@"; }
"""


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """An audioinv that tells its modalities and does nothing else."""
    path = tmp_path / "audioinv"
    path.write_text(STUB)
    path.chmod(0o755)
    return path


@pytest.fixture
def world(tmp_path: Path, stub: Path) -> Path:
    """A finished run, as far as the driver looks, and folders of three corpora."""
    assert stub.exists()
    folder = tmp_path / "exp" / "amortised_s3" / "encoder"
    folder.mkdir(parents=True)
    told = {"frontend": {"sample_rate": 8000}, "info": {"seed": 3, "method": "amortised"}}
    (folder / "encoder.json").write_text(json.dumps(told))
    (folder / "encoder.safetensors").write_bytes(b"weights")
    for name in ("fsdd", "esc10", "crema_d", "else"):
        (tmp_path / "audio" / name).mkdir(parents=True)
    return tmp_path


def commands(world: Path, *options: str) -> list[list[str]]:
    fixed = ["--run", "exp/amortised_s3", "--data_root", "audio", "--dry_run", "true"]
    result = run(world, *fixed, *options)
    assert result.returncode == 0, result.stderr
    return [shlex.split(line)[1:] for line in result.stdout.splitlines()[2:]]


@pytest.mark.parametrize("name", THERE)
def test_every_corpus_is_looked_for(name: str) -> None:
    own = {"folder", "table", "image_folder"}
    made = {"notes_and_noises", "sonograph", "sonograph_factors", "spirograph"}
    part = {"benchmark": "esc10", "vision_benchmark": "imagenet100"}[name]
    assert set(listed(name)) == (registered(MODALITY[name]).corpora().keys() - own - made) | {part}


@pytest.mark.parametrize("name", THERE)
def test_what_is_said_of_corpora_is_theirs(name: str) -> None:
    known = registered(MODALITY[name]).corpora()
    for prepare, pack, overrides in listed(name).values():
        corpus = known[prepare.split()[0]]
        assert pack in ("", "--image_fit squash")
        tasks = [w[7:-1].split(",") for w in overrides.split() if w.startswith("tasks=")]
        assert {task for names in tasks for task in names} <= {task.name for task in corpus.TASKS}
        points = any(t.kind == "regression" and not t.augmentation for t in corpus.TASKS)
        assert (pack != "") == points, "points survive squashing, and cutting does them harm"


def test_those_found_are_used_and_the_others_listed(world: Path) -> None:
    options = ["--run", "exp/amortised_s3", "--data_root", "audio", "--dry_run", "true"]
    told = run(world, *options).stderr
    assert "found: crema_d esc10 fsdd\n" in told
    assert "absent: audioset birdclef2020" in told and "else" not in told


def test_each_corpus_is_prepared_and_packed_at_the_encoders_rate(world: Path) -> None:
    first = commands(world, "--stop_stage", "pack")
    prepared = [words for words in first if words[0] == "prepare"]
    assert [words[1] for words in prepared] == ["crema_d", "esc50", "fsdd"]
    root = str(world / "audio" / "esc10")
    assert prepared[1][2:] == ["--root", root, "--out", "data/esc10", "--subset", "esc10"]
    packed = [words[1:6] for words in first if words[0] == "pack"]
    assert packed[2] == [
        "data/fsdd", "--out", "packs/fsdd_8000", "--sample_rate", "8000",
    ]  # fmt: skip


def test_results_lie_by_corpus_and_run(world: Path) -> None:
    later = commands(world, "--stage", "adapt", "--protocols", "linear knn")
    names = [words[0] for words in later]
    assert names == ["adapt"] * 3 + ["evaluate"] * 6 + ["report"] * 3 + ["table"]
    words = set(later[2])
    assert {"pack=packs/fsdd_8000", "out=exp/cpu_quick/fsdd/amortised_s3", "seed=3"} <= words
    assert f"run={world}/exp/amortised_s3" in words
    assert {"protocol=linear"} <= set(later[3]) and {"protocol=knn"} <= set(later[8])
    folders = [f"exp/cpu_quick/{name}" for name in ("crema_d", "esc10", "fsdd")]
    assert later[-1][1:6] == [*folders, "--out", "exp/cpu_quick/table"]
    assert Path(later[-1][later[-1].index("--published") + 1]).is_file()


def test_a_corpus_of_few_classes_tests_on_more_of_them_unless_told_otherwise(world: Path) -> None:
    mine = "fewshot.class_split=[0.3,0,0.7]"
    adapt = commands(world, "--stage", "adapt", "--stop_stage", "adapt", "--audioinv_opts", mine)
    esc10 = next(words for words in adapt if "pack=packs/esc10_8000" in words)
    given = [word for word in esc10 if word.startswith("fewshot.class_split")]
    assert given == ["fewshot.class_split=[0.5,0,0.5]", mine], "Hydra takes the last"


def test_only_the_asked_for_corpora_are_used(world: Path) -> None:
    first = commands(world, "--stop_stage", "prepare", "--corpora", "fsdd esc10 gtzan")
    assert [words[1] for words in first] == ["fsdd", "esc50"]


def test_images_are_judged_by_the_same_driver(world: Path) -> None:
    told = {"frontend": {"image_size": 48}, "info": {"seed": 3, "method": "amortised"}}
    (world / "exp" / "amortised_s3" / "encoder" / "encoder.json").write_text(json.dumps(told))
    for name in ("imagenet100", "celeba"):
        (world / "images" / name).mkdir(parents=True)
    script = RECIPES / "vision_benchmark" / "ssl1" / "run.sh"
    given = ["--run", "exp/amortised_s3", "--data_root", "images", "--dry_run", "true"]
    result = run(world, *given, script=script)
    assert result.returncode == 0, result.stderr
    lines = [shlex.split(line)[1:] for line in result.stdout.splitlines()[2:]]
    assert [words[:2] for words in lines[:2]] == [["prepare", "celeba"], ["prepare", "imagenet"]]
    classes = script.parent / lines[1][lines[1].index("--classes") + 1]
    assert len(classes.read_text().split()) == 100
    pack = next(words for words in lines if words[0] == "pack")
    assert pack[2:8] == [
        "--out", "packs/celeba_48", "--image_size", "48", "--image_fit", "squash",
    ]  # fmt: skip
    adapt = next(words for words in lines if words[0] == "adapt")
    assert {"modality=image", "pack=packs/celeba_48", "tasks=[landmarks]"} <= set(adapt)
    assert "--published" not in lines[-1]
    assert "recipes/vision_benchmark/ssl1/run.sh" in " ".join(lines[-2])


def test_any_modality_is_packed_at_the_size_of_its_encoder(world: Path) -> None:
    told = {"frontend": {"channels": 8}, "info": {"seed": 3, "method": "amortised"}}
    (world / "exp" / "amortised_s3" / "encoder" / "encoder.json").write_text(json.dumps(told))
    lines = commands(world, "--modality", "series", "--stop_stage", "adapt")
    packed = [words[3:6] for words in lines if words[0] == "pack"]
    assert ["packs/fsdd_8", "--channels", "8"] in packed
    assert all("modality=series" in words for words in lines if words[0] == "adapt")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--run", "audio"], ["'audio'", "no encoder"]),
        (["--data_root", "absent"], ["'absent'", "not a folder"]),
        (["--data_root", "exp"], ["none of the folders", "fsdd"]),
        (["--run", ""], ["--run is empty"]),
        (["--corpora", "fsdd mnist"], ["no 'mnist'", "esc10"]),
        (["--modality", "image"], ["tells no image_size"]),
        (["--modality", "series"], ["tells no channels"]),
        (["--modality", "smell"], ["'smell'", "audio image series"]),
        (["--stage", "pretrain"], ["'pretrain'", "1 to 6", "adapt"]),
        (["--encoder", "x"], ["unknown option '--encoder'", "--help"]),
        (["--jobs", "0"], ["'0'"]),
    ],
)
def test_wrong_options_are_refused(world: Path, options: list[str], told: list[str]) -> None:
    given = ["--run", "exp/amortised_s3", "--data_root", "audio"]
    result = run(world, *given, *options)
    assert result.returncode == 2
    for text in told:
        assert text in result.stderr.splitlines()[-1]


def test_an_encoder_without_rate_or_seed_is_refused(world: Path) -> None:
    (world / "exp" / "amortised_s3" / "encoder" / "encoder.json").write_text("{}")
    result = run(world, "--run", "exp/amortised_s3", "--data_root", "audio")
    assert result.returncode == 2 and "no sample_rate and seed" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_encoder_of_the_same_name_does_not_get_its_results(world: Path) -> None:
    fixed = ["--run", "exp/amortised_s3", "--data_root", "audio", "--expdir", "results"]
    fixed += ["--stage", "report"]
    assert run(world, *fixed).returncode == 0
    assert run(world, *fixed).returncode == 0
    (world / "exp" / "amortised_s3" / "encoder" / "encoder.safetensors").write_bytes(b"others")
    result = run(world, *fixed)
    assert result.returncode == 2 and "another encoder that is called amortised_s3" in result.stderr


def write_corpora(root: Path) -> None:
    """FSDD and ESC-10 in miniature: a second of noise a clip at most."""
    from audioinv.audio.io import write_wav

    noise = np.random.default_rng(0)
    for digit in range(10):
        for speaker in ("george", "jackson", "lucas"):
            for take in (0, 1, 5, 6, 7, 8):
                name = f"fsdd/recordings/{digit}_{speaker}_{take}.wav"
                write_wav(root / name, noise.normal(0, 0.1, 3000), 8000)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(50):
        fold, target = number % 5 + 1, number // 5
        name = f"{fold}-{number}-A-{target}.wav"
        write_wav(root / "esc10" / "audio" / name, noise.normal(0, 0.1, 8000), 8000)
        lines.append(f"{name},{fold},{target},class{target},True,{number},A")
    (root / "esc10" / "meta").mkdir()
    (root / "esc10" / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")


def write_encoder(folder: Path) -> Path:
    """A run of a small random encoder of two components, made on the pack of FSDD."""
    data, pack = folder / "data", folder / "pack"
    root = folder / "audio" / "fsdd"
    assert main(["prepare", "fsdd", "--root", str(root), "--out", str(data)]) == 0
    packed = ["--out", str(pack), "--sample_rate", "8000", "--nj", "1"]
    assert main(["pack", str(data / "manifest.csv"), *packed]) == 0
    run = folder / "exp" / "amortised_s0"
    words = ["trained=false", "bank.names=[pitch_shift,time_shift]", "backbone=resnet10_narrow"]
    words += ["backbone.width=0.125", "backbone.dim=16"]
    words += ["frontend.sample_rate=8000", "frontend.clip_s=0.5", "frontend.n_fft=512"]
    words += ["frontend.n_bins=24", f"pack={pack}", f"run={run}"]
    assert main(["pretrain", *words]) == 0
    return run


@of_sounds
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_encoder_on_two_corpora_whole(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for name in ("TEMPLATE", "benchmark"):
        shutil.copytree(RECIPES / name, tmp_path / "recipes" / name, ignore=ignored)
    write_corpora(tmp_path / "audio")
    published = RECIPES.parent / "data_manifests" / "published" / "mt_slvr.csv"
    command = [
        *("bash", tmp_path / "recipes" / "benchmark" / "ssl1" / "run.sh", "--config", "debug"),
        *("--run", write_encoder(tmp_path), "--data_root", tmp_path / "audio"),
        *("--expdir", tmp_path / "all", "--results", tmp_path / "RESULTS.md"),
        *("--audioinv", AUDIOINV, "--published", published),
        *("--audioinv_opts", "adapt.evidence_steps=5"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    table = (tmp_path / "all" / "table.md").read_text()
    assert "esc10: category (accuracy, %)" in table and "fsdd: digit (accuracy, %)" in table
    assert "Protocol fewshot-v1 5-way 1-shot" in table and "**Mean ranks**" in table
    assert "| M2D | Niizumi et al., ICASSP 2023 | esc50 |" in table, "a protocol of their own"
    assert "Heggan" not in table and "Left out: 20 published figures" in table
    assert table.strip() in (tmp_path / "RESULTS.md").read_text()
    frame = pd.read_csv(tmp_path / "all" / "table.csv")
    linear = frame[frame["protocol"] == "linear-v1"]
    assert set(linear["task"]) == {
        "esc10: category", "fsdd: digit", "fsdd: speaker", "fsdd: digit_unseen_speaker",
        "fsdd: speaker_unseen_digit",
    }  # fmt: skip
    assert frame[["low", "high"]].notna().all().all()
    page = (tmp_path / "all" / "table.html").read_text()
    assert "Mean ranks" in page and "Niizumi et al." in page
    assert (tmp_path / "all" / "esc10" / "report.html").exists()
