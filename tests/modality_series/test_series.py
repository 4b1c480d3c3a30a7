"""A modality in one folder goes through all stages of the demo's recipe, by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch

from audioinv.base.errors import FileError, UserError
from audioinv.data.modality import load_encoder
from audioinv.data.pack import Pack, open_pack
from audioinv.data.sources import Read
from tests.modality_series.frontend import Spectra
from tests.modality_series.modality import SERIES
from tests.modality_series.recordings import CHANNELS, load

SMALL = (
    *("modality=series", "backbone.width=0.125", "backbone.dim=16", "accelerator=cpu"),
    *("pretrain.steps=4", "pretrain.batch_size=12", "pretrain.checkpoint_every=2"),
    *("adapt.modes=[fixed:all,soft]", "adapt.epochs=1", "measure.n_clips=12"),
)
AMORTISED, SIMCLR = "exp/amortised_s0", "exp/simclr_s0"


def stages() -> list[list[str]]:
    """The commands of the demo's recipe."""
    settings = [*SMALL, "pack=pack", "statistics=exp/statistics.json"]
    runs = [[*settings, f"run={AMORTISED}"], [*settings, "method=simclr", f"run={SIMCLR}"]]
    return [
        ["prepare", "rhythms", "--root", "files", "--out", "data"],
        ["validate", "data", "--nj", "1"],
        ["pack", "data", "--out", "pack", "--series_rate", "64", "--nj", "1"],
        ["statistics", *settings],
        *([stage, *run] for stage in ("pretrain", "adapt", "evaluate") for run in runs),
        *(["evaluate", *runs[0], f"protocol={name}"] for name in ("knn", "robustness")),
        ["measure", *runs[0]],
        ["embed", *runs[0], "--descriptor=-delay", "--out", "features.parquet", "--nj", "1"],
        ["export", *runs[0], "--descriptor=-delay", "--out", "plain.pt2"],
        ["report", "exp", "--pack", "pack", "--results", "RESULTS.md"],
        ["table", "exp"],
    ]


@pytest.fixture(scope="module")
def world(series_registered: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all stages have run, each command in one process of its own."""
    folder = tmp_path_factory.mktemp("series")
    (folder / "RESULTS.md").write_text("<!-- results -->\n<!-- end of results -->\n")
    code = (
        "import json, sys; from audioinv.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    if main(words): sys.exit(' '.join(words))"
    )
    command = [sys.executable, "-c", code, json.dumps(stages())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_a_pack_holds_the_recordings(world: Path) -> None:
    pack = open_pack(world / "pack")
    assert pack.size == 64 and len(pack) == 60
    values = load(world / "files" / "007.npy")
    mean = (values[:, ::2] + values[:, 1::2]) / 2
    np.testing.assert_allclose(pack.samples(7).reshape(-1, CHANNELS).T, mean, atol=1e-6)


@pytest.mark.slow
def test_every_task_is_scored_and_the_page_tells_it(world: Path) -> None:
    page = (world / "exp/report.html").read_text()
    for task in ("rhythm", "site", "moved"):
        assert list((world / AMORTISED / "tasks" / task).glob("**/result.json"))
        assert task in page
    measured = json.loads((world / AMORTISED / "measure.json").read_text())
    assert measured["names"] == ["delay", "scale", "channel_dropout"]
    assert "rhythm" in (world / "RESULTS.md").read_text()


@pytest.mark.slow
def test_a_page_without_pictures_has_no_section_of_them(world: Path) -> None:
    assert json.loads((world / "exp/examples/examples.json").read_text()) == []
    page = (world / "exp/report.html").read_text()
    assert 'id="augmentations"' not in page and "<audio" not in page


@pytest.mark.slow
def test_an_encoder_tells_its_modality_and_is_exported(world: Path) -> None:
    told = json.loads((world / AMORTISED / "encoder/encoder.json").read_text())
    assert told["modality"] == "series" and told["frontend"]["series_rate"] == 64
    program = torch.export.load(world / "plain.pt2").module()
    assert program(torch.randn(3, CHANNELS, 128)).shape == (3, 16)
    assert len(pd.read_parquet(world / "features.parquet")) == 60


def test_help_names_it(series_registered: None) -> None:
    for words, told in (
        (["pack"], "--series_rate"),
        (["prepare"], "rhythms"),
        (["pretrain", "modality=series"], "frontend.window_s=2.0"),
    ):
        command = [sys.executable, "-m", "audioinv.cli", *words, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert told in done.stdout


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 5)))
    with pytest.raises(FileError, match=r"a\.npy is \(3, 5\)"):
        SERIES.examine(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.full((CHANNELS, 5), np.nan))
    _, problem = SERIES.examine(tmp_path / "b.npy")
    assert "20 values not finite" in str(problem)


@pytest.mark.slow
def test_windows_cover_a_recording(world: Path) -> None:
    pack, frontend = open_pack(world / "pack"), Spectra(64, 2.0)
    parts = list(SERIES.windows(frontend, pack, 0.5))
    x, owner = (torch.cat(several) for several in zip(*parts, strict=True))
    assert x.shape == (60 * 3, CHANNELS, 128)
    assert torch.equal(owner, torch.arange(60).repeat_interleave(3))
    assert torch.equal(x[::3], SERIES.clips(frontend, pack, range(60)))


@pytest.mark.slow
def test_a_recording_is_embedded_from_its_file_and_from_a_pack(
    series_registered: None, world: Path
) -> None:
    encoder = load_encoder(world / AMORTISED / "encoder")
    table = np.stack(pd.read_parquet(world / "features.parquet")["feature"])
    found = encoder.embed(open_pack(world / "pack"), "-delay")
    np.testing.assert_allclose(found, table, atol=1e-5)
    files = sorted((world / "files").glob("*.npy"))[:3]
    rows = [encoder.embed(file) for file in files]
    assert torch.allclose(encoder.embed(files), torch.cat(rows), atol=1e-5)
    with pytest.raises(UserError, match="no rate"):
        encoder.embed(files, sample_rate=64)
    with pytest.raises(UserError, match=r"nothing\.npy"):
        encoder.embed(world / "nothing.npy")


@pytest.mark.parametrize(("n", "drop_last", "starts"), [(129, False, [0, 1]), (129, True, [0])])
def test_the_last_window_ends_with_its_recording(
    n: int, drop_last: bool, starts: list[int]
) -> None:
    values = np.arange(n * CHANNELS, dtype=np.float32)
    held = cast(Pack, Read([values], 64))
    ((x, _),) = SERIES.windows(Spectra(64, 2.0), held, None, drop_last=drop_last)
    assert x[:, 0, 0].tolist() == [CHANNELS * start for start in starts]
