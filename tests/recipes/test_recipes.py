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
from PIL import Image

from audioinv.audio.corpora import CORPORA
from audioinv.audio.io import write_wav
from audioinv.conf.compose import compose_config
from audioinv.conf.schema import Config
from vision.corpora import CORPORA as OF_IMAGES

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.parts[-3] for path in RECIPES.glob("*/ssl1/run.sh"))
BENCHMARKS = ("benchmark", "vision_benchmark")
OF_CORPORA = [name for name in NAMES if name not in BENCHMARKS]
IMAGES = ("cifar10", "cifar100", "imagenet100", "landmarks", "vision_benchmark")
MODALITY = {"spirograph": "spirograph", "sonograph": "sonograph", **dict.fromkeys(IMAGES, "image")}
LANDMARKS = ("ibug_300w", "celeba", "leeds_sports_pose")
# corpora of the recipes that are not called as theirs; the first is the default
CORPUS = {
    "demo": ("sonograph",),
    "sonograph": ("sonograph_factors",),
    "esc10": ("esc50",),
    "imagenet100": ("imagenet",),
    "landmarks": LANDMARKS,
}
JUDGED_ONLY = {"stl10", "caltech101", "dtd", "oxford_flowers", "oxford_pets"}  # by vision_benchmark
SHARED = sorted(
    name
    for name in OF_CORPORA
    if "benchmark_quick" in (RECIPES / name / "ssl1/conf/experiment/cpu_quick.yaml").read_text()
)
GPU_FRONTEND = {"sample_rate": 16000, "clip_s": 5.0, "n_fft": 1024, "hop": 512, "n_bins": 128}


@cache
def composed(name: str, *overrides: str) -> Config:
    modality = MODALITY.get(name, "audio")
    conf = RECIPES / name / "ssl1" / "conf"
    return compose_config([f"modality={modality}", *overrides], str(conf))


