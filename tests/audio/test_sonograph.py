"""The modality `sonograph`: tones from factors through the whole command line, in miniature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audioinv import load_encoder
from audioinv.audio.augment.noise_bank import read_noise
from audioinv.audio.corpora.sonograph_factors import TARGETS, prepare
from audioinv.audio.frontend import LogFrequency
from audioinv.audio.sonograph import SONOGRAPH
from audioinv.audio.synthesis import FACTORS as OF_SYNTHESIS
from audioinv.audio.synthesis import PLACED as FACTORS
from audioinv.audio.synthesis import Sonograph
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.cli import main
from audioinv.data.factors import draw, redraws
from audioinv.data.manifest import read_manifest
from audioinv.data.modality import modality_of
from audioinv.data.pack import open_pack

OPTIONS = {"sample_rate": 4000, "clip_s": 0.4, "n_fft": 256, "hop": 128, "n_bins": 24}
OPTIONS |= {"min_hz": 80.0, "max_hz": 1950.0, "floor_db": -80.0}
SMALL = (
    "modality=sonograph",
    "frontend.clip_s=0.4",
    "frontend.n_bins=24",
    "backbone=resnet10_narrow",
    "backbone.width=0.125",
    "backbone.dim=16",
    "method=invclr",
    "pretrain.steps=3",
    "pretrain.batch_size=12",
    "pretrain.projector_hidden=16",
    "pretrain.projector_dim=8",
    "pretrain.calibration_clips=24",
    "adapt.modes=[fixed:all]",
    "averaging.draws=[1,3]",
    "robustness.strengths=[1,2]",
    "accelerator=cpu",
)


def drawn(n: int, **fixed: float) -> Tensor:
    """Factors (n, 15)."""
    values = draw(FACTORS, n, generator(0, "test"), fixed=fixed)
    return torch.stack(list(values.values()), 1)


def test_columns_are_those_of_the_synthesis_and_a_place_in_the_noise() -> None:
    assert tuple(FACTORS) == SONOGRAPH.columns == (*OF_SYNTHESIS, "place")
    assert [name for name, factor in FACTORS.items() if not factor.quantity] == ["place"]
    assert not redraws(FACTORS)["place"]().parameters[0].quantity


def test_a_front_end_hears_the_tone_that_it_synthesises() -> None:
    frontend, heard = Sonograph(**OPTIONS), LogFrequency(**OPTIONS)
    x = drawn(6)
    tones = frontend.synthesise(x)
    assert tones.shape == (6, 1600)
    assert torch.allclose(frontend(x), heard(tones), atol=1e-5)


def test_an_ordinary_tone_has_its_pitch_level_and_noise() -> None:
    """440 Hz: half of the power lies there if the upper harmonics are 80 dB down."""
    still = dict.fromkeys(("vibrato_depth", "pulse_depth", "emphasis", "even_level"), 0.0)
    told = {"pitch": 69.0, "tilt": -80.0, "level": -20.0, "snr": 20.0, "onset": -1.0, **still}
    frontend = Sonograph(**OPTIONS)
    x = drawn(1, **told, decay=1000.0)
    (tone,) = frontend.synthesise(x)
    power = torch.fft.rfft(tone.double()).abs().square()
    assert int(power.argmax()) == 440 * 1600 // 4000
    assert tone.square().mean().log10() * 10 == pytest.approx(-20, abs=0.2)
    place, noise = (
        x[0, -1:],
        tone - frontend.synthesise(drawn(1, **{**told, "snr": 300.0}, decay=1000.0))[0],
    )
    assert noise.std().log10() * 20 == pytest.approx(-40, abs=0.5)
    expected = read_noise(place, 25 + 1600, torch.float32)[0, 25:]
    assert torch.corrcoef(torch.stack([noise, expected]))[0, 1] > 0.999


@pytest.mark.parametrize("name", [name for name in FACTORS if name != "place"])
def test_the_gradient_of_every_factor_is_its_finite_difference(name: str) -> None:
    frontend = Sonograph(**OPTIONS).double()
    column, step = list(FACTORS).index(name), 1e-6
    x = drawn(3, vibrato_depth=0.05).double().requires_grad_()
    weights = torch.randn(24, 13, generator=generator(1, "w"), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((frontend(x) * weights).sum(), x)
    up, down = x.detach().clone(), x.detach().clone()
    up[:, column] += step
    down[:, column] -= step
    with torch.no_grad():
        change = ((frontend(up) - frontend(down)) * weights).flatten(1).sum(1) / (2 * step)
    assert torch.allclose(gradient[:, column], change, rtol=1e-3, atol=1e-3)
    assert gradient[:, column].abs().max() > 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every command has run."""
    folder = tmp_path_factory.mktemp("sonograph")
    sizes = ["--n_train", "60", "--n_valid", "12", "--n_test", "20"]
    data, pack = str(folder / "data"), str(folder / "pack")
    settings = [*SMALL, f"pack={pack}", f"statistics={folder / 'exp/statistics.json'}"]
    settings.append(f"run={folder / 'exp/invclr_s0'}")
    commands = [
        ["prepare", "sonograph_factors", "--root", data, "--out", data, *sizes],
        ["validate", data, "--nj", "1"],
        ["pack", data, "--out", pack, "--sample_rate", "4000", "--nj", "1"],
        *([name, *settings] for name in ("statistics", "pretrain", "adapt")),
        *(["evaluate", *settings, f"protocol={p}"] for p in ("averaging", "robustness")),
        ["report", str(folder / "exp"), "--pack", pack],
    ]
    for command in commands:
        assert main(command) == 0, command
    return folder


