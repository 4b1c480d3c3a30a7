"""Networks joined, weights from elsewhere, and extractors of others."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import (
    Backbone,
    Concat,
    Statistics,
    build_backbone,
)
from audioinv.core.init_weights import load_trunk

SIZE = (1, 32, 20)
LAYERS = [1, 1, 1, 1]
SMALL = {"name": "resnet18", "width": 0.125, "options": {"layers": LAYERS}}


def maps(n: int = 3) -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, "maps"))


def small(seed: int = 0, dim: int = 6) -> Backbone:
    with seeded(seed, "backbone"):
        return Backbone("resnet18", SIZE, width=0.125, dim=dim, options={"layers": LAYERS}).eval()


@pytest.mark.parametrize(("dim", "expected"), [(5, 4 * 8 + 8 + 5), (0, 4 * 8 + 8)])
def test_all_layers_hold_every_stage_once(dim: int, expected: int) -> None:
    """Without a linear layer the last stage's pooled maps are the features, not more of them."""
    options = {"layers": LAYERS, "stem_type": "deep", "stem_width": 4, "channels": [8] * 4}
    network = Backbone("resnet18", SIZE, pool="global", dim=dim, options=options).eval()
    features = network(maps(), "all")
    assert features.shape[1] == expected
    assert torch.equal(features[:, -network.dim :], network(maps()))


@pytest.mark.parametrize("layers", ["last", "all"])
def test_joined_networks_are_their_parts_side_by_side(layers: str) -> None:
    with seeded(0, "parts"):
        joined = Concat(SIZE, [{**SMALL, "dim": 5}, {"name": "statistics"}, {**SMALL, "dim": 7}])
    joined.eval()
    one, statistics, two = joined.parts
    expected = torch.cat([part(maps(), layers) for part in (one, statistics, two)], dim=1)
    assert torch.equal(joined(maps(), layers), expected)
    assert joined.dim == 5 + 64 + 7
    assert joined(maps()).shape == (3, joined.dim)
    assert not torch.equal(one(maps())[:, :5], two(maps())[:, :5])


def test_statistics_are_numpys() -> None:
    x = maps().numpy()[:, 0]
    ours = build_backbone("statistics", SIZE)(maps()).numpy()
    assert ours[:, :32] == pytest.approx(x.mean(2), abs=1e-5)
    assert ours[:, 32:] == pytest.approx(x.std(2, ddof=1), abs=1e-5)


def weights(seed: int) -> dict[str, Tensor]:
    """A timm state dict that `small` fits, with a classifier of its own."""
    with seeded(seed, "weights"):
        channels = [8, 16, 32, 64]
        model = timm.create_model("resnet18", in_chans=1, layers=LAYERS, channels=channels)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_the_trunk_takes_the_weights_that_fit(tmp_path: Path, ending: str) -> None:
    backbone, given = small(), weights(1)
    linear = backbone.linear.weight.clone()
    path = tmp_path / f"weights.{ending}"
    if ending == "pt":
        torch.save(given, path)
    else:
        save_file(given, path)
    assert load_trunk(backbone, path) == len(backbone.trunk.state_dict())
    for name, value in backbone.trunk.state_dict().items():
        assert torch.equal(value, given[name]), name
    assert torch.equal(backbone.linear.weight, linear), "the readout is not the classifier"


def test_tensors_of_other_shapes_are_left_out(tmp_path: Path) -> None:
    backbone, given = small(), weights(1)
    before = backbone.trunk.conv1.weight.clone()
    given["conv1.weight"] = torch.zeros(64, 3, 7, 7)  # of a network for colour pictures
    save_file(given, tmp_path / "w.safetensors")
    assert load_trunk(backbone, tmp_path / "w.safetensors") == len(backbone.trunk.state_dict()) - 1
    assert torch.equal(backbone.trunk.conv1.weight, before)


class Harmful:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "ran")


def test_a_pickle_with_code_in_it_is_refused(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    torch.save({"conv1.weight": Harmful(mark)}, path)
    with pytest.raises(UserError, match="cannot read weights"):
        load_trunk(small(), path)
    path.write_bytes(pickle.dumps(Harmful(mark), protocol=2))
    with pytest.raises(UserError, match="cannot read weights"):
        load_trunk(small(), path)
    assert not mark.exists()


def test_weights_of_which_nothing_fits_and_files_that_are_none(tmp_path: Path) -> None:
    save_file({"encoder.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"other\.safetensors.*conv1\.weight"):
        load_trunk(small(), tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10")
    for name in ("torn.safetensors", "absent.pt"):
        with pytest.raises(UserError, match=name):
            load_trunk(small(), tmp_path / name)
    with pytest.raises(UserError, match=r"init_weights.*timm.*Statistics"):
        load_trunk(Statistics(SIZE), tmp_path / "other.safetensors")


@pytest.mark.parametrize(("name", "last"), [("resnet18", "bn2"), ("resnet50", "bn3")])
@pytest.mark.parametrize(("options", "start"), [({}, 0.0), ({"zero_init_last": False}, 1.0)])
def test_where_the_last_norms_of_blocks_start(
    name: str, last: str, options: dict[str, bool], start: float
) -> None:
    network = Backbone(name, SIZE, width=0.125, options={"layers": LAYERS, **options})
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    starts = {n: m.weight.unique().tolist() for n, m in norms.items()}
    ends = [n for n in starts if n.endswith(last) and "layer" in n]
    assert len(ends) == sum(LAYERS)
    assert starts == {n: [start if n in ends else 1.0] for n in starts}


def test_a_network_of_one_length_names_it() -> None:
    network = Backbone("resnet18", (1, 32, 24), width=0.125, pool="both")
    with pytest.raises(UserError, match=r"pool=both.*\(32, 24\).*encoder\.embed"):
        network(torch.zeros(2, 1, 32, 200))
    Backbone("resnet18", (1, 32, 24), width=0.125, pool="time")(torch.zeros(2, 1, 32, 200))
