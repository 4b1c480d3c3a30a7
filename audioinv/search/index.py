"""Clips that are like one another under a descriptor.

    index = ai.index("packs/gm_notes", "exp/mine/amortised_s0/encoder", "index")
    index.similar("flute.wav", ignore=["pitch_shift"], heed=["white_noise"], k=10)

There is one usearch index a corner in use: at a corner the encoder is a plain network, and nearness
is a cosine there. Re-ranking by stored features would have to find candidates at some one corner
first, and those of another are not among them. A corner that was not made yet is made when it is
first asked for, and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor
from usearch import index as usearch

from audioinv.base.checked import checked
from audioinv.base.errors import UserError
from audioinv.base.files import (
    ENCODER_FILES,
    atomic_path,
    key_of,
    read_json,
    remove_abandoned,
    write_json,
)
from audioinv.base.lock import locked
from audioinv.base.near import meant, unknown
from audioinv.base.tensors import save_tensors
from audioinv.core.backbone import LAYERS
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.hub import encoder_folder
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack, open_pack
from audioinv.data.task import Task
from audioinv.search.folder import pack_of
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.given import frozen
from audioinv.tasks.settings.features import FeatureConfig
from audioinv.tasks.standard import moments

FORMAT = "audioinv-index-v1"
EXACT = 20_000  # clips up to which every one is compared; above, usearch's graph is followed
ADDED = 4096  # clips that are added at a time


@dataclass(frozen=True)
class Corner:
    """The clips at one corner.

    Args:
        found: usearch's index of unit vectors. mean, std: (d,), by which features become them.
    """

    found: Any
    mean: Tensor
    std: Tensor

    def unit(self, features: Tensor) -> NDArray[np.float32]:
        """Features (n, d) as vectors of length one, standardised as `protocol=knn` does."""
        standard = (features - self.mean) / self.std
        return torch.nn.functional.normalize(standard, dim=1).numpy()

    def vectors(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """The vectors (n, d) of the clips at some rows."""
        return np.asarray(self.found.get(np.asarray(rows, np.uint64), np.float32), np.float32)

    def nearest(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows (n, k) of the nearest clips to vectors (n, d), the nearest first, and cosines."""
        exact = len(self.found) <= EXACT
        near = self.found.search(vectors, min(k, len(self.found)), threads=1, exact=exact)
        keys, distances = np.atleast_2d(near.keys), np.atleast_2d(near.distances)
        return keys.astype(int), 1 - distances


