"""Networks joined, weights from elsewhere, and extractors of others."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from audioinv.core.backbone import (
    TRUSTED_MODULES,
    Backbone,
    Concat,
    Hear,
    Statistics,
    build_backbone,
    load_trunk,
)
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.errors import UserError
from audioinv.core.randomness import generator, seeded
from audioinv.modality import build_frontend

SIZE = (1, 32, 20)
LAYERS = [1, 1, 1, 1]
SMALL = {"name": "resnet18", "width": 0.125, "options": {"layers": LAYERS}}


def maps(n: int = 3) -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, "maps"))


def small(seed: int = 0, dim: int = 6) -> Backbone:
    with seeded(seed, "backbone"):
        return Backbone("resnet18", SIZE, width=0.125, dim=dim, options={"layers": LAYERS}).eval()


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
    with pytest.raises(UserError, match=r"no tensor of .*other\.safetensors fits"):
        load_trunk(small(), tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10")
    for name in ("torn.safetensors", "absent.pt"):
        with pytest.raises(UserError, match=name):
            load_trunk(small(), tmp_path / name)
    with pytest.raises(UserError, match="init_weights is for timm networks"):
        load_trunk(Statistics(SIZE), tmp_path / "other.safetensors")


HEAR = """
import torch

class Model(torch.nn.Module):
    scene_embedding_size = 3
    sample_rate = 8000
    def __init__(self, scale):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(float(scale)))

def load_model(model_file_path="2"):
    return Model(model_file_path)

def get_scene_embeddings(audio, model):
    return model.scale * torch.stack([audio.mean(1), audio.std(1), audio.amax(1)], 1)
"""


@pytest.fixture
def hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable module of the HEAR API, not trusted yet."""
    (tmp_path / "audioinv_test_hear.py").write_text(HEAR)
    (tmp_path / "audioinv_test_lacking.py").write_text("version = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    trusted = set(TRUSTED_MODULES)
    yield "audioinv_test_hear"
    TRUSTED_MODULES.clear()
    TRUSTED_MODULES.update(trusted)
    for name in ("audioinv_test_hear", "audioinv_test_lacking"):
        sys.modules.pop(name, None)


def test_a_module_of_the_hear_api_is_not_run_unless_trusted(hear: str) -> None:
    with pytest.raises(UserError, match=r"trusted_modules=\[audioinv_test_hear\]"):
        Hear((1, 1, 4000), hear)
    assert hear not in sys.modules


def test_a_trusted_module_gives_its_scene_embeddings(hear: str) -> None:
    TRUSTED_MODULES.add(hear)
    x = torch.randn(4, 1, 1, 500, generator=generator(0, "x"))
    wave = x[:, 0, 0]
    expected = torch.stack([wave.mean(1), wave.std(1), wave.amax(1)], 1)
    network = Hear((1, 1, 500), hear)
    assert network.dim == 3
    torch.testing.assert_close(network(x), 2 * expected)
    assert not network(x).requires_grad
    torch.testing.assert_close(Hear((1, 1, 500), hear, weights="5")(x), 5 * expected)


def test_a_module_without_the_api_is_explained(hear: str) -> None:
    TRUSTED_MODULES.update({"audioinv_test_lacking", "audioinv_test_absent"})
    for name in ("audioinv_test_lacking", "audioinv_test_absent"):
        with pytest.raises(UserError, match=f"'{name}' is no module of the HEAR API"):
            Hear((1, 1, 500), name)


def test_an_encoder_around_a_module_is_used_and_saved_as_any_other(
    hear: str, tmp_path: Path
) -> None:
    TRUSTED_MODULES.add(hear)
    frontend = build_frontend({"name": "waveform", "sample_rate": 8000, "clip_s": 0.5})
    backbone = {"name": "hear", "module": hear}
    space = DescriptorSpace.single(["a", "b"])
    encoder = AmortisedEncoder(frontend, backbone, {"name": "none"}, space)
    x = torch.randn(2, 4000, generator=generator(0, "x"))
    torch.testing.assert_close(encoder.at(space.all_on())(x), encoder(x, space.all_on()))
    encoder.save(tmp_path / "encoder")
    loaded = AmortisedEncoder.load(tmp_path / "encoder", build_frontend)
    assert torch.equal(loaded(x, space.all_on()), encoder(x, space.all_on()))
    TRUSTED_MODULES.discard(hear)
    with pytest.raises(UserError, match="trusted_modules"):
        AmortisedEncoder.load(tmp_path / "encoder", build_frontend)