def test_targets_are_places_in_their_ranges_and_vibrato_is_off(tmp_path: Path) -> None:
    frame = read_manifest(prepare("", tmp_path, 0, 50, 5, 5)).frame
    assert (frame["vibrato_depth"] == 0).all()
    pitch = OF_SYNTHESIS["pitch"]
    expected = (frame["pitch"] - pitch.low) / (pitch.high - pitch.low)
    assert frame["pitch_in_range"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)
    joined = frame["targets"].str.split(";", expand=True).astype(float)
    assert (joined.to_numpy() == frame[[f"{name}_in_range" for name in TARGETS]].to_numpy()).all()


@pytest.mark.slow
def test_both_protocols_score_every_target(world: Path) -> None:
    tasks = world / "exp" / "invclr_s0" / "tasks"
    rows = [json.loads(p.read_text()) for p in tasks.rglob("result.json")]
    assert {row["task"] for row in rows} == {*TARGETS, "all_four"}
    assert {row["protocol"] for row in rows} == {"averaging-v1 M=3", "robustness-v1 strength 2"}
    assert all(0 < row["value"] < 10 and row["metric"] == "mse" for row in rows)
    averaged = next(row for row in rows if row["protocol"].startswith("averaging"))
    assert averaged["curves"][""]["x"] == [0, 1, 3]


@pytest.mark.slow
def test_the_report_plays_tones_before_and_after(world: Path) -> None:
    page = (world / "exp" / "report.html").read_text()
    assert page.count("data:audio/wav") == 18 and "encodings averaged" in page
    encoder = load_encoder(world / "exp" / "invclr_s0" / "encoder")
    pack = open_pack(world / "pack")
    x = modality_of("sonograph").clips(encoder.frontend, pack, [0, 1])
    assert encoder.at(encoder.space.all_on())(x).shape == (2, 16)


def test_a_level_of_tones_is_read_and_fused_views_are_refused() -> None:
    x = drawn(4)
    maps = [Sonograph(**OPTIONS, normalise=how)(x) for how in ("none", "clip")]
    assert not torch.allclose(*maps, atol=0.1)
    with pytest.raises(UserError, match=r"frontend\.views=waveform"):
        Sonograph(**OPTIONS, views="fused").training_bank(SONOGRAPH.bank(names=["level"]))