def run(name: str, *options: str) -> str:
    command = ["bash", str(RECIPES / name / "ssl1" / "run.sh"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commands(name: str, *options: str) -> list[list[str]]:
    """The words of every command that a dry run prints, without the program."""
    lines = run(name, "--dry_run", "true", "--data_root", "/data", *options).splitlines()
    return [shlex.split(line)[1:] for line in lines[2:]]


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_every_corpus_but_ones_own_folder_has_a_recipe() -> None:
    served = {corpus for name in OF_CORPORA for corpus in CORPUS.get(name, (name,))}
    own = {"folder", "table", "image_folder"}
    assert served | JUDGED_ONLY == (set(CORPORA) | set(OF_IMAGES)) - own
    assert not served & JUDGED_ONLY
    assert len(SHARED) >= 14


def widest(config: Config) -> float:
    """Channels of the last stage of a ResNet-18."""
    given, width = config.backbone.options.get("channels", [512]), config.backbone.width
    return float(given[-1] if width == 1.0 else 512 * width)


@pytest.mark.parametrize("name", NAMES)
def test_every_config_composes(name: str) -> None:
    quick, debug, gpu = (
        composed(name, f"experiment={config}") for config in ("cpu_quick", "debug", "gpu")
    )
    assert debug.frontend == quick.frontend and debug.bank == quick.bank
    assert widest(debug) < widest(quick) <= widest(gpu) / 2 == 256
    assert debug.pretrain.steps <= 4 < quick.pretrain.steps < gpu.pretrain.steps
    assert (quick.accelerator, gpu.accelerator) == ("cpu", "cuda")
    amortised = quick.conditioning.name != "none"
    assert set(debug.adapt.modes) >= ({"fixed:all", "soft"} if amortised else {"fixed:all"})


@pytest.mark.slow
def test_every_method_of_the_image_recipes_composes() -> None:
    stage = ("--stage", "pretrain", "--stop_stage", "pretrain")
    words = {w for name in IMAGES[:-1] for line in commands(name, *stage) for w in line}
    methods = sorted(word for word in words if word.startswith("method="))
    assert len(methods) >= 8
    for method in methods:
        config = composed("cifar10", "experiment=cpu_quick", method)
        assert f"method={config.method}" == method


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


@pytest.mark.parametrize("name", OF_CORPORA)
def test_data_of_ones_own_is_prepared_and_not_downloaded(name: str) -> None:
    lines = commands(name)
    assert lines[0][:4] == ["prepare", CORPUS.get(name, (name,))[0], "--root", "/data"]
    assert lines[1][0] == "validate" and lines[-1][0] == "report"
    pack = next(words for words in lines if words[0] == "pack")
    size = "image_size" if name in (*IMAGES, "spirograph") else "sample_rate"
    wanted = getattr(composed(name, "experiment=cpu_quick").frontend, size)
    assert after(pack, f"--{size}") == str(wanted)


def test_imagenet100_takes_the_hundred_classes() -> None:
    listed = RECIPES / "imagenet100" / "ssl1" / after(commands("imagenet100")[0], "--classes")
    assert len(listed.read_text().split()) == 100


@pytest.mark.parametrize("corpus", LANDMARKS)
def test_landmarks_squash_and_keep_corpora_apart(corpus: str) -> None:
    lines = commands("landmarks", "--corpus", corpus)
    assert lines[0][:2] == ["prepare", corpus]
    assert after(next(words for words in lines if words[0] == "pack"), "--image_fit") == "squash"
    assert f"run=exp/{corpus}/cpu_quick/moco_s0" in [word for words in lines for word in words]
    assert f"landmarks/ssl1/run.sh --corpus {corpus} --config" in after(lines[-1], "--made_by")


def test_landmarks_of_another_corpus_are_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        commands("landmarks", "--corpus", "cifar10")
    assert "'cifar10'; give one of ibug_300w celeba" in refused.value.stderr


@pytest.mark.parametrize("name", NAMES)
def test_help_is_the_drivers(name: str) -> None:
    text = run(name, "--help")
    assert "--data_root" in text and "--dry_run" in text and "[cpu_quick]" in text


def test_imagenet100s_paper_config_is_the_papers_moco_v2() -> None:
    own, published = (
        composed("imagenet100", f"experiment={name}") for name in ("paper", "paper_moco_v2_image")
    )
    assert (own.pretrain, own.bank, own.backbone, own.conditioning, own.adapt) == (
        published.pretrain, published.bank, published.backbone, published.conditioning,
        published.adapt,
    )  # fmt: skip


def copied(name: str, folder: Path) -> Path:
    """run.sh of a copy of the recipe and of its driver in `folder`."""
    ignored = shutil.ignore_patterns("exp", "packs", "data", "downloads")
    for part in ("TEMPLATE", name):
        shutil.copytree(RECIPES / part, folder / "recipes" / part, ignore=ignored)
    return folder / "recipes" / name / "ssl1" / "run.sh"


def results(script: Path, folder: Path, *options: object) -> str:
    """What a debug run puts into RESULTS.md."""
    command = ["bash", script, "--config", "debug", "--expdir", folder / "exp", *options]
    command += ["--audioinv", Path(sys.executable).with_name("audioinv")]
    command += ["--results", folder / "RESULTS.md"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "RESULTS.md").read_text()


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


def write_cifar10(root: Path) -> Path:
    """CIFAR-10's binary layout: a byte of label and 3 x 32 x 32 of pixels an image."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        images = noise.integers(0, 256, (40, 3073), np.uint8)
        images[:, 0] = np.arange(40) % 10
        (folder / f"{name}.bin").write_bytes(images.tobytes())
    classes = "\n".join(f"class{k}" for k in range(10))
    (folder / "batches.meta.txt").write_text(classes + "\n")
    return root


def write_imagenet(root: Path) -> Path:
    """Two classes of 30 images to train on and 10 to test on, none of them square."""
    noise = np.random.default_rng(0)
    for part, count in (("train", 30), ("val", 10)):
        for label in ("n01", "n02"):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (40, 56, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{label}_{number}.JPEG")
    (root / "classes.txt").write_text("n01\nn02\n")
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_debug_config_of_cifar10_runs(tmp_path: Path) -> None:
    options = ["--data_root", write_cifar10(tmp_path / "images"), "--measured", "moco"]
    few = "tasks=[category,hue] pretrain.calibration_clips=32"
    methods = ["--methods", "amortised moco", "--audioinv_opts", few]
    told = results(copied("cifar10", tmp_path), tmp_path, *options, *methods)
    assert "category (accuracy, %)" in told and "hue (R²)" in told
    assert "| *test clips* | 40 | 40 |" in told and "Amortised MoCo-v2" in told
    assert "data:image/png" in (tmp_path / "exp" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["spirograph", "sonograph"])
def test_the_debug_configs_of_rendered_clips_run(name: str, tmp_path: Path) -> None:
    few = ["--prepare_opts", "--n_train 80 --n_valid 20 --n_test 40", "--methods", "simclr invclr"]
    told = results(copied(name, tmp_path), tmp_path, *few, "--measured", "invclr")
    assert "InvCLR, SimCLR with gradient penalty" in told and "(MSE, 10⁻³)" in told
    assert "| encodings averaged | 0 | 1 | 3 |" in told
    assert "| strength, all together | 1 | 2 |" in told
    media = {"spirograph": "data:image/png", "sonograph": "data:audio/wav"}
    assert media[name] in (tmp_path / "exp" / "report.html").read_text()


def test_papers_invclr_config_is_that_of_facts() -> None:
    config = composed("spirograph", "experiment=paper_invclr_spirograph", "method=invclr")
    told, own = config.pretrain, config.method_pretrain["invclr"]
    assert told.steps == 50 * (100000 // 512) and told.warmup_steps == 10 * (100000 // 512)
    assert (told.batch_size, told.optimiser, told.weight_decay) == (512, "lars", 1e-6)
    assert told.lr == pytest.approx(1.5 * 512 / 256) and told.temperature == 0.5
    assert (told.projector_hidden, told.projector_dim, told.projector_norm) == (512, 128, True)
    assert (own["penalty"], own["penalty_clamp"], own["penalty_draws"]) == (0.01, 1000, 100)
    assert (config.backbone.name, config.backbone.width, config.backbone.dim) == ("resnet18", 1, 0)
    assert config.adapt.l2 == 1e-8 and max(config.averaging.draws) == 30


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_debug_config_of_imagenet_runs(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path / "images")
    options = ["--data_root", root, "--prepare_opts", f"--classes {root / 'classes.txt'}"]
    script = copied("imagenet100", tmp_path)
    told = results(script, tmp_path, *options, "--methods", "amortised", "--skip_stages", "measure")
    assert "category (accuracy, %)" in told and "| *test clips* | 20 |" in told
