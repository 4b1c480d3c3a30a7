"""The corpora `audioinv download` and `audioinv prepare` know: every module of this folder that has
a NAME, so that a new corpus is a new file."""

from __future__ import annotations

from audioinv.data.corpus import find_corpora

CORPORA = find_corpora(__name__)
