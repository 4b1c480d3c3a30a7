"""Columns of a manifest beside those of the features: neither takes the other's place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audioinv.commands.feature_files import apart, features_file

FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_column_called_feature_keeps_its_values(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "feature": [1, 2], "feature_0": ["x", "y"]})
    out = tmp_path / f"features{ending}"
    with features_file(out) as write:
        write(apart(frame.assign(start_s=9.0)), FEATURES)
    read = pd.read_parquet(out) if ending == ".parquet" else pd.read_csv(out)
    assert read["manifest_feature"].tolist() == [1, 2]
    assert read["manifest_feature_0"].tolist() == ["x", "y"]
    assert read["manifest_start_s"].tolist() == [9.0, 9.0]
    first = read["feature"].str[0] if ending == ".parquet" else read["feature_0"]
    assert first.tolist() == [0.0, 3.0]
    assert read.columns.is_unique


def test_other_columns_keep_their_names() -> None:
    frame = pd.DataFrame({"id": ["a"], "features": [1], "label": ["x"]})
    assert apart(frame).equals(frame)
