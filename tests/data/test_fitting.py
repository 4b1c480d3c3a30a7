"""A front end is fitted to a pack, to clips or to batches of them, with the same outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("audioinv.audio", reason="the half of sounds was left out")

import soundfile
import torch

import audioinv as ai
from audioinv.audio.media import Sounds
from audioinv.base.errors import UserError
from audioinv.data.manifest import Corpus, read_manifest, write_manifest
from audioinv.data.pack import Pack, build_pack

RATE = 8000


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Six sounds of a second, the last a loud one of the test split."""
    folder = tmp_path_factory.mktemp("fitting")
    random, rows = np.random.default_rng(0), []
    for number in range(6):
        loud = 0.9 if number == 5 else 0.1
        sound = loud * random.uniform(-1, 1, RATE)
        soundfile.write(folder / f"{number}.wav", sound, RATE, subtype="PCM_16")
        split = "test" if number == 5 else "train"
        rows.append([str(number), f"{number}.wav", 0.0, 1.0, RATE, split])
    names = ["id", "path", "start", "duration", "sample_rate", "split"]
    frame = pd.DataFrame(rows, columns=names)
    corpus = Corpus("six", "Six", "made here", "CC0-1.0", str(folder), RATE)
    manifest = read_manifest(write_manifest(folder / "data", frame, corpus))
    return build_pack(manifest, folder / "pack", Sounds(RATE))


def front(rate: int = RATE) -> Any:
    return ai.modality("audio").frontend("log_mel", sample_rate=rate, clip_s=1.0, n_fft=512)


def test_of_a_pack_the_training_clips_count(pack: Pack) -> None:
    clips = torch.stack([torch.from_numpy(pack.samples(k) / 32768).float() for k in range(5)])
    fitted = front()
    assert fitted.fit(pack) is fitted
    for same in (clips, clips.split(2)):
        other = front().fit(same)
        torch.testing.assert_close(other.mean, fitted.mean)
        torch.testing.assert_close(other.std, fitted.std)
    assert float(front().fit(torch.cat([clips, 9 * clips[:1]])).mean) > float(fitted.mean) + 1


def test_a_pack_of_another_size_is_refused(pack: Pack) -> None:
    with pytest.raises(UserError, match=r"sample_rate 8000.*--sample_rate 16000"):
        front(16000).fit(pack)
