"""The modality `spirograph` through the whole command line, in miniature."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from audioinv import load_encoder
from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.data.manifest import read_manifest
from audioinv.data.modality import build_frontend, modality_of
from audioinv.data.pack import open_pack
from audioinv.data.validate import validate
from vision.corpora.spirograph import prepare
from vision.drawing import FACTORS, TARGETS, render
from vision.spirograph import SPIROGRAPH

SMALL = (
    "modality=spirograph",
    "frontend.image_size=16",
    "bank.names=[h,background_red]",
    "backbone=resnet10_narrow_cifar",
    "backbone.width=0.125",
    "backbone.dim=16",
    "method=simclr",
    "pretrain.steps=3",
    "pretrain.batch_size=12",
    "pretrain.projector_hidden=16",
    "pretrain.projector_dim=8",
    "pretrain.calibration_clips=24",
    "measure.n_clips=12",
    "adapt.modes=[fixed:all]",
    "adapt.l2=1e-8",
    "accelerator=cpu",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every command has run."""
    folder = tmp_path_factory.mktemp("spirograph")
    sizes = ["--n_train", "60", "--n_valid", "12", "--n_test", "20"]
    data, pack = str(folder / "data"), str(folder / "pack")
    settings = [*SMALL, f"pack={pack}", f"statistics={folder / 'exp/statistics.json'}"]
    settings.append(f"run={folder / 'exp/simclr_s0'}")
    commands = [
        ["prepare", "spirograph", "--root", data, "--out", data, *sizes],
        ["validate", data, "--nj", "1"],
        ["pack", data, "--out", pack, "--image_size", "16", "--nj", "1"],
        *([name, *settings] for name in ("statistics", "pretrain", "adapt", "evaluate", "measure")),
        ["report", str(folder / "exp"), "--pack", pack],
    ]
    for command in commands:
        assert main(command) == 0, command
    return folder


def test_the_manifest_is_the_factors_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    assert tuple(FACTORS) == SPIROGRAPH.columns
    few = read_manifest(prepare("", tmp_path / "few", 3, 10, 5, 5)).frame
    more = read_manifest(prepare("", tmp_path / "more", 3, 12, 6, 5)).frame
    test = [frame[frame["split"] == "test"].reset_index(drop=True) for frame in (few, more)]
    assert test[0].equals(test[1]), "a part does not depend on the size of another"
    assert few["split"].value_counts().to_dict() == {"train": 10, "valid": 5, "test": 5}
    assert few["targets"][0] == ";".join(str(few[name][0]) for name in TARGETS)
    other = read_manifest(prepare("", tmp_path / "other", 4, 10, 5, 5)).frame
    assert not (other["m"] == few["m"]).any()


def test_a_clip_in_two_splits_is_found(tmp_path: Path) -> None:
    manifest = read_manifest(prepare("", tmp_path, 0, 4, 2, 2))
    assert validate(manifest) == []
    names = list(SPIROGRAPH.columns)
    manifest.frame.loc[7, names] = manifest.frame.loc[0, names]
    assert [problem.kind for problem in validate(manifest)] == ["leakage"]


@pytest.mark.slow
def test_the_pack_holds_the_factors(world: Path) -> None:
    pack = open_pack(world / "pack")
    assert len(pack) == 92 and pack.size == 16
    row = pack.frame.iloc[3]
    assert pack.samples(3).tolist() == pytest.approx([row[name] for name in FACTORS])


