"""The monitor: it changes nothing, resumes, and says what is wrong once."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.measure import measure_invariance
from audioinv.training.config import LogConfig, MonitorConfig, PretrainConfig, check_monitor
from audioinv.training.loop import pretrain
from audioinv.training.monitor import Monitor
from audioinv.training.probe import Probe
from audioinv.training.state import checkpoints
from audioinv.training.warned import warnings_in
from tests.core.small_pretraining import (
    Clips,
    equal,
    interrupt_after,
    logged,
    make_bank,
    make_encoder,
    settings,
)

N = 16


def probe() -> Probe:
    return Probe(Clips(N).x, "kind", torch.arange(N) % 2)


def monitor(
    encoder: AmortisedEncoder, config: PretrainConfig | None = None, **changed: Any
) -> Monitor:
    looking = MonitorConfig(**{"every": 3, "clips": N, **changed})
    return Monitor(encoder, make_bank(), looking, probe, config or settings(), seed=0)


def watched(run: Path, seed: int = 0, every: int = 3, **options: Any) -> AmortisedEncoder:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    encoder, config = make_encoder(seed), settings(dropout=0.2)
    looks = monitor(encoder, config, every=every)
    to = LogConfig("none")
    return pretrain(
        encoder, make_bank(), Clips(), config, run, fabric, 0, monitor=looks, log=to, **options
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AmortisedEncoder]:
    run = tmp_path_factory.mktemp("whole")
    return run, watched(run)


def test_a_run_with_it_is_the_run_without(
    tmp_path: Path, whole: tuple[Path, AmortisedEncoder]
) -> None:
    assert equal(watched(tmp_path, every=0), whole[1])
    ends = [checkpoints(run / "checkpoints")[-1].read_bytes() for run in (tmp_path, whole[0])]
    assert ends[0] == ends[1]
    told = [[row["loss"] for row in logged(run)] for run in (tmp_path, whole[0])]
    assert told[0] == told[1]
    assert (tmp_path / "monitor.jsonl").read_text() == ""


@pytest.mark.parametrize("stop", [5, 7])
def test_its_file_resumes_to_the_same_bytes(
    tmp_path: Path, whole: tuple[Path, AmortisedEncoder], stop: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        watched(tmp_path, progress=interrupt_after(stop))
    with open(tmp_path / "monitor.jsonl", "a") as file:
        file.write('{"step": 6, "cor')  # killed within a line
    torch.rand(5)
    watched(tmp_path, seed=99)
    files = [(run / "monitor.jsonl").read_bytes() for run in (tmp_path, whole[0])]
    assert files[0] == files[1]
    assert [json.loads(line)["step"] for line in files[0].splitlines()] == [3, 6, 9]


def test_a_look_leaves_modes_numbers_and_statistics_alone() -> None:
    encoder = make_encoder().train()
    encoder.frontend.eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    monitor(encoder).look(3)
    assert torch.equal(torch.get_rng_state(), state)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert encoder.training and encoder.backbone.training and not encoder.frontend.training


def test_its_gaps_are_those_that_measure_finds() -> None:
    encoder, clips = make_encoder(), Clips(N).x
    row = monitor(encoder).look(3)
    encoder.calibrate([clips])
    expected = measure_invariance(encoder, make_bank(), clips, 0)["gap"]
    assert row["gap"] == pytest.approx(expected, abs=1e-4)
    assert list(row["corners"]) == ["all", "-gain", "-other"]
    assert {"rank", "alignment", "uniformity", "knn"} == set(row["corners"]["all"])
    assert (row["task"], row["chance"], row["clips"]) == ("kind", 0.5, N)


def test_it_looks_at_trained_corners_only() -> None:
    alone = monitor(make_encoder(), settings(corners="other")).look(3)
    assert list(alone["corners"]) == ["-gain"] and alone["gap"] == {}


def test_how_often_follows_from_what_a_look_costs() -> None:
    """16 clips, 3 corners of 4 passes and 2 gaps of 2: 256 passes; a step has 6 x 8."""
    seldom = monitor(make_encoder(), every=None)
    assert seldom.every == 214  # 256 / (48 / 40)
    assert [step for step in range(1, 500) if seldom.due(step)] == [214, 428]
    assert not monitor(make_encoder(), every=0).due(0)


@pytest.mark.parametrize("changed", [{"every": -1}, {"clips": 1}, {"k": 0}])
def test_settings_that_cannot_work(changed: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"monitor.{next(iter(changed))}"):
        check_monitor(MonitorConfig(**changed))


def look(step: int, gap: float = 0.3, rank: float = 20, uniform: float = -2) -> dict[str, Any]:
    told = {"rank": rank, "alignment": 0.1, "uniformity": uniform}
    return {"step": step, "corners": {"all": told}, "gap": {"echo": gap, "hiss": 0.4}, "clips": 128}


def test_what_is_wrong_is_said_once_and_not_too_early() -> None:
    warn = partial(warnings_in, steps=1000, width=256)
    assert warn(look(1000), []) == []
    assert warn(look(200, gap=0.01), []) == [] and warn(look(90, rank=1), []) == []
    assert warnings_in(look(40, gap=0.01), [], 4, 256) == []  # a run of a few steps
    (ignored,) = warn(look(300, gap=0.01), [])
    assert ignored["kind"] == "ignored" and ignored["of"] == ["echo"]
    assert "the encoder ignores echo" in ignored["text"] and "bank.ranges.echo" in ignored["text"]
    before = [{**look(300, gap=0.01), "warnings": [ignored]}]
    assert warn(look(400, gap=0.01), before) == []
    for bad in (look(400, rank=1.2), look(400, uniform=-0.001)):
        (collapse,) = warn(bad, before)
        assert collapse["kind"] == "collapse" and "Try a lower pretrain.lr" in collapse["text"]


class Constant(torch.nn.Module):
    """A network that sees nothing."""

    dim = 12

    def forward(self, maps: Tensor, layers: str = "last") -> Tensor:
        return torch.ones(len(maps), 12) + 0 * maps.mean()


def test_a_collapse_and_an_ignored_component_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = monitor(make_encoder())
    monkeypatch.setattr(looks, "_network", lambda corner, maps: Constant())
    found = warnings_in(looks.look(90), [], 90, 12)
    assert {told["kind"]: told["of"] for told in found} == {
        "collapse": ["all", "-gain", "-other"],
        "ignored": ["gain", "other"],
    }


def test_labels_of_a_few_clips(tmp_path: Path) -> None:
    """Clips without a label count for all but the neighbours."""
    targets = torch.tensor([-1, 0, 1, 1] * (N // 4))
    looks = monitor(make_encoder())
    looks.__dict__["probe"] = Probe(
        torch.randn(Clips(N).x.shape, generator=generator(0, "few")), "t", targets
    )
    row = looks.look(3)
    assert row["chance"] == pytest.approx(2 / 3, abs=1e-5) and row["corners"]["all"]["knn"] >= 0
