"""Log-mel spectrograms against torchaudio and librosa."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import librosa
import numpy as np
import torchaudio
from torch import nn

from benchmarks.measure import Comparison, Ratio, Setup
from benchmarks.sounds import Task, tasks


def log_mel(setup: Setup) -> Iterator[Comparison]:
    """Log-mel in dB of a batch: `audioinv.audio.frontend.LogMel`; torchaudio's MelSpectrogram and
    AmplitudeToDB; librosa's melspectrogram and power_to_db, which take the whole batch too (CPU
    only). Filters, window and padding are the same, and so are the values.
    """
    for task in tasks(setup):
        yield _log_mel(task, setup)


def _log_mel(task: Task, setup: Setup) -> Comparison:
    x, ours, theirs = task.clips(setup), task.frontend(setup), torchaudio_log_mel(task, setup)
    contenders: dict[str, Callable[[], object]] = {
        "audioinv": lambda: ours.decibels(x),
        "torchaudio": lambda: theirs(x),
    }
    if setup.device.type == "cpu":
        contenders["librosa"] = lambda: librosa_log_mel(task, x.numpy())
    ratios = [Ratio(name, "audioinv") for name in list(contenders)[1:]]
    return Comparison("log-mel", task.work(), contenders, ratios)


def torchaudio_log_mel(task: Task, setup: Setup) -> nn.Module:
    """The task's front end made of torchaudio's transforms."""
    mel = torchaudio.transforms.MelSpectrogram(
        task.sample_rate, task.n_fft, hop_length=task.hop, n_mels=task.n_bins,
        norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    return nn.Sequential(mel, torchaudio.transforms.AmplitudeToDB()).to(setup.device)


def librosa_log_mel(task: Task, x: np.ndarray) -> np.ndarray:
    """The task's front end by librosa, (batch, bins, frames)."""
    power = librosa.feature.melspectrogram(
        y=x, sr=task.sample_rate, n_fft=task.n_fft, hop_length=task.hop, n_mels=task.n_bins,
        pad_mode="reflect",
    )  # fmt: skip
    return librosa.power_to_db(power, top_db=None)