@pytest.mark.slow
def test_the_front_end_draws_and_its_statistics_are_those_of_the_images(world: Path) -> None:
    pack = open_pack(world / "pack")
    encoder = load_encoder(world / "exp" / "simclr_s0" / "encoder")
    rows = [k for k in range(len(pack)) if pack.frame["split"][k] != "test"]
    x = modality_of("spirograph").clips(encoder.frontend, pack, rows)
    images = render(x, 16)
    maps = encoder.frontend(x)
    mean, std = images.mean((0, 2, 3)), images.std((0, 2, 3), correction=0)
    expected = (images - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(maps, expected, atol=1e-4)
    small = build_frontend({"name": "spirograph", "image_size": 8, "drawing": 2})
    assert small(x).shape == (72, 3, 8, 8)


@pytest.mark.slow
def test_what_the_earlier_generator_made_is_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It never said which generator it was: neither its encoder nor its settings go on silently."""
    run = tmp_path / "exp" / "simclr_s0"
    shutil.copytree(world / "exp" / "simclr_s0", run)
    settings = run / "config.yaml"
    assert "  drawing: 2\n" in settings.read_text()
    settings.write_text(settings.read_text().replace("  drawing: 2\n", ""))
    described = json.loads((run / "encoder" / "encoder.json").read_text())
    del described["frontend"]["drawing"]
    (run / "encoder" / "encoder.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"frontend\.drawing.*1.*2.*pre-train anew"):
        load_encoder(run / "encoder")
    statistics = world / "exp" / "statistics.json"
    words = [*SMALL, f"pack={world / 'pack'}", f"statistics={statistics}", f"run={run}"]
    assert main(["pretrain", *words]) == 2
    assert "frontend.drawing: 1 -> 2" in capsys.readouterr().err


@pytest.mark.slow
def test_statistics_of_the_earlier_generator_are_computed_anew(world: Path, tmp_path: Path) -> None:
    known = json.loads((world / "exp" / "statistics.json").read_text())
    del known["frontend"]["drawing"]
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps({**known, "mean": [0.0, 0.0, 0.0]}))
    assert main(["statistics", *SMALL, f"pack={world / 'pack'}", f"statistics={path}"]) == 0
    again = json.loads(path.read_text())
    assert again["mean"] == known["mean"] and again["frontend"]["drawing"] == 2


@pytest.mark.slow
def test_every_target_is_scored_by_its_squared_error(world: Path) -> None:
    tasks = world / "exp" / "simclr_s0" / "tasks"
    rows = {p.parts[-4]: json.loads(p.read_text()) for p in tasks.rglob("result.json")}
    assert set(rows) == {*TARGETS, "all_four"}
    assert all(row["metric"] == "mse" and row["n_test"] == 20 for row in rows.values())
    assert all(row["value"] > 0 and row["chance"] > 0 for row in rows.values())
    frame = open_pack(world / "pack").frame
    tested = torch.tensor(frame[frame["split"] == "test"][list(TARGETS)].to_numpy())
    variance = tested.var(0, correction=0)
    assert rows["m"]["chance"] == pytest.approx(float(variance[0]), rel=1e-4)
    assert rows["all_four"]["chance"] == pytest.approx(float(variance.mean()), rel=1e-4)


@pytest.mark.slow
def test_the_report_shows_drawings_before_and_after(world: Path) -> None:
    page = (world / "exp" / "report.html").read_text()
    assert page.count("data:image/png") == 4 and "MSE, 10⁻³" in page
    example = world / "exp" / "examples" / "h_before.png"
    assert example.exists()


@pytest.mark.slow
def test_what_cannot_work_is_explained(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*SMALL, f"pack={world / 'pack'}", f"statistics={tmp_path / 's.json'}"]
    assert main(["statistics", *settings, "frontend.image_size=32"]) == 2
    assert "image_size 16 and the front end wants 32" in capsys.readouterr().err
    assert main(["pretrain", *settings, f"run={tmp_path}", "bank.names=[crop]"]) == 2
    assert "unknown augmentation crop in names; give ['m', 'b', 'h'" in capsys.readouterr().err
    options = ["--root", str(tmp_path), "--out", str(tmp_path), "--n_test", "0"]
    assert main(["prepare", "spirograph", *options]) == 2
    error = capsys.readouterr().err
    assert "n_test" in error and "1 or more" in error
