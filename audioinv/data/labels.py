"""Labels as people write them, brought to one form.

Blanks around a label are no part of it, and é is é whether written as one sign or as two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

from audioinv.data.table import as_text

if TYPE_CHECKING:
    import pandas as pd

SEPARATOR = ";"


def clean(text: str) -> str:
    """A label without blanks around it, its signs composed."""
    return normalize("NFC", text).strip().strip("\ufeff\u200b").strip()


def several(text: str) -> list[str]:
    """The labels of a clip of a multilabel task, each once, from "a;b"."""
    return list(dict.fromkeys(filter(None, map(clean, text.split(SEPARATOR)))))


def label_texts(column: pd.Series, many: bool = False) -> pd.Series:
    """A column of labels in one form, "" where there is none; `many` are joined by ";"."""
    texts = as_text(column.to_frame("label"))["label"]
    form = {text: SEPARATOR.join(several(text)) if many else clean(text) for text in texts.unique()}
    return texts.map(form)
