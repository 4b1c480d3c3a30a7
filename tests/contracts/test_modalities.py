"""What every modality owes the house, and how one is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pandas as pd
import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.conf.keys import keys_of
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data import modality as registry
from audioinv.data.modality import (
    Modality,
    Shown,
    build_frontend,
    known_modalities,
    load_encoder,
    media_of,
    modality_of,
    registered,
)
from audioinv.data.rendered import Rendered
from tests.halves import of_images
from tests.modality_series.modality import SERIES

MODALITIES = [*known_modalities(), SERIES]
LOG = {"min_hz": 55.0}
NEEDED = {"log_frequency": LOG, "sonograph": LOG, "spirograph": {"drawing": 2}}
pytestmark = pytest.mark.usefixtures("series_registered")
each = pytest.mark.parametrize("modality", MODALITIES, ids=lambda modality: modality.name)


@each
def test_it_is_found_by_its_name(modality: Modality) -> None:
    assert modality_of(modality.name) is modality is registered(modality.name)
    assert modality.schema().modality == modality.name


@each
def test_its_front_ends_have_its_size(modality: Modality) -> None:
    for name, place in modality.frontends.items():
        made = build_frontend({"name": name, **NEEDED.get(name, {})})
        assert type(made) is resolve_name(place)
        assert modality.size in made.config  # type: ignore[operator]
        assert len(made.output_size) == 3  # type: ignore[arg-type]


@each
def test_every_key_has_a_meaning(modality: Modality) -> None:
    keys = keys_of(modality.schema)
    assert len(keys) > 100
    assert [name for name, key in keys.items() if not key.meaning] == []


@each
def test_its_rules_are_for_its_columns(modality: Modality) -> None:
    assert {rule.column for rule in modality.rules} == set(modality.columns)
    assert modality.whole <= set(modality.columns)
    for rule in modality.rules:
        assert rule.is_bad(pd.Series(["", "x", "nan", "inf", "1"])).tolist() == [True] * 4 + [False]


@each
def test_its_packs_have_one_size_by_its_name(modality: Modality) -> None:
    media = media_of(modality.name, {modality.size: 32})
    assert (media.size, media.unit) == (32, modality.size)
    with pytest.raises(UserError, match=f"give --{modality.size}"):
        media_of(modality.name, {})
    for other in MODALITIES:
        if other.size != modality.size:
            with pytest.raises(UserError, match=f"not --{other.size}"):
                media_of(modality.name, {modality.size: 32, other.size: 32})


@each
def test_a_clip_is_shown(modality: Modality) -> None:
    """By a picture at least, and what sounds by its sound; nothing where it does not say how."""
    size = 8000 if modality.size == "sample_rate" else 32
    name = next(iter(modality.frontends))
    front = modality.frontend(name, **{modality.size: size}, **NEEDED.get(name, {}))
    samples = np.arange(3 * 32 * 32, dtype=modality.media(size).dtype)
    if isinstance(modality, Rendered):
        row = {name: factor.default for name, factor in modality.factors.items()}
        samples = modality.media(size).read(Path(), row)
    shown = modality.show(front, samples)
    if modality is SERIES:
        assert shown == Shown()
        return
    assert shown.picture.startswith(b"\x89PNG")
    assert shown.sound.startswith(b"RIFF") == bool(shown.duration_s) == (size == 8000)


@each
def test_its_corpora_say_what_they_are(modality: Modality) -> None:
    for name, corpus in modality.corpora().items():
        assert name == corpus.NAME
        assert corpus.TITLE and corpus.LICENCE and corpus.ACCESS


def test_modalities_are_listed_without_torch() -> None:
    code = (
        "import sys; from audioinv.data.modality import known_modalities as known;"
        "assert len(known()) >= 2; print(*(m for m in ('torch', 'kornia') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_an_unknown_modality_or_front_end_is_explained() -> None:
    with pytest.raises(UserError, match=r"smell.*audio, image"):
        modality_of("smell")
    with pytest.raises(UserError, match=rf"nose.*{next(iter(MODALITIES[0].frontends))}"):
        build_frontend({"name": "nose"})


@of_images
def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"image.*kornia.*pip install 'audioinv\[vision\]'"):
        modality_of("image")
    assert registered("image").columns  # its manifests can be read all the same


@each
def test_encoders_of_format_1_find_their_modality(modality: Modality, tmp_path: Path) -> None:
    """Such a file does not name it."""
    name = next(iter(modality.frontends))
    frontend = modality.frontend(name, **NEEDED.get(name, {}))
    backbone = {"name": "resnet18", "width": 0.0625, "stem": "cifar", "dim": 4}
    encoder = AmortisedEncoder(frontend, backbone, "norm", DescriptorSpace.single(["a", "b"]))
    encoder.save(tmp_path)
    described = json.loads((tmp_path / "encoder.json").read_text())
    assert described.pop("modality") == modality.name
    (tmp_path / "encoder.json").write_text(json.dumps({**described, "format": 1}))
    loaded, maps = load_encoder(tmp_path), torch.randn(2, *encoder.frontend.output_size)
    assert type(loaded.frontend) is type(frontend) and loaded.frontend.modality == modality.name
    i = torch.tensor([1.0, 0.0])
    assert torch.equal(loaded.run(maps, i), encoder.eval().run(maps, i))
