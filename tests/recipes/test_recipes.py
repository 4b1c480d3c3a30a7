"""Every corpus has a recipe whose configs compose and whose driver does as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from audioinv.conf.schema import Config
from audioinv.data.modality import known_modalities, registered
from tests.halves import HAVE
from tests.recipes.recipes import (
    CORPUS,
    MODALITY,
    NAMES,
    OF_CORPORA,
    after,
    commands,
    composed,
    copied,
    results,
    run,
)

JUDGED_ONLY = {"stl10", "caltech101", "dtd", "oxford_flowers", "oxford_pets"}  # by vision_benchmark


def test_every_corpus_but_ones_own_folder_has_a_recipe() -> None:
    served = {corpus for name in OF_CORPORA for corpus in CORPUS.get(name, (name,))}
    known = {name for modality in known_modalities() for name in modality.corpora()}
    assert served == known - JUDGED_ONLY - {"folder", "table", "image_folder"}


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


@pytest.mark.parametrize("name", OF_CORPORA)
def test_data_of_ones_own_is_prepared_and_not_downloaded(name: str) -> None:
    lines = commands(name)
    assert lines[0][:4] == ["prepare", CORPUS.get(name, (name,))[0], "--root", "/data"]
    assert lines[1][0] == "validate" and lines[-1][0] == "report"
    pack = next(words for words in lines if words[0] == "pack")
    size = registered(MODALITY[name]).size
    wanted = getattr(composed(name, "experiment=cpu_quick").frontend, size)
    assert after(pack, f"--{size}") == str(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_the_drivers(name: str) -> None:
    text = run(name, "--help")
    assert "--data_root" in text and "--dry_run" in text and "[cpu_quick]" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [name for name in ("spirograph", "sonograph") if name in HAVE])
def test_the_debug_configs_of_rendered_clips_run(name: str, tmp_path: Path) -> None:
    few = ["--prepare_opts", "--n_train 80 --n_valid 20 --n_test 40", "--methods", "simclr invclr"]
    told = results(copied(name, tmp_path), tmp_path, *few, "--measured", "invclr")
    assert "InvCLR, SimCLR with gradient penalty" in told and "(MSE, 10⁻³)" in told
    assert "| encodings averaged | 0 | 1 | 3 |" in told
    assert "| strength, all together | 1 | 2 |" in told
    media = {"spirograph": "data:image/png", "sonograph": "data:audio/wav"}
    assert media[name] in (tmp_path / "exp" / "report.html").read_text()
