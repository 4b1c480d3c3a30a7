"""What the page of `audioinv explore` shows: clips, their neighbours and their places at a corner.

A corner's map is a t-SNE of its vectors. All maps start from that of the first corner, so that what
moves when a switch is thrown moves for the descriptor's sake.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by
from audioinv.base.progress import shown
from audioinv.data.modality import Shown, modality_of
from audioinv.data.rows import sample_rows
from audioinv.data.sources import Read
from audioinv.search.index import Index, name_of

K = 10  # neighbours
SWITCHES = 4  # at most: every corner of theirs is made
LANDMARKS = 600  # clips that t-SNE places; the others stand among their neighbours
SIDE = 1000  # places are whole numbers from 0 to this
MOST_VALUES, MOST_COLUMNS = 400, 8  # of a column of labels; of those that are told


@dataclass(frozen=True)
class Explorer:
    """Clips of an index, and what a page tells of them.

    Args:
        index: that is searched. rows: its clips that are on the page, ascending.
        switches: components that can be thrown; all others stay as `start` has them.
        start: the corner (K,) at which the page opens.
    """

    index: Index
    rows: list[int]
    switches: tuple[str, ...]
    start: Tensor

    @cached_property
    def corners(self) -> dict[str, Tensor]:
        """Name -> corner (K,), of all that the switches lead to; the first is where it opens."""
        places = [self.index.space.names.index(name) for name in self.switches]
        found = {name_of(self.start): self.start}
        for values in itertools.product((1.0, 0.0), repeat=len(places)):
            corner = self.start.clone()
            corner[places] = torch.tensor(values)
            found.setdefault(name_of(corner), corner)
        return found

    @cached_property
    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """Name of a corner -> vectors (n, d) of the clips on the page."""
        made = self.index.make(list(self.corners.values()))
        return {
            name: corner.vectors(self.rows) for name, corner in zip(self.corners, made, strict=True)
        }

    @cached_property
    def near(self) -> dict[str, NDArray[Any]]:
        """Name of a corner -> the K nearest of the clips on the page to each, (n, K) places in
        `rows`."""
        return {name: _nearest(v, v, itself=False) for name, v in self.vectors.items()}

    @cached_property
    def maps(self) -> dict[str, NDArray[Any]]:
        """Name of a corner -> where the clips stand, (n, 2) whole numbers from 0 to SIDE."""
        made: dict[str, NDArray[Any]] = {}
        for name in shown(list(self.corners), "maps", "corners"):
            first = next(iter(made.values()), None)
            made[name] = _map(self.vectors[name], first)
        return made

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """Column -> the value of each clip, of the first columns that put clips into groups."""
        own = {"id", "path", "n_samples", "split", "fold", *self._own_columns}
        frame = self.index.pack.frame.iloc[self.rows]
        texts = {str(name): frame[name].astype(str).tolist() for name in frame if name not in own}
        told = {
            name: values
            for name, values in texts.items()
            if 1 < len(set(values)) <= min(MOST_VALUES, max(len(values) - 1, 2))
        }
        return dict(itertools.islice(told.items(), MOST_COLUMNS))

    @property
    def seconds(self) -> list[float]:
        """How long each clip is, where its modality has durations; else nothing."""
        frame = self.index.pack.frame.iloc[self.rows]
        return frame["duration"].round(2).tolist() if "duration" in self._own_columns else []

    @property
    def _own_columns(self) -> tuple[str, ...]:
        return modality_of(self.index.pack.corpus.modality).columns

    def show(self, place: int) -> Shown:
        """The clip at a place in `rows`, to be seen and heard."""
        return self._shown(self.index.pack.samples(self.rows[place]))

    def ask(self, path: Path) -> tuple[Shown, dict[str, list[int]], dict[str, list[int]]]:
        """A stranger's file: itself, its neighbours at each corner, and where it stands.

        Raises:
            UserError: it cannot be read.
        """
        pack = self.index.pack
        modality = modality_of(pack.corpus.modality)
        samples = modality.read_stranger(path, pack.size)
        near, place = {}, {}
        for name, vector in self._embedded(samples).items():
            (near[name],) = _nearest(vector, self.vectors[name], itself=True).tolist()
            place[name] = self.maps[name][near[name][:3]].mean(0).round().astype(int).tolist()
        return self._shown(samples), near, place

    def _embedded(self, samples: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Name of a corner -> the vector (1, d) of a clip's samples (n,)."""
        encoder, levels = self.index.encoder, self.index.levels
        windows = modality_of(self.index.pack.corpus.modality).windows
        read: Any = Read([samples], self.index.pack.size)
        x = torch.cat([part for part, _ in windows(encoder.frontend, read)])
        with torch.no_grad():
            maps = encoder.frontend(x)
            return {
                name: self.index.at(corner).unit(
                    encoder.bound(corner)(maps, levels).mean(0, keepdim=True)
                )
                for name, corner in self.corners.items()
            }

    def _shown(self, samples: NDArray[Any]) -> Shown:
        modality = modality_of(self.index.pack.corpus.modality)
        return modality.show(self.index.encoder.frontend, samples)


