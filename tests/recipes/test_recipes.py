"""Every corpus has a recipe whose configs compose and whose driver does as it is told."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from audioinv.commands.compose import compose_config
from audioinv.conf.schema import Config
from audioinv.corpora import CORPORA
from audioinv.data.audio_io import write_wav

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.parts[-3] for path in RECIPES.glob("*/ssl1/run.sh"))
OF_CORPORA = [name for name in NAMES if name != "benchmark"]
CORPUS = {"demo": "sonograph", "esc10": "esc50"}
SHARED = sorted(
    name
    for name in OF_CORPORA
    if "benchmark_quick" in (RECIPES / name / "ssl1/conf/experiment/cpu_quick.yaml").read_text()
)
GPU_FRONTEND = {"sample_rate": 16000, "clip_s": 5.0, "n_fft": 1024, "hop": 512, "n_bins": 128}


@cache
def composed(name: str, experiment: str) -> Config:
    return compose_config([f"experiment={experiment}"], str(RECIPES / name / "ssl1" / "conf"))


def run(name: str, *options: str) -> str:
    command = ["bash", str(RECIPES / name / "ssl1" / "run.sh"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_corpus_but_ones_own_folder_has_a_recipe() -> None:
    assert {CORPUS.get(name, name) for name in OF_CORPORA} == set(CORPORA) - {"folder"}
    assert len(SHARED) >= 14


@pytest.mark.parametrize("name", NAMES)
def test_every_config_composes(name: str) -> None:
    quick, debug, gpu = (composed(name, config) for config in ("cpu_quick", "debug", "gpu"))
    assert debug.frontend == quick.frontend and debug.bank == quick.bank
    assert debug.backbone.width < quick.backbone.width < gpu.backbone.width == 1.0
    assert debug.pretrain.steps <= 4 < quick.pretrain.steps < gpu.pretrain.steps
    assert (quick.accelerator, gpu.accelerator) == ("cpu", "cuda")
    assert {"fixed:all", "soft"} <= set(debug.adapt.modes)


@pytest.mark.parametrize("name", SHARED)
def test_gpu_configs_have_the_front_end_and_batch_of_mt_slvr(name: str) -> None:
    gpu = composed(name, "gpu")
    assert {key: getattr(gpu.frontend, key) for key in GPU_FRONTEND} == GPU_FRONTEND
    assert gpu.pretrain.batch_size == 100
    assert gpu.backbone.options == {}, "a stock ResNet-18, nothing of the narrow one"


def test_recipes_differ_in_what_their_clips_need() -> None:
    bird, quick = composed("birdclef2020", "cpu_quick"), composed("esc50", "cpu_quick")
    assert (bird.frontend.clip_s, bird.features.hop_s) == (2.0, 20.0)
    assert (quick.frontend.clip_s, quick.features.hop_s) == (1.0, 1.0)
    assert composed("crema_d", "debug").fewshot.class_split == [0.0, 0.0, 1.0]
    assert composed("crema_d", "debug").fewshot.n_tasks == 100


@pytest.mark.parametrize("name", OF_CORPORA)
def test_audio_of_ones_own_is_prepared_and_not_downloaded(name: str) -> None:
    lines = run(name, "--dry_run", "true", "--data_root", "/audio").splitlines()
    commands = [shlex.split(line) for line in lines[2:]]
    prepare = ["prepare", CORPUS.get(name, name), "--root", "/audio"]
    assert commands[0][1:5] == prepare
    assert commands[1][1] == "validate" and commands[-1][1] == "report"
    pack = next(words for words in commands if words[1] == "pack")
    rate = pack[pack.index("--sample_rate") + 1]
    assert rate == str(composed(name, "cpu_quick").frontend.sample_rate)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_the_drivers(name: str) -> None:
    text = run(name, "--help")
    assert "--data_root" in text and "--dry_run" in text and "[cpu_quick]" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_shared_debug_config_runs(tmp_path: Path) -> None:
    """ESC-50 in miniature: five folds of two classes, a second and a half a clip."""
    noise = np.random.default_rng(0)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for number in range(8):
            name = f"{fold}-{number}-A-{number % 2}.wav"
            write_wav(tmp_path / "audio" / "audio" / name, noise.normal(0, 0.1, 24000), 16000)
            lines.append(f"{name},{fold},{number % 2},class{number % 2},True,{number},A")
    (tmp_path / "audio" / "meta").mkdir()
    (tmp_path / "audio" / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for name in ("TEMPLATE", "esc50"):
        shutil.copytree(RECIPES / name, tmp_path / "recipes" / name, ignore=ignored)
    command = [
        *("bash", tmp_path / "recipes" / "esc50" / "ssl1" / "run.sh", "--config", "debug"),
        *("--data_root", tmp_path / "audio", "--expdir", tmp_path / "exp"),
        *(
            "--methods",
            "amortised",
            "--skip_stages",
            "measure",
            "--audioinv",
            Path(sys.executable).with_name("audioinv"),
        ),
        *("--results", tmp_path / "RESULTS.md"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "| *test clips* | 40 |" in (tmp_path / "RESULTS.md").read_text()
