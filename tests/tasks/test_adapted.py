from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.tasks.adapt import AdaptConfig, Mixture, choose, fit
from audioinv.tasks.adapted import Adapted, load_adapted, save_adapted
from audioinv.tasks.labelled import Labelled

SPACE = DescriptorSpace.single(["a", "b"])
X = torch.randn(40, 4, generator=generator(0, "x"))


def adapted(mode: str) -> Adapted:
    rows = torch.arange(40)
    data = Labelled(rows % 3, "classification", ["x", "y", "z"], rows[:30], rows[30:])
    mixture = choose(mode, SPACE, lambda i: X * (1 + i.sum()), data, AdaptConfig())
    return Adapted(mixture, fit(mixture, lambda i: X * (1 + i.sum()), data, AdaptConfig()))


@pytest.mark.parametrize("mode", ["fixed:all", "search", "search:validation", "soft"])
def test_every_mode_survives_its_files(tmp_path: Path, mode: str) -> None:
    """Twice the same corner: two folds may well pick the same."""
    folds = [adapted(mode), adapted(mode)]
    save_adapted(tmp_path / "new", folds, {"mode": mode, "layers": "last"})
    loaded, info = load_adapted(tmp_path / "new")
    assert info["mode"] == mode and info["classes"] == ["x", "y", "z"] and info["folds"] == 2
    for before, after in zip(folds, loaded, strict=True):
        assert torch.equal(after.mixture.descriptors, before.mixture.descriptors)
        assert torch.equal(after.mixture.weights, before.mixture.weights)
        assert torch.equal(after.mixture.reported, before.mixture.reported)
        x = X.repeat(1, len(before.mixture.weights))
        assert torch.equal(after.readout.predict(x), before.readout.predict(x))


def test_a_descriptor_at_0_and_1_of_the_same_storage_is_stored(tmp_path: Path) -> None:
    one = adapted("fixed:all")
    i = torch.tensor([0.25, 1.0])
    save_adapted(tmp_path, [Adapted(Mixture.single(i), one.readout)] * 2, {})
    assert torch.equal(load_adapted(tmp_path)[0][1].mixture.reported, i)


def test_damaged_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"adapted\.json"):
        load_adapted(tmp_path)
    save_adapted(tmp_path, [adapted("search")], {})
    tensors = tmp_path / "adapted.safetensors"
    whole = tensors.read_bytes()
    for damaged in (whole[:50], b"", whole[:-10]):
        tensors.write_bytes(damaged)
        with pytest.raises(UserError, match=str(tmp_path)):
            load_adapted(tmp_path)
    tensors.unlink()
    with pytest.raises(UserError, match=str(tmp_path)):
        load_adapted(tmp_path)
    tensors.write_bytes(whole)
    (tmp_path / "adapted.json").write_text("{}")
    with pytest.raises(UserError, match=str(tmp_path)):
        load_adapted(tmp_path)
