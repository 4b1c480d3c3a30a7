"""What the build makes for pages: each maker gives Markdown, and the files that it shows."""

from __future__ import annotations

import os
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable

import drawn
import torch

from audioinv.audio.augment import AUGMENTATIONS, build_bank
from audioinv.audio.pictures import shown, spectrogram
from audioinv.base.drawing import svg
from audioinv.base.randomness import generator
from audioinv.cli import make_parser
from audioinv.commands import hydra
from audioinv.conf.help import describe_keys
from audioinv.core.augmentation import Augmentation, Parameter

Made = tuple[str, dict[str, bytes]]
DRAWS = 8
HELP_WIDTH = 100
HEAD = (
    "| parameter | unit | lowest | highest | changes nothing at |",
    "| --- | --- | ---: | ---: | ---: |",
)


def corners() -> Made:
    """The cube of corners."""
    return _picture("corners", "The eight corners of three components, as a cube", drawn.corners())


def views() -> Made:
    """Pairs of views under three descriptors."""
    alt = "A melody, and two views of it under each of three descriptors"
    return _picture("views", alt, drawn.views())


def network() -> Made:
    """Where the descriptor enters a network, and the levels that come out."""
    alt = "A network: the descriptor sets gains and offsets of every stage; each level can be read"
    return _picture("network", alt, drawn.network())


def gallery() -> Made:
    """Every augmentation of the bank of sounds: a picture, a sound, its parameters."""
    clip = drawn.melody()
    bank = build_bank(drawn.RATE).augmentations
    files = {"clip.wav": shown(clip[0].numpy(), drawn.RATE).sound}
    files["clip.svg"] = svg(spectrogram(clip[0].numpy(), drawn.RATE)).encode()
    parts = ["## The clip\n\n" + _seen_and_heard("clip", "The clip as it is")]
    for name in AUGMENTATIONS:
        augmentation = bank[name]
        row = strong_draw(augmentation)
        changed = augmentation.apply(clip, row)[0].clamp(-1, 1).numpy()
        files[f"{name}.svg"] = svg(spectrogram(changed, drawn.RATE)).encode()
        files[f"{name}.wav"] = shown(changed, drawn.RATE).sound
        parts.append(_told(augmentation, row))
    return "\n\n".join(parts), files


def strong_draw(augmentation: Augmentation) -> torch.Tensor:
    """Of some draws, (1, P), the one whose first parameter is farthest from the identity."""
    rows = augmentation.sample(DRAWS, generator(0, "gallery", augmentation.name))
    first = augmentation.parameters[0]
    middle = first.identity if abs(first.identity) < float("inf") else first.high
    return rows[(rows[:, 0] - middle).abs().argmax()][None]


def _told(augmentation: Augmentation, row: torch.Tensor) -> str:
    about = (type(augmentation).__doc__ or "").split("\n\n")[0]
    values = zip(augmentation.parameters, row[0].tolist(), strict=True)
    here = ", ".join(f"{p.name} {v:.3g}" for p, v in values if p.quantity)
    table = "\n".join([*HEAD, *map(_line, augmentation.parameters)])
    player = _seen_and_heard(augmentation.name, f"The clip after {augmentation.name}: {here}")
    parts = (f"## {augmentation.name}", about, player, f"Heard here: {here}.", table)
    return "\n\n".join(parts)


def _line(p: Parameter) -> str:
    unit = p.unit.replace("|", "\\|")
    return f"| `{p.name}` | {unit} | {p.low:.4g} | {p.high:.4g} | {p.identity:.4g} |"


def _seen_and_heard(name: str, alt: str) -> str:
    """A picture and a player; the address is written for a page at the top of the site."""
    return (
        f"![{alt}](made/{name}.svg){{ .made }}\n\n"
        f'<audio controls preload="none" src="made/{name}.wav"></audio>'
    )


def _picture(name: str, alt: str, figure: object) -> Made:
    return f"![{alt}](made/{name}.svg){{ .made }}", {f"{name}.svg": svg(figure).encode()}


def commands() -> Made:
    """The help of every command; the keys, which most share, once."""
    os.environ["COLUMNS"] = str(HELP_WIDTH)  # argparse asks it for the width of a terminal
    parsers = _commands_of(make_parser())
    parts = []
    for name, parser in parsers.items():
        text = parser.format_help()
        if name in hydra.COMMANDS:
            text += "\n  KEY=VALUE: the keys stand below\n"
        parts.append(f"## {name}\n\n```text\n{text}```")
        for corpus, own in _commands_of(parser).items() if name == "prepare" else ():
            parts.append(f"### prepare {corpus}\n\n```text\n{own.format_help()}```")
    keys = f"## Keys\n\n```text\n{describe_keys([])}```"
    return "\n\n".join([*parts, keys]), {}


def _commands_of(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}


MAKERS: dict[str, Callable[[], Made]] = {
    maker.__name__: maker for maker in (corners, views, network, gallery, commands)
}
