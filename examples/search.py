"""How often a clip's neighbours share its labels while one component is ignored, and while heeded.

    audioinv index packs/gm_notes --encoder exp/gm_notes/amortised_s0/encoder
    python examples/search.py index pitch_shift program note

Queries are drawn from the test clips where there is such a split; all other clips are searched.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pandas as pd

import audioinv as ai

QUERIES, NEIGHBOURS = 100, 10


def rates(found: pd.DataFrame, frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Of all neighbours that were found, how many share a label with their query."""
    asked = frame.set_index("id").loc[found["query"]]
    return {c: float((found[c].to_numpy() == asked[c].to_numpy()).mean()) for c in columns}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("component", help="ignored in one row, heeded in the other")
    parser.add_argument("columns", nargs="+", help="labels that may be shared")
    parser.add_argument("--heed", nargs="*", default=[], help="components to heed in both rows")
    options = parser.parse_args()
    index = ai.open_index(options.index)
    frame = index.pack.frame
    split = frame[frame["split"] == "test"] if "split" in frame else frame
    queries = split.sample(min(QUERIES, len(split)), random_state=0)["id"].tolist()
    table = {
        f"{options.component} {how}": rates(
            index.similar(queries, heed=[*options.heed, *heed], k=NEIGHBOURS),
            frame,
            options.columns,
        )
        for how, heed in (("ignored", []), ("heeded", [options.component]))
    }
    chance = {c: float((frame[c].value_counts(normalize=True) ** 2).sum()) for c in options.columns}
    print(pd.DataFrame({**table, "chance": chance}).T.round(3).to_string())


if __name__ == "__main__":
    main()