@dataclass(frozen=True)
class Index:
    """A pack's clips as one encoder sees them; `index` makes it, `open_index` opens it.

        index = ai.index("packs/fsdd", "exp/fsdd/encoder")
        index.similar(["0"], heed=["pitch_shift"], k=5)  # a table, the nearest first

    Args:
        folder: of its files. pack, encoder: what it is of.
        levels: of the network that are compared.
    """

    folder: Path
    pack: Pack
    encoder: AmortisedEncoder
    levels: str = "last"
    _open: dict[str, Corner] = field(default_factory=dict, repr=False)

    @property
    def space(self) -> DescriptorSpace:
        """The components that can be ignored or heeded."""
        return self.encoder.space

    def corner(self, ignore: Collection[str] = (), heed: Collection[str] = ()) -> Tensor:
        """The corner (K,) that ignores all components but those to heed.

        Raises:
            UserError: an unknown component, or one that is to be both ignored and heeded.
        """
        self.space.corner([*ignore, *heed])
        if both := sorted(set(ignore) & set(heed)):
            raise UserError(f"{', '.join(both)} is to be ignored and heeded; give one of the two")
        return self.space.corner([name for name in self.space.names if name not in heed])

    def row(self, clip: str) -> int:
        """The row of a clip by its id.

        Raises:
            UserError: there is none.
        """
        (found,) = np.nonzero((self.pack.frame["id"].astype(str) == clip).to_numpy())
        if not len(found):
            near = meant(clip, self.pack.frame["id"].astype(str))
            raise UserError(
                f"{clip} is no file, and no clip of {self.pack.directory}; give one of them{near}"
            )
        return int(found[0])

    def similar(
        self, x: Any, ignore: Collection[str] = (), heed: Collection[str] = (), k: int = 10
    ) -> pd.DataFrame:
        """The clips that are most like those given: a row a neighbour, the nearest first.

        Args:
            x: as of `Encoder.embed`, or ids of clips of the pack, which are no neighbours of their
                own. ignore, heed: names of components; one that is in neither is ignored.

        Returns:
            columns query, rank (from 1), similarity (a cosine), and those of the manifest.

        Raises:
            UserError: an unknown component, a k below 1, or what cannot be read.
        """
        if k < 1:
            raise UserError(f"k is {k}; give 1 or more neighbours")
        corner = self.corner(ignore, heed)
        names, own = self._own(x)
        if own is None:
            names, vectors = self._embedded(x, corner)
            rows, cosines = self.at(corner).nearest(vectors, k)
        else:
            rows, cosines = self.neighbours(corner, own, k)
        return self._told(names, rows, cosines)

    def neighbours(
        self, corner: Tensor, rows: Sequence[int], k: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows (n, k) of the clips nearest to those at some rows, themselves left out; cosines."""
        at = self.at(corner)
        near, cosines = at.nearest(at.vectors(rows), k + 1)
        other = near != np.asarray(rows)[:, None]
        other[other.all(1), -1] = False  # the clip itself was not found: its last neighbour goes
        width = near.shape[1] - 1
        return near[other].reshape(-1, width), cosines[other].reshape(-1, width)

    def at(self, corner: Tensor) -> Corner:
        """The clips at a corner (K,), made if it is the first to ask for it.

        Raises:
            UserError: its files are damaged, or another process makes the index just now.
        """
        return self.make([corner])[0]

    def make(self, corners: Sequence[Tensor]) -> list[Corner]:
        """`at` of several corners; what is missing is made in one pass over the clips."""
        names = [name_of(corner) for corner in corners]
        missing = {
            name: corner
            for name, corner in zip(names, corners, strict=True)
            if name not in self._open and not (self.folder / f"{name}.safetensors").exists()
        }
        if missing:
            with locked(self.folder):
                remove_abandoned(self.folder)
                self._make(missing)
        for name in names:
            if name not in self._open:
                self._open[name] = _read(self.folder, name)
        return [self._open[name] for name in names]

    def _make(self, corners: dict[str, Tensor]) -> None:
        settings = FeatureConfig(layers=self.levels)
        every = Task("every", "id", "classification")
        cache, _ = TaskFeatures(self.encoder, self.pack, settings).of(every)
        cache.prepare(list(corners.values()))
        for name, corner in corners.items():
            _write(self.folder, name, cache(corner))

    def _own(self, x: Any) -> tuple[list[str], list[int] | None]:
        """The rows of clips that are given by their ids; None where files or arrays are given."""
        named = [x] if isinstance(x, str) else x
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            return [], None
        if any(Path(name).exists() for name in named):
            return [], None
        return named, [self.row(name) for name in named]

    def _embedded(self, x: Any, corner: Tensor) -> tuple[list[str], NDArray[np.float32]]:
        """Names of clips, and their vectors (n, d) at a corner."""
        from audioinv.core.embedding import sources_of, stream, together

        sources = sources_of(self.encoder.frontend, x, None, None, False)
        rows = stream(self.encoder, sources, corner, levels=self.levels)
        features = together(rows, sources.names).features
        return list(sources.names), self.at(corner).unit(features)

    def _told(
        self, names: Sequence[str], rows: NDArray[Any], cosines: NDArray[Any]
    ) -> pd.DataFrame:
        n, k = rows.shape
        told = self.pack.frame.iloc[rows.ravel()].reset_index(drop=True)
        told = told.drop(columns=["n_samples"], errors="ignore")
        told.insert(0, "similarity", cosines.ravel().round(4))
        told.insert(0, "rank", np.tile(np.arange(1, k + 1), n))
        told.insert(0, "query", np.repeat(np.array(names, object), k))
        return told


def index(
    pack: Pack | str | Path,
    encoder: str | Path,
    folder: str | Path = "index",
    descriptors: Sequence[str] = ("all",),
    levels: str = "last",
) -> Index:
    """Makes the index of clips under an encoder; what stands finished is kept.

        index = ai.index("packs/fsdd", "exp/fsdd/encoder")

    Args:
        pack: or a folder of files, of which a pack is made inside the index.
        encoder: folder or name of it ("audioinv/notes-and-noises"). folder: where the index goes.
        descriptors: whose corners are made now: "all", "none", "a+b" or "-a"; another one is made
            when it is first asked for.
        levels: of the network that are compared: last, all or depth.

    Raises:
        UserError: an unknown component or level, an encoder and a pack that do not go together, or
            a folder that holds the index of others.
    """
    if levels not in LAYERS:
        raise unknown("levels", levels, LAYERS)
    folder, encoder = Path(folder), encoder_folder(encoder)
    loaded = frozen(encoder)
    opened = pack_of(pack, loaded, folder)
    described = {
        "format": FORMAT,
        "pack": str(opened.directory.absolute()),
        "pack_key": opened.content_key,
        "encoder": str(Path(encoder).absolute()),
        "encoder_key": key_of(encoder, ENCODER_FILES),
        "levels": levels,
    }
    if not (folder / "index.json").exists():
        _check(loaded, opened)
        made = Index(folder, opened, loaded, levels)
        write_json(folder / "index.json", described)
    else:
        made = open_index(folder)
        _refuse_others(folder, read_json(folder / "index.json"), described)
    made.make([made.space.of(text) for text in descriptors])
    return made


def open_index(folder: str | Path = "index") -> Index:
    """Opens an index that `audioinv index` or `ai.index` made.

        ai.index("packs/fsdd", "exp/fsdd/encoder", "neighbours")
        index = ai.open_index("neighbours")

    Raises:
        UserError: there is none, or its pack or encoder is gone or another one now.
    """
    folder = Path(folder)
    if not (folder / "index.json").is_file():
        raise UserError(f"{folder} is no index; make it: audioinv index PACK --encoder E")
    text = dict.fromkeys(("format", "pack", "pack_key", "encoder", "encoder_key", "levels"), str)
    told = checked(read_json(folder / "index.json"), f"an index that {folder} describes", **text)
    if told["format"] != FORMAT or told["levels"] not in LAYERS:
        raise UserError(f"{folder} is not of format {FORMAT}; remove it and index again")
    if key_of(told["encoder"], ENCODER_FILES) != told["encoder_key"]:
        raise UserError(f"{folder} is of another encoder than {told['encoder']}; {AGAIN}")
    pack = open_pack(told["pack"])
    if pack.content_key != told["pack_key"]:
        raise UserError(f"{folder} is of another pack than {told['pack']} is now; {AGAIN}")
    encoder = frozen(told["encoder"])
    _check(encoder, pack)
    return Index(folder, pack, encoder, told["levels"])


AGAIN = "remove it and index again"


def _refuse_others(folder: Path, told: dict[str, Any], wanted: dict[str, Any]) -> None:
    for what, key in (("pack", "pack_key"), ("encoder", "encoder_key"), ("levels", "levels")):
        if told[key] != wanted[key]:
            raise UserError(
                f"{folder} is the index of another {what}, {told[what]}; {AGAIN}, or give another "
                "folder"
            )


def _check(encoder: AmortisedEncoder, pack: Pack) -> None:
    """Refuses an encoder that is not one for the clips of a pack."""
    modality_of(pack.corpus.modality).check(pack, encoder.frontend)


def name_of(corner: Tensor) -> str:
    """A digit a component, 1 for what is ignored: the name of its files, whatever components are
    called."""
    return "".join(str(round(value)) for value in corner.tolist())


def _write(folder: Path, name: str, features: Tensor) -> None:
    """One corner's files; the second is written last and knows the first by its hash."""
    mean, std = moments(features) if len(features) > 1 else (features[0] * 0, features[0] * 0 + 1)
    made = Corner(usearch.Index(ndim=len(mean), metric="ip", dtype="f16"), mean, std)
    for start in range(0, len(features), ADDED):
        part = made.unit(features[start : start + ADDED])
        keys = np.arange(start, start + len(part), dtype=np.uint64)
        made.found.add(keys, part, threads=1)  # one thread: the same files each time
    with atomic_path(folder / f"{name}.usearch") as temporary:
        made.found.save(str(temporary))
    digest = {"sha256": _digest(folder / f"{name}.usearch")}
    save_tensors(folder / f"{name}.safetensors", {"mean": mean, "std": std}, digest)


def _read(folder: Path, name: str) -> Corner:
    """One corner's files.

    Raises:
        UserError: they are damaged.
    """
    path = folder / f"{name}.usearch"
    try:
        with safe_open(folder / f"{name}.safetensors", "pt") as file:
            mean, std = file.get_tensor("mean"), file.get_tensor("std")
            if (file.metadata() or {}).get("sha256") != _digest(path):
                raise UserError(f"{path} is damaged; {AGAIN}")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder}/{name} is damaged ({error}); {AGAIN}") from error
    return Corner(usearch.Index.restore(str(path)), mean, std)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
