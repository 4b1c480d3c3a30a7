"""Random numbers keyed by what they are for, never by what was drawn before.

A draw depends only on (seed, purpose, step, index, ...). So a resumed run, another number of
workers or an extra draw elsewhere changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed from a seed and a key, by SHA-256 of their text."""
    text = "\x1f".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *key: str | int) -> torch.Generator:
    """A CPU generator for one purpose, for example `generator(0, "views", step)`."""
    return torch.Generator().manual_seed(derive_seed(seed, *key))


@contextmanager
def seeded(seed: int, *key: str | int) -> Iterator[None]:
    """Runs library code that draws from torch's global state (initialisers) under a keyed seed.

    The global state is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *key))
        yield
