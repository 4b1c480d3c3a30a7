"""Damaged images, and what reads them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from audioinv.base.errors import UserError
from tests.faults.damage import Case, damaged
from vision.io import probe, read


def of_images(folder: Path) -> Case:
    image = Image.fromarray((np.arange(12 * 10 * 3) % 251).astype(np.uint8).reshape(12, 10, 3))
    whole = {}
    for name in ("a.png", "b.jpg", "c.bmp", "d.gif", "e.tiff", "f.webp", "g.ppm"):
        image.save(folder / name)
        whole[name] = (folder / name).read_bytes()
    cases = st.sampled_from(sorted(whole)).flatmap(
        lambda name: st.tuples(st.just(name), damaged(whole[name]))
    )

    def run(case: tuple[str, bytes]) -> None:
        (folder / case[0]).write_bytes(case[1])
        for function in (probe, read):
            with contextlib.suppress(UserError):
                function(folder / case[0])

    return cases, run
