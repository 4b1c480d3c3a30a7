"""Model cards: what an encoder is, was made of and is good for, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from audioinv.base.files import read_json

USE = """\
```python
import audioinv as ai

encoder = ai.load_encoder("{name}")
features = encoder.embed("recordings/", "{descriptor}")
```

`{descriptor}` asks for features that are sensitive to {component} and invariant to the rest; `all`
for invariance to everything. A task learns its own from a few labels: `ai.adapt(encoder, x, y)`.
Loading runs no code and unpickles nothing.
"""
INTENDED = """\
Frozen features for small models on top, of clips like those that it was trained on: tasks with few
labels that differ in what they must ignore. Search by similarity, whatever a component changes.
"""
LIMITS = """\
- Invariances are learnt, not guaranteed: the measured gaps say how far the descriptor acts.
- The descriptor governs the listed components alone.
- Nothing is known of clips unlike those of training; compare with a spectrum first.
- It is no means to identify or judge people.
"""


def encoder_card(
    folder: str | Path, name: str, licence: str, sections: Sequence[tuple[str, str]] = ()
) -> str:
    """The card of an encoder in a folder.

    Args:
        name: OWNER/NAME. licence: of the weights, as the hub has it, such as apache-2.0.
        sections: further heads and texts, before what it is intended for.
    """
    described = read_json(Path(folder) / "encoder.json")
    component = next(iter(described["space"]["groups"]))
    use = USE.format(name=name, descriptor=f"-{component}", component=component.replace("_", " "))
    parts = [("What it is", _about(described, _tensors(Path(folder)))), ("Use", use)]
    parts += [("Components", _components(described)), *sections]
    parts += [("Intended use", INTENDED), ("Limits", LIMITS)]
    body = "\n".join(f"## {head}\n\n{text.strip()}\n" for head, text in parts)
    return f"{_front(described, licence)}\n# {name}\n\n{body}"


def _front(described: Mapping[str, Any], licence: str) -> str:
    tags = ["audioinv", "self-supervised", "invariance", described.get("modality") or "audio"]
    lines = [f"license: {licence}", "library_name: audioinv", "pipeline_tag: feature-extraction"]
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---", ""])


def _tensors(folder: Path) -> tuple[int, int]:
    """Numbers in all tensors, and corners whose statistics are stored."""
    with safe_open(folder / "encoder.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    count = 0
    for shape in shapes.values():
        numbers = 1
        for size in shape:
            numbers *= size
        count += numbers
    return count, shapes.get("statistics.corners", [0])[0]


def _about(described: Mapping[str, Any], tensors: tuple[int, int]) -> str:
    front, network, size = described["frontend"], described["backbone"], len(_groups(described))
    numbers, corners = tensors
    stored = f"Normalisation statistics of {corners} corners of the descriptor are stored."
    sizes = {key: front[key] for key in ("sample_rate", "clip_s", "size") if key in front}
    told = ", ".join(f"{key} {value}" for key, value in sizes.items())
    return (
        f"One network, {network['name']} on {front['name']} ({told}), conditioned by "
        f"{described['conditioning']['name']} on a descriptor of {size} components in [0, 1]: 1 "
        f"asks for invariance, 0 for sensitivity. {numbers:,} numbers in all. "
        f"{stored if corners else 'It keeps no normalisation statistics.'}"
    )


def _groups(described: Mapping[str, Any]) -> dict[str, list[str]]:
    return dict(described["space"]["groups"])


def _components(described: Mapping[str, Any]) -> str:
    groups = _groups(described).items()
    return "\n".join(f"- `{name}`: {', '.join(members)}" for name, members in groups)
