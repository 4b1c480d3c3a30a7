"""A user's encoder on the device that a name means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.tasks.given import device_named, frozen
from tests.core.small_encoder import small_encoder


def test_devices_by_name() -> None:
    assert device_named("cpu") == torch.device("cpu")
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert device_named("auto").type == wanted


@pytest.mark.parametrize("name", ["toaster", "cuda"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match=rf"'{name}'.*auto, cpu, cuda or mps"):
        device_named(name)


def test_a_frozen_encoder_is_a_copy_and_changes_nothing_else() -> None:
    encoder, before = small_encoder().train(), torch.get_float32_matmul_precision()
    own = frozen(encoder, "cpu")
    assert encoder.training and not own.training
    assert not any(weight.requires_grad for weight in own.parameters())
    assert all(weight.requires_grad for weight in encoder.parameters())
    assert torch.get_float32_matmul_precision() == before


def test_the_folder_of_a_run_is_no_encoder(tmp_path: Path) -> None:
    (tmp_path / "run" / "encoder").mkdir(parents=True)
    with pytest.raises(UserError, match=r"did you mean .*run/encoder\?"):
        frozen(tmp_path / "run")
    with pytest.raises(UserError, match=r"nowhere holds no encoder: give a run's folder"):
        frozen(tmp_path / "nowhere")
