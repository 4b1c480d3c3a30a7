"""The recipes of sounds: what they share, and where they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audioinv.audio.io import write_wav
from tests.recipes.recipes import OF_CORPORA, RECIPES, composed, copied, results

SHARED = sorted(
    name
    for name in OF_CORPORA
    if "benchmark_quick" in (RECIPES / name / "ssl1/conf/experiment/cpu_quick.yaml").read_text()
)
GPU_FRONTEND = {"sample_rate": 16000, "clip_s": 5.0, "n_fft": 1024, "hop": 512, "n_bins": 128}


def test_most_recipes_share_their_settings() -> None:
    assert len(SHARED) >= 14


@pytest.mark.parametrize("name", SHARED)
def test_gpu_configs_have_the_front_end_and_batch_of_mt_slvr(name: str) -> None:
    gpu = composed(name, "experiment=gpu")
    assert {key: getattr(gpu.frontend, key) for key in GPU_FRONTEND} == GPU_FRONTEND
    assert gpu.pretrain.batch_size == 100
    assert gpu.backbone.options == {}, "a stock ResNet-18, nothing of the narrow one"


def test_recipes_differ_in_what_their_clips_need() -> None:
    bird = composed("birdclef2020", "experiment=cpu_quick")
    quick = composed("esc50", "experiment=cpu_quick")
    assert (bird.frontend.clip_s, bird.features.hop_s) == (2.0, 20.0)
    assert (quick.frontend.clip_s, quick.features.hop_s) == (1.0, 1.0)
    assert composed("crema_d", "experiment=debug").fewshot.class_split == [0.0, 0.0, 1.0]
    assert composed("crema_d", "experiment=debug").fewshot.n_tasks == 100
    assert composed("crema_d", "experiment=debug").fewshot_published.n_tasks == 100


@pytest.mark.parametrize("name", ["crema_d", "speech_commands", "common_voice"])
def test_published_episodes_are_of_all_classes_where_theirs_are(name: str) -> None:
    published = composed(name, "experiment=gpu").fewshot_published
    assert published.class_split == [0.0, 0.0, 1.0] and published.modes == ["fixed:all"]


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
    options = ["--data_root", tmp_path / "audio", "--methods", "amortised"]
    told = results(copied("esc50", tmp_path), tmp_path, *options, "--skip_stages", "measure")
    assert "| *test clips* | 40 |" in told
