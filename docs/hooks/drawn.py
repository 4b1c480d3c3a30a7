"""Pictures of the ideas, drawn from what the library itself says."""

from __future__ import annotations

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

import audioinv as ai
from audioinv.audio.augment import build_bank
from audioinv.audio.pictures import DECIBEL_RANGE, decibels
from audioinv.audio.synthesis import FACTORS, synthesise
from audioinv.base.drawing import INK, MUTED, STYLE
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.report.figures import DESCRIPTOR_MAP, INVARIANT, SENSITIVE

RATE = 16000
NOTES = (57.0, 64.0, 61.0)  # MIDI numbers of the melody
NOTE_S = 0.5
THREE = ("pitch_shift", "time_shift", "white_noise")


def melody() -> Tensor:
    """Three notes of the toolkit's synthesiser as one clip, (1, samples)."""
    n = len(NOTES)
    told = {name: torch.full((n,), factor.default) for name, factor in FACTORS.items()}
    told |= {"pitch": torch.tensor(NOTES), "level": torch.full((n,), -14.0)}
    told |= {"decay": torch.full((n,), 0.3), "onset": torch.full((n,), 0.05)}
    notes = synthesise(told, round(NOTE_S * RATE), RATE, generator(0, "melody"))
    return notes.reshape(1, -1)


def corners() -> Figure:
    """The corners of three components as a cube, coloured by how much is ignored."""
    space = DescriptorSpace.single(THREE, min_active=0)
    points = space.corners @ torch.tensor([[3.0, 0.0], [1.1, 0.9], [0.0, 2.2]])
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for a, one in enumerate(space.corners):
            for b in range(a):
                if (one - space.corners[b]).abs().sum() == 1:
                    axes.plot(*points[[a, b]].T, color=MUTED, linewidth=0.8, zorder=1)
        colours = DESCRIPTOR_MAP(space.corners.mean(1).numpy())
        axes.scatter(*points.T, s=150, c=colours, edgecolors=INK, linewidths=0.6, zorder=2)
        for corner, (x, y) in zip(space.corners, points.tolist(), strict=True):
            digits = "".join(str(int(value)) for value in corner)
            told = f"{digits}  {space.label(corner)}"
            behind = {"facecolor": "white", "linewidth": 0, "pad": 0.5}
            axes.text(x + 0.14, y + 0.17, told, fontsize=7.5, bbox=behind)
        axes.set(xlim=(-0.4, 5.6), ylim=(-0.4, 3.6), aspect="equal")
        axes.set_axis_off()
    return figure


def views() -> Figure:
    """Two views of one clip under three descriptors."""
    bank, clip = build_bank(RATE, names=THREE), melody()
    names = ("all on", "pitch shift off", "pitch shift alone")
    corners = (
        bank.space.all_on(),
        bank.space.parse("-pitch_shift"),
        bank.space.corner(["pitch_shift"]),
    )
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        grid = figure.subplots(len(corners), 3, sharex=True, sharey=True)
        for row, (corner, name) in enumerate(zip(corners, names, strict=True)):
            one, two = pair(bank, clip, corner)
            for axes, sound in zip(grid[row], (clip, one, two), strict=True):
                level = decibels(sound[0].numpy(), RATE)
                seconds = sound.shape[1] / RATE
                axes.imshow(
                    level - level.max(),
                    cmap="magma",
                    vmin=-DECIBEL_RANGE,
                    vmax=0,
                    origin="lower",
                    aspect="auto",
                    extent=(0, seconds, 0, 1),
                )
                axes.set_yticks([])
            grid[row][0].set_ylabel(name)
        for axes, title in zip(grid[0], ("the clip", "view 1", "view 2"), strict=True):
            axes.set_title(title)
        figure.supxlabel("time, s", fontsize=8, color=MUTED)
    return figure


def pair(bank: ai.Bank, clip: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
    """Two views (1, samples) under a descriptor, of parameters drawn anew for each."""
    draw = generator(3, "views")
    one, two = (bank.apply(clip, bank.sample(1, corner, draw)) for _ in range(2))
    return one, two


def network() -> Figure:
    """A conditioned ResNet with the sizes of its levels."""
    front = ai.modality("audio").frontend("log_mel", sample_rate=RATE, clip_s=1.0)
    backbone = ai.backbone("resnet18", front.output_size)
    sizes = backbone.sizes
    names = ["front end", *(f"stage {n}" for n in range(1, len(sizes) - 1)), "last layer"]
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for level, (name, size) in enumerate(zip(names, sizes, strict=True)):
            x, conditioned = 1.5 * level, 0 < level < len(sizes) - 1
            colour = INVARIANT if conditioned else MUTED
            box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colour}
            axes.text(x, 1, f"{name}", ha="center", va="center", bbox=box)
            axes.annotate(
                f"level {level}\n{size} numbers",
                (x, 0.72),
                (x, 0.0),
                ha="center",
                va="center",
                color=MUTED,
                arrowprops={"arrowstyle": "<-", "color": MUTED},
            )
            if level:
                arrow = {"arrowstyle": "->", "color": INK}
                axes.annotate("", (x - 0.45, 1), (x - 1.05, 1), arrowprops=arrow)
            if conditioned:
                middle = 0.75 * (len(sizes) - 1)
                arrow = {"arrowstyle": "->", "color": SENSITIVE}
                axes.annotate("", (x, 1.28), (middle, 2.0), arrowprops=arrow)
        axes.text(
            0.75 * (len(sizes) - 1),
            2.15,
            "descriptor i, one number for each augmentation",
            ha="center",
            color=SENSITIVE,
        )
        axes.set(xlim=(-0.8, 1.5 * (len(sizes) - 1) + 0.8), ylim=(-0.4, 2.4))
        axes.set_axis_off()
    return figure
