"""The image corpora `audioinv download` and `audioinv prepare` know: every module of this folder
that has a NAME."""

from __future__ import annotations

from audioinv.data.corpus import find_corpora

CORPORA = find_corpora(__name__)
