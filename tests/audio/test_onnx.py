"""ONNX in onnxruntime gives what torch gives, whatever batch, length and descriptor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import audioinv as ai
from audioinv.audio.fourier import RealFourier
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.onnx import AnyDescriptor, onnx_of

pytest.importorskip("onnxscript", reason="ONNX is not installed: pip install 'audioinv[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime")

RATE = 16000
SPACE = ai.DescriptorSpace({"pitch": ["pitch_shift"], "noise": ["white_noise"]})
CLOSE: dict[str, float] = {"atol": 1e-4, "rtol": 0}


def small(conditioning: str, frontend: str = "log_mel", **options: Any) -> ai.Encoder:
    """An encoder that nothing has trained, calibrated on noise of all levels."""
    front: Any = ai.modality("audio").frontend(frontend, sample_rate=RATE, **options)
    with seeded(0, "encoder"):
        network = ai.backbone("resnet10t", front.output_size, width=0.25, dim=32)
        encoder = ai.Encoder(front, network, conditioning, SPACE)
    x = sounds(32, RATE)
    front.fit_statistics([x])
    encoder.calibrate([x])
    return encoder


def sounds(n: int, samples: int) -> torch.Tensor:
    """Noise that decays at another rate in each clip, (n, samples)."""
    time = torch.arange(samples) / RATE
    noise = torch.randn(n, samples, generator=generator(n, "noise"))
    return 0.1 * noise * torch.exp(-time * torch.arange(n)[:, None])


def run(model: bytes, *inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(model)
    names = [each.name for each in session.get_inputs()]
    given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return torch.from_numpy(session.run(None, given)[0])


def test_the_real_transform_is_a_fourier_transform() -> None:
    for n in (6, 400, 1024):
        x = torch.randn(3, n, generator=generator(n, "x"))
        expected = np.fft.rfft(x.double().numpy())
        found = RealFourier(n)(x)
        assert np.allclose(found.real, expected.real, atol=1e-4)
        assert np.allclose(found.imag, expected.imag, atol=1e-4)


@pytest.mark.parametrize("frontend", ["log_mel", "log_frequency"])
def test_at_one_descriptor_whatever_the_batch_and_the_length(frontend: str) -> None:
    encoder = small("hyper", frontend, min_hz=50)
    plain = encoder.at("-pitch")
    model = onnx_of(plain, {"clips": sounds(2, RATE)})
    for n, samples in ((1, RATE), (16, RATE), (1, 5 * RATE), (3, 2 * RATE + 77)):
        x = sounds(n, samples)
        torch.testing.assert_close(run(model, x), plain(x).detach(), **CLOSE)
    x = sounds(2, RATE)
    assert not torch.allclose(run(model, x), encoder.at("all")(x), atol=1e-2)
    assert torch.equal(plain(x), encoder.at("-pitch")(x))  # it keeps its own transform


@pytest.mark.parametrize("conditioning", ["norm", "hyper_light"])
def test_the_descriptor_as_an_input(conditioning: str) -> None:
    encoder = small(conditioning)
    inputs = {"clips": sounds(2, RATE), "descriptor": SPACE.corners[:2]}
    model = onnx_of(AnyDescriptor(encoder), inputs)
    for n, samples in ((1, RATE), (7, 2 * RATE)):
        x, descriptor = sounds(n, samples), torch.rand(n, 2, generator=generator(n, "descriptor"))
        expected = encoder(x, descriptor).detach()
        torch.testing.assert_close(run(model, x, descriptor), expected, **CLOSE)
        assert not torch.allclose(run(model, x, 1 - descriptor), expected, atol=1e-2)


@pytest.mark.parametrize("conditioning", ["hyper", "none"])
def test_what_cannot_take_a_descriptor_says_so(conditioning: str) -> None:
    with pytest.raises(UserError, match=rf"conditioning, {conditioning}, .*--descriptor all"):
        AnyDescriptor(small(conditioning))


def test_a_network_of_one_length_keeps_it() -> None:
    front: Any = ai.modality("audio").frontend("log_mel", sample_rate=RATE)
    network = ai.backbone("resnet10t", front.output_size, width=0.125, pool="both", dim=8)
    plain = ai.Encoder(front, network, "none", SPACE).eval().copied_at(SPACE.all_on())
    model = onnx_of(plain, {"clips": sounds(2, RATE)})
    torch.testing.assert_close(run(model, sounds(3, RATE)), plain(sounds(3, RATE)), **CLOSE)
    assert onnxruntime.InferenceSession(model).get_inputs()[0].shape == ["batch", RATE]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audioinv.core.onnx.NEEDED", ("onnx", "no_such_package"))
    plain = small("norm").at("all")
    with pytest.raises(UserError, match=r"no_such_package; pip install 'audioinv\[onnx\]'"):
        onnx_of(plain, {"clips": sounds(2, RATE)})


def test_esc10_in_onnxruntime(shared_data: Callable[[str], Path]) -> None:
    """Sounds with digital silence and rooms above 10 kHz that hold nothing: the hardest case."""
    files = sorted((shared_data("esc10") / "audio").iterdir())[::25]
    clips = _five_seconds(files)
    encoder = small("norm")
    encoder.frontend.fit_statistics([clips])
    encoder.calibrate([clips[:, :RATE], clips[:, RATE : 2 * RATE]])
    plain = encoder.at("-noise")
    one = onnx_of(plain, {"clips": clips[:2, :RATE]})
    inputs = {"clips": clips[:2, :RATE], "descriptor": SPACE.corners[:2]}
    open_ = onnx_of(AnyDescriptor(encoder), inputs)
    for n in (1, 16):
        for seconds in (1, 5):
            x = clips[:n, : seconds * RATE]
            torch.testing.assert_close(run(one, x), plain(x).detach(), **CLOSE)
            descriptor = torch.rand(n, 2, generator=generator(n, "descriptor"))
            expected = encoder(x, descriptor).detach()
            torch.testing.assert_close(run(open_, x, descriptor), expected, **CLOSE)


def _five_seconds(files: list[Path]) -> torch.Tensor:
    """At 16 kHz, 16 of them, (16, 80000)."""
    from audioinv.audio.sources import from_files

    front = ai.modality("audio").frontend("log_mel", sample_rate=RATE, clip_s=5.0)
    batches = from_files(front, files[:16], 0, False).batches(16)  # type: ignore[arg-type]
    return next(iter(batches)).x
