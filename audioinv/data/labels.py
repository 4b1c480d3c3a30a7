"""Labels as people write them, brought to one form.

Blanks around a label are no part of it, and é is é whether written as one sign or as two.
"""

from __future__ import annotations

import re
from unicodedata import normalize

import numpy as np

from audioinv.data.later import pandas as pd
from audioinv.data.table import as_text

SEPARATOR = ";"
# A list as Python, JSON or numpy writes it; [laughter] is a label like others.
_LIST = re.compile(r"""[\[({]\s*(['"].*['"]\s*,?)?\s*[\])}]|\[[^\[]*,[^\]]*\]""", re.S)


def clean(text: str) -> str:
    """A label without blanks around it, its signs composed."""
    return normalize("NFC", text).strip().strip("\ufeff\u200b").strip()


def several(text: str) -> list[str]:
    """The labels of a clip of a multilabel task, each once, from "a;b"."""
    return list(dict.fromkeys(filter(None, map(clean, text.split(SEPARATOR)))))


def is_list(text: str) -> bool:
    """Whether a label is a list that some program wrote, such as "['a', 'b']"."""
    return _LIST.fullmatch(text.strip()) is not None


def label_texts(column: pd.Series, many: bool = False) -> pd.Series:
    """A column of labels in one form, "" where there is none; `many` are joined by ";".

    The rows are numbered 0..n-1.
    """
    if column.dtype != "str":
        column = as_text(column.to_frame("label"))["label"]
    codes, texts = pd.factorize(column.fillna(""))  # few labels are of many rows
    forms = [SEPARATOR.join(several(text)) if many else clean(text) for text in texts]
    return pd.Series(np.array(forms, object)[codes], dtype="str")
