"""Rivals give what their own packages give, and are refused where they are not installed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from audioinv.audio.modality import AUDIO
from audioinv.audio.rivals.pesto import Pesto
from audioinv.audio.rivals.resemblyzer import LOUDNESS_DB, Resemblyzer
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator


def needs(module: str) -> Any:
    reason = f"{module} is not installed: pip install 'audioinv[rivals]'"
    return pytest.importorskip(module, reason=reason, exc_type=ImportError)


def tones(hz: list[float], seconds: float) -> torch.Tensor:
    time = torch.arange(round(16000 * seconds)) / 16000
    return 0.1 * torch.sin(2 * torch.pi * torch.tensor(hz)[:, None] * time)


def test_pesto_gives_mean_and_deviation_of_its_packages_activations() -> None:
    model = needs("pesto").load_model("mir-1k_g7", step_size=100.0, sampling_rate=16000)
    x, rival = tones([440.0, 261.6, 1000.0], 1.0), Pesto()
    with torch.no_grad():
        pitches, _, _, activations = model(x)
        found = rival.levels(x)
    assert [round(p) for p in pitches[:, 5].tolist()] == [69, 60, 83], "MIDI numbers"
    expected = torch.cat([activations.mean(1), activations.std(1)], 1)
    torch.testing.assert_close(found[-1], expected, atol=1e-4, rtol=1e-3)
    assert [level.shape for level in found] == [(3, size) for size in rival.sizes]


def test_pesto_gives_a_semitone_as_a_step_of_three() -> None:
    needs("pesto")
    rival = Pesto()
    with torch.no_grad():
        low, high = rival.levels(tones([440.0, 440.0 * 2 ** (1 / 12)], 1.0))[-1][:, :384]
    assert int(high.argmax()) - int(low.argmax()) == 3


def test_resemblyzer_gives_the_embedding_of_its_package() -> None:
    package = needs("resemblyzer")
    x, rival = 0.01 * torch.randn(2, 25600, generator=generator(0, "x")), Resemblyzer()
    loud = [package.normalize_volume(w, LOUDNESS_DB, increase_only=True) for w in x.numpy()]
    expected = np.stack([rival.network.embed_utterance(w) for w in loud])
    with torch.no_grad():
        found = rival.levels(x)
    np.testing.assert_allclose(found[-1].numpy(), expected, atol=1e-5)
    assert [level.shape for level in found] == [(2, size) for size in rival.sizes]
    torch.testing.assert_close(rival(x[:, None, None], "depth").detach(), torch.cat(found, 1))


def test_silence_is_finite() -> None:
    for kind, module in ((Pesto, "pesto"), (Resemblyzer, "resemblyzer")):
        needs(module)
        rival: Any = kind()
        n = round(rival.clip_s * rival.sample_rate)
        assert bool(rival(torch.zeros(2, 1, 1, n), "depth").isfinite().all())


@pytest.mark.parametrize(
    ("name", "modules"),
    [("pesto", ["pesto", "pesto.model"]), ("resemblyzer", ["resemblyzer.voice_encoder"])],
)
def test_a_rival_that_is_not_installed_says_how_to(
    name: str, modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install 'audioinv\[rivals\]'"):
        AUDIO.rival(name)()