def explorer(
    index: Index,
    clips: int,
    ignore: Sequence[str] = (),
    heed: Sequence[str] = (),
    switches: Sequence[str] = (),
    query: str = "",
) -> Explorer:
    """What a page shows of an index.

    Args:
        clips: at most so many are on it, drawn at random. ignore, heed: as of `Index.similar`, when
            it opens. switches: components that can be thrown; none means all.
        query: id of a clip that is to be among them.

    Raises:
        UserError: an unknown component, more than SWITCHES of them, or too few clips.
    """
    names = index.space.names
    index.space.corner(switches)
    chosen = tuple(name for name in names if name in switches) or names
    if len(chosen) > SWITCHES:
        raise UserError(
            f"there are {len(chosen)} components, {', '.join(chosen)}, and a page has at most "
            f"{SWITCHES} switches; choose by --switch NAME, which may be given several times"
            f"{meant_by(switches, names)}"
        )
    if min(clips, len(index.pack)) <= K:
        raise UserError(f"a page needs more than {K} clips; give --clips and a pack of more")
    rows = sample_rows(range(len(index.pack)), clips, 0, "explore")
    if query and index.row(query) not in rows:
        rows[-1] = index.row(query)
    return Explorer(index, sorted(rows), chosen, index.corner(ignore, heed))


def _nearest(
    vectors: NDArray[np.float32], among: NDArray[np.float32], itself: bool
) -> NDArray[Any]:
    """The K nearest (m, K) of `among` (n, d) to vectors (m, d), the nearest first.

    Args:
        itself: a vector may be a neighbour of its own; False where `vectors` are `among`.
    """
    parts = []
    for start in range(0, len(vectors), 1024):
        cosines = vectors[start : start + 1024] @ among.T
        if not itself:
            own = np.arange(len(cosines))
            cosines[own, start + own] = -2
        parts.append(torch.from_numpy(cosines).topk(K).indices.numpy())
    return np.concatenate(parts)


def _map(vectors: NDArray[np.float32], first: NDArray[Any] | None) -> NDArray[Any]:
    """Places (n, 2) of vectors (n, d), near those of a first map (n, 2) if there is one."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.neighbors import KNeighborsRegressor

    few = PCA(min(30, *vectors.shape), random_state=0).fit_transform(vectors)
    chosen = np.linspace(0, len(few) - 1, min(len(few), LANDMARKS)).astype(int)
    begin = few[:, :2] if first is None else first - SIDE / 2
    begin = 1e-4 * begin[chosen] / max(begin[chosen].std(), 1e-9)
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init=begin, max_iter=500, random_state=0)
    placed = tsne.fit_transform(few[chosen])
    among = KNeighborsRegressor(min(3, len(chosen)), weights="distance").fit(few[chosen], placed)
    places = among.predict(few)
    low, high = places.min(0), places.max(0)
    return ((places - low) / np.maximum(high - low, 1e-9) * SIDE).round().astype(int)
