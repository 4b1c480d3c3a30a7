from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.augmentation import Augmentation, Parameter
from audioinv.core.bank import AugmentationBank
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.core.quality import augmented_alone, centred_cosine
from audioinv.tasks.measure import measure_invariance
from audioinv.tasks.worth import parameters_read
from tests.core.plain_frontend import PlainFrontend
from tests.core.small_pretraining import SIZE


class AddTo(Augmentation):
    """Adds a random number to the rows of the map in one band."""

    def __init__(self, name: str, first: int, last: int) -> None:
        self.name = name
        self.band = slice(first, last)
        self.parameters = (Parameter("amount", "", -2.0, 2.0, 0.0),)

    def apply(self, x: Tensor, params: Tensor) -> Tensor:
        x = x.clone()
        x[:, :, self.band] += params[:, :, None, None]
        return x


def bank(grouped: bool = False) -> AugmentationBank:
    parts = [AddTo("low", 0, 5), AddTo("middle", 5, 10), AddTo("high", 10, 15)]
    if grouped:
        return AugmentationBank(
            parts, DescriptorSpace({"edges": ("low", "high"), "mid": ("middle",)})
        )
    return AugmentationBank(parts, DescriptorSpace.single(["low", "middle", "high"]))


def clips(n: int = 40, key: str = "clips") -> Tensor:
    return torch.randn(n, *SIZE, generator=generator(0, key))


def test_centred_cosine_is_numpys() -> None:
    a, b = (torch.randn(20, 6, generator=generator(0, key)) + 3 for key in ("a", "b"))
    x, y = (v.double().numpy() - a.double().numpy().mean(0) for v in (a, b))
    cosines = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert centred_cosine(a, b) == pytest.approx(cosines.mean(), abs=1e-6)
    assert centred_cosine(a, a) == pytest.approx(1)


def test_a_copy_has_that_augmentation_alone() -> None:
    x = clips()
    copies = {name: augmented_alone(bank(), name, x, 0) for name in bank().augmentations}
    assert list(copies) == ["low", "middle", "high"]
    moved = (copies["middle"] - x).abs().amax((1, 3))
    assert float(moved[:, :5].max()) == float(moved[:, 10:].max()) == 0
    assert float(moved[:, 5:10].min()) > 0
    assert torch.equal(augmented_alone(bank(), "low", x, 0), copies["low"])
    assert not torch.equal(augmented_alone(bank(), "low", x, 1), copies["low"])


class Masking:
    """An encoder that truly is what its descriptor says: a component at 1 hides its band."""

    frontend = PlainFrontend(SIZE)

    def at(self, descriptor: Tensor) -> SimpleNamespace:
        class Rows(nn.Module):
            def forward(self, x: Tensor, layers: str) -> Tensor:
                gains = torch.cat([(1 - descriptor).repeat_interleave(5), torch.ones(1)])
                return (x * gains[:, None]).flatten(1)

        return SimpleNamespace(backbone=Rows())


def test_on_off_and_matrix_of_an_encoder_that_obeys() -> None:
    encoder: Any = Masking()
    result = measure_invariance(encoder, bank(), clips(), seed=3)
    assert result["names"] == ["low", "middle", "high"]
    assert (result["n_clips"], result["seed"]) == (40, 3)
    matrix = result["matrix"]
    assert matrix["rows"] == ["all on", "low off", "middle off", "high off"]
    assert matrix["columns"] == ["low", "middle", "high"]
    for k, name in enumerate(result["names"]):
        assert result["on"][name] == pytest.approx(1) == matrix["cosine"][0][k]
        assert result["off"][name] == matrix["cosine"][1 + k][k] < 0.95
        assert result["gap"][name] == result["on"][name] - result["off"][name]
        others = [matrix["cosine"][1 + k][j] for j in range(3) if j != k]
        assert others == pytest.approx([1, 1])


def test_a_group_is_given_the_mean_of_its_augmentations() -> None:
    class Grouped(Masking):
        def at(self, descriptor: Tensor) -> SimpleNamespace:
            return super().at(descriptor[[0, 1, 0]])

    encoder: Any = Grouped()
    result = measure_invariance(encoder, bank(grouped=True), clips())
    low, _, high = result["matrix"]["cosine"][1]
    assert result["names"] == ["edges", "mid"]
    assert result["off"]["edges"] == pytest.approx((low + high) / 2)


def conditioned(**conditioning: Any) -> AmortisedEncoder:
    backbone = {
        "name": "resnet18",
        "width": 0.125,
        "dim": 12,
        "options": {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4},
    }
    with seeded(0, "encoder"):
        return AmortisedEncoder(PlainFrontend(SIZE), backbone, conditioning, bank().space).eval()


def gaps(**conditioning: Any) -> list[float]:
    encoder = conditioned(**conditioning).recalibrated(clips(64, "calibration"))
    result = measure_invariance(encoder, bank(), clips())
    return list(result["gap"].values())


@pytest.mark.parametrize("ignoring", [{"name": "none"}, {"name": "hyper", "scale": 0.0}])
def test_negative_control_an_encoder_that_ignores_the_descriptor_has_no_gap(
    ignoring: dict[str, Any],
) -> None:
    assert max(abs(gap) for gap in gaps(**ignoring)) < 0.02


def test_a_conditioned_encoder_answers_differently() -> None:
    """Even untrained; else the negative control would prove nothing."""
    assert max(abs(gap) for gap in gaps(name="hyper", scale=2.0)) > 0.02


def test_one_clip_is_too_few() -> None:
    encoder: Any = Masking()
    with pytest.raises(UserError, match=r"2 .*1"):
        measure_invariance(encoder, bank(), clips(1), torch.empty(0))


def test_parameters_are_read_where_features_hold_them_and_not_elsewhere() -> None:
    """An encoder that shows a band's mean only while its component is off."""

    class Bands(nn.Module):
        def __init__(self, seen: Tensor) -> None:
            super().__init__()
            self.seen = seen

        def forward(self, maps: Tensor, layers: str = "last") -> Tensor:
            bands = maps[:, 0].mean(2)[:, :15].unflatten(1, (3, 5)).mean(2)
            return torch.cat([bands * self.seen, maps.flatten(1)[:, -4:] * 0], 1)

    one = bank()
    encoder: Any = SimpleNamespace(
        frontend=PlainFrontend(SIZE), bound=lambda i: Bands((i < 0.5).float()), space=one.space
    )
    read = parameters_read(encoder, one, clips(120, "learn"), clips(60, "test"))
    assert set(read) == {"on", "off"} and list(read["on"]) == ["low", "middle", "high"]
    assert max(read["on"].values()) < 0.1 and min(read["off"].values()) > 0.9


def test_what_has_no_quantity_to_read_is_left_out() -> None:
    one = bank()
    one.augmentations["low"].parameters = (Parameter("seed", "", 0.0, 9.0, 0.0, False, False),)
    encoder = AmortisedEncoder(
        PlainFrontend(SIZE), {"name": "statistics"}, {"name": "none"}, one.space
    )
    read = parameters_read(encoder, one, clips(40, "learn"), clips(20, "test"))
    assert list(read["off"]) == ["middle", "high"]
