"""Augmentations, one by one and all together, against audiomentations and torch-audiomentations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from audioinv.audio.augment.fused import FusedBank
from audioinv.base.randomness import generator
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank, Views
from benchmarks.frontends import torchaudio_log_mel
from benchmarks.measure import Comparison, Ratio, Setup
from benchmarks.rivals import (
    Clips,
    by_audiomentations,
    by_torch_audiomentations,
    has_torch_audiomentations,
)
from benchmarks.sounds import Task, tasks


def augmentations(setup: Setup) -> Iterator[Comparison]:
    """One augmentation on every clip of a batch, its range that of MT-SLVR; audiomentations in
    process, clip by clip, with its defaults otherwise (its pitch shift and stretch are compiled).
    """
    for task in tasks(setup):
        theirs = by_audiomentations(task.sample_rate)
        for augmentation in task.bank().augmentations.values():
            yield _one(augmentation, theirs[augmentation.name], task, setup)


def _one(augmentation: Augmentation, theirs: Clips, task: Task, setup: Setup) -> Comparison:
    x, name = task.clips(setup), augmentation.name
    params = augmentation.sample(task.batch, generator(0, name)).to(x.device)
    array = x.cpu().numpy()
    contenders = {
        "audioinv": lambda: augmentation.apply(x, params),
        "audiomentations": lambda: theirs(array),
    }
    ratios = [Ratio("audiomentations", "audioinv")]
    return Comparison(name.replace("_", " "), task.work(), contenders, ratios)


def views(setup: Setup) -> Iterator[Comparison]:
    """Two views of a batch with all seven augmentations on every clip: as waveforms, and as log-mel
    spectra (torchaudio's after the rivals; ours by the waveform route and by the fused one).
    "audiomentations" and "torch-audiomentations" work clip by clip, as a data set's loader would,
    in this process; the latter is MT-SLVR's way: pitch, noises and shift by torch-audiomentations,
    stretch and fade by torchaudio. It is left out where it is not installed (the extra
    `benchmarks`).
    """
    for task in tasks(setup):
        yield _waveform_views(task, setup)
        yield _log_mel_views(task, setup)


def _waveform_views(task: Task, setup: Setup) -> Comparison:
    x = task.clips(setup)
    array, bank, theirs = x.cpu().numpy(), task.bank(), by_audiomentations(task.sample_rate)
    contenders = {
        "audioinv": lambda: own_views(bank, x),
        "audiomentations": lambda: [chain(theirs, array) for _ in range(2)],
    }
    ratios = [Ratio("audiomentations", "audioinv", least=5.0)]
    return Comparison("two waveform views", task.work(), contenders, ratios)


def _log_mel_views(task: Task, setup: Setup) -> Comparison:
    x, bank, frontend = task.clips(setup), task.bank(), task.frontend(setup)
    array, fused = x.cpu().numpy(), FusedBank(bank, frontend)
    log_mel, others = torchaudio_log_mel(task, setup), by_audiomentations(task.sample_rate)
    contenders: dict[str, Callable[[], object]] = {
        "audioinv": lambda: [frontend(view) for view in own_views(bank, x)],
        "audioinv, fused": lambda: own_views(fused, x),
        "two plain log-mels": lambda: [frontend(x) for _ in range(2)],
        "audiomentations": lambda: [
            log_mel(torch.as_tensor(chain(others, array)).to(x.device)) for _ in range(2)
        ],
    }
    ratios = [
        Ratio("audiomentations", "audioinv"),
        Ratio("audiomentations", "audioinv, fused", least=12.0),
        Ratio("audioinv, fused", "two plain log-mels"),
    ]
    if has_torch_audiomentations():
        slow = by_torch_audiomentations(task.sample_rate)
        contenders["torch-audiomentations"] = lambda: [
            log_mel(torch.as_tensor(chain(slow, x))) for _ in range(2)
        ]
        ratios += [
            Ratio("torch-audiomentations", "audioinv"),
            Ratio("torch-audiomentations", "audioinv, fused", least=35.0),
        ]
    return Comparison("two log-mel views", task.work(), contenders, ratios)


def own_views(bank: AugmentationBank, x: Tensor) -> Views:
    """Two views of `x` (B, T) with everything on."""
    return bank.views(x, bank.space.all_on(), generator(0, "views"))[0]


def chain(transforms: Mapping[str, Clips], clips: object) -> object:
    """`clips` through all `transforms`, one after the other."""
    for transform in transforms.values():
        clips = transform(clips)
    return clips
