from __future__ import annotations

from types import ModuleType

import pytest
import torch
import torchaudio

from audioinv.audio.augment import Fade


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize(("rise", "fall"), [(0, 0), (400, 0), (0, 250), (300, 500), (2, 1000)])
def test_fades_are_those_of_torchaudio(
    shape: int, rise: int, fall: int, sounds: ModuleType
) -> None:
    n = 1000
    x = sounds.noise(1, n, dtype=torch.float64)
    params = torch.tensor([[rise / n, fall / n, shape]], dtype=torch.float64)
    name = ("linear", "logarithmic", "exponential")[shape]
    reference = torchaudio.transforms.Fade(rise, fall, name)(x)
    torch.testing.assert_close(Fade().apply(x, params), reference, atol=1e-6, rtol=0)


def test_shapes_are_whole_and_equally_likely() -> None:
    shapes = Fade().sample(3000, torch.Generator().manual_seed(0))[:, 2]
    counts = torch.stack([(shapes == k).sum() for k in range(3)])
    assert counts.sum() == 3000
    assert (counts - 1000).abs().max() < 120
