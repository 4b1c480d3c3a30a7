from __future__ import annotations

import pytest
import torch
from torchaudio.functional import melscale_fbanks

from audioinv.audio.mel import MEL_NORMS, MEL_SCALES, mel_filters


@pytest.mark.parametrize("norm", MEL_NORMS)
@pytest.mark.parametrize("scale", MEL_SCALES)
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize(("n_freqs", "n_bins"), [(129, 20), (513, 64), (1025, 128)])
def test_filters_have_the_bytes_of_torchaudios(
    n_freqs: int, n_bins: int, rate: int, scale: str, norm: str
) -> None:
    """Encoders were saved with torchaudio's, and go on in the same runs."""
    for min_hz, max_hz in ((0.0, rate / 2), (50.0, 3500.0)):
        ours = mel_filters(n_freqs, n_bins, rate, min_hz, max_hz, scale, norm)
        named = None if norm == "none" else norm
        assert torch.equal(
            ours, melscale_fbanks(n_freqs, min_hz, max_hz, n_bins, rate, named, scale)
        )


def test_filters_that_see_nothing_are_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"of 128 mel filters.*n_bins.*n_fft") as seen:
        filters = mel_filters(65, 128, 8000, 0.0, 4000.0, "slaney", "slaney")
    blind = int((filters == 0).all(0).sum())
    assert blind > 0 and str(seen[0].message).startswith(f"{blind} ")
