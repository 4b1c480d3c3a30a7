"""The page of `audioinv explore`: one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import json
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.near import meant
from audioinv.base.progress import shown
from audioinv.data.modality import Shown, modality_of
from audioinv.report.environment import environment
from audioinv.report.figures import words
from audioinv.search.explore import Explorer


def render(explorer: Explorer, query: str = "", served: bool = False) -> str:
    """The whole page as HTML; everything read from files is escaped.

    Args:
        query: id of the clip at which it opens; "" takes the first.
        served: sounds and pictures come from the server that serves the page, and files can be
            dropped; without, they are within it.

    Raises:
        UserError: the query is not on the page.
    """
    pack = explorer.index.pack
    # No "<" within a script: no text can end it.
    data = json.dumps(_data(explorer, query, served), separators=(",", ":"), allow_nan=False)
    return (
        environment("audioinv.search")
        .get_template("explore.html")
        .render(
            title=pack.corpus.name,
            data=data.replace("<", "\\u003c"),
            served=served,
            n_clips=len(explorer.rows),
            n_pack=len(pack),
            sounds=bool(explorer.show(0).sound),
            has_files=bool(modality_of(pack.corpus.modality).endings),
        )
    )


def _data(explorer: Explorer, query: str, served: bool) -> dict[str, Any]:
    space = explorer.index.space
    ids = explorer.index.pack.frame["id"].iloc[explorer.rows].astype(str).tolist()
    if query and query not in ids:
        raise UserError(f"query is '{query}', which is not on the page{meant(query, ids)}")
    return {
        "components": [
            {"name": words(name), "thrown": name in explorer.switches} for name in space.names
        ],
        "start": next(iter(explorer.corners)),
        "query": ids.index(query) if query else 0,
        "ids": ids,
        "labels": [[words(name), values] for name, values in explorer.labels.items()],
        "corners": {
            name: {
                "near": explorer.near[name].tolist(),
                "map": explorer.maps[name].tolist(),
                "trained": bool(corner.sum() >= space.min_active),
            }
            for name, corner in explorer.corners.items()
        },
        "seconds": explorer.seconds,
        "media": None if served else _media(explorer),
    }


def _media(explorer: Explorer) -> list[dict[str, Any]]:
    """What is seen and heard of every clip."""
    return [media_of(explorer.show(place)) for place in shown(range(len(explorer.rows)), "clips")]


def media_of(clip: Shown) -> dict[str, Any]:
    """A clip as URIs, "" for what it has not."""
    kinds = {"picture": ("image/png", clip.picture), "sound": ("audio/wav", clip.sound)}
    told: dict[str, Any] = {
        name: f"data:{kind};base64,{base64.b64encode(data).decode()}" if data else ""
        for name, (kind, data) in kinds.items()
    }
    return {**told, "s": round(clip.duration_s, 2)}
