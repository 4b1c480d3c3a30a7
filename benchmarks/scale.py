"""python -m benchmarks.scale [--out docs/scale.md]: how time and memory grow, and with what.

Every point runs in a process of its own, on sounds that are made on the fly: a pack of any size
takes no disk. The encoder is a narrow ResNet-10 with random weights: what it costs is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from audioinv.audio.modality import AUDIO
from audioinv.base.files import write_text
from audioinv.base.randomness import seeded
from audioinv.core.backbone import build_backbone
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.fitting import batches_at
from audioinv.data.manifest import Corpus
from audioinv.data.media import Samples
from audioinv.data.pack import Pack
from audioinv.data.task import Task
from audioinv.tasks.clips import TaskFeatures
from audioinv.tasks.learn import Learnt, learn_task
from audioinv.tasks.protocols import Context
from audioinv.tasks.protocols.linear import row
from audioinv.tasks.settings.adapt import AdaptConfig
from audioinv.tasks.settings.features import FeatureConfig
from benchmarks.machine import describe
from benchmarks.measure import Setup

RATE, CLASSES = 8000, 8
BEGIN, END = "<!-- growth: made by python -m benchmarks.scale -->", "<!-- growth ends -->"
MB = 1 << 20


@dataclass(frozen=True)
class Point:
    """What is done, and how large it is.

    Args:
        what: adapt, evaluate, embed or statistics. mode: of adapt.
        clips, seconds: of the pack. labelled: of its clips, a fifth of them for testing.
        K: components. labels: 0 for a task of eight classes, else tags.
    """

    what: str
    clips: int = 2000
    seconds: int = 1
    labelled: int = 2000
    K: int = 7
    labels: int = 0
    mode: str = "soft"
    memory_gb: float = 4.0


ADAPT, EMBED = Point("adapt"), Point("embed")
TAGS = Point("adapt", clips=4000, labelled=4000, mode="fixed:all")
TABLES: dict[str, list[Point]] = {
    "clips, statistics": [Point("statistics", clips=n) for n in (1000, 10_000, 100_000)],
    "clips, embed": [replace(EMBED, clips=n, memory_gb=0.01) for n in (1000, 10_000, 100_000)],
    "labelled clips, adapt (soft)": [
        replace(ADAPT, clips=n, labelled=n) for n in (1000, 3000, 10_000)
    ],
    "labelled clips, evaluate": [
        Point("evaluate", clips=n, labelled=n, mode="fixed:all") for n in (1000, 10_000, 30_000)
    ],
    "components K, adapt (search)": [replace(ADAPT, K=k, mode="search") for k in (3, 5, 7, 8, 10)],
    "components K, adapt (soft)": [replace(ADAPT, K=k) for k in (3, 5, 7, 8, 10)],
    "tags, adapt (fixed:all)": [replace(TAGS, labels=m) for m in (2, 32, 527)],
    "tags, evaluate": [replace(TAGS, what="evaluate", labels=m) for m in (2, 32, 527)],
    "seconds a clip, embed every second": [
        replace(EMBED, clips=n, seconds=s) for n, s in ((6000, 1), (600, 10), (100, 60), (10, 600))
    ],
    "rows of an AudioSet-like pack, embed": [
        replace(EMBED, clips=n, labels=527, labelled=1000, memory_gb=0.01)
        for n in (5000, 20_000, 80_000)
    ],
    "rows of an AudioSet-like pack, adapt (soft) on 1,000 of them": [
        Point("adapt", clips=n, labels=527, labelled=1000, memory_gb=0.01)
        for n in (5000, 20_000, 80_000, 2_000_000)
    ],
}


@dataclass(frozen=True)
class Sounding(Pack):
    """A pack whose clips are made when they are asked for: one of eight tones, in noise."""

    def samples(self, index: int) -> Samples:
        """Clip `index`."""
        n = int(self.frame["n_samples"].to_numpy()[index])
        noise = np.random.default_rng(index).integers(-3000, 3000, min(n, RATE), dtype=np.int16)
        tone = 9000 * np.sin(np.arange(len(noise)) * (0.2 + 0.15 * (index % CLASSES)))
        return np.resize(noise + tone.astype(np.int16), n)


def pack_of(point: Point) -> Pack:
    """Its frame alone lies in memory."""
    n, k = point.clips, np.arange(point.clips)
    known = np.where(k % 5 == 0, "test", np.where(k % 5 == 1, "valid", "train"))
    columns = {"id": k.astype(str), "n_samples": point.seconds * RATE}
    columns["split"] = np.where(k < point.labelled, known, "none")
    columns["tone"] = (k % CLASSES).astype(str)
    kind = "classification"
    if point.labels:
        drawn = np.random.default_rng(0).integers(0, point.labels, (min(n, point.labelled), 2))
        said = [f"t{a:03d};t{b:03d}" for a, b in drawn]
        columns["tone"] = said + [""] * (n - len(said))
        kind = "multilabel"
    task = Task("tone", "tone", kind)
    corpus = Corpus("synthetic", "Tones", "", "none", "", RATE, (task,), "audio")
    return Sounding(Path(), pd.DataFrame(columns), RATE, corpus, "", {})


def encoder_of(point: Point) -> AmortisedEncoder:
    """Of one window of a second."""
    front: Any = AUDIO.frontend("log_mel", sample_rate=RATE, clip_s=1.0, n_bins=64)
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 8}
    with seeded(0, "scale"):
        network = build_backbone("resnet18", front.output_size, width=0.25, options=options)
        space = DescriptorSpace.single([f"a{k}" for k in range(point.K)])
        encoder = AmortisedEncoder(front, network, "norm", space)
    encoder.keep_running_statistics()
    return encoder.eval().requires_grad_(False)


def work_of(point: Point) -> Callable[[], object]:
    """What is measured; what it needs is ready."""
    pack, encoder = pack_of(point), encoder_of(point)
    if point.what == "statistics":
        return lambda: encoder.frontend.fit_statistics(
            batches_at(range(len(pack)), pack, encoder.frontend)
        )
    hop = 1.0 if point.seconds > 1 else 0.0
    features = TaskFeatures(encoder, pack, FeatureConfig(hop_s=hop, memory_gb=point.memory_gb))
    task = pack.corpus.tasks[0]
    if point.what == "embed":
        return lambda: features.of(task)[0](encoder.space.all_on())
    if point.what == "adapt":
        return lambda: learn_task(features, task, point.mode, AdaptConfig())
    learnt: Learnt = learn_task(features, task, point.mode, AdaptConfig())
    context = Context(features, [task], [point.mode], lambda *_: learnt, AdaptConfig())
    return lambda: row(context, task, learnt)


def measured(point: Point) -> dict[str, Any]:
    """Seconds of the processor, and how much more memory was resident at the highest."""
    torch.set_num_threads(1)
    work = work_of(point)
    work_of(replace(point, clips=300, labelled=300, labels=min(point.labels, 2), seconds=1, K=3))()
    with watched() as highest:
        began, before = time.process_time(), highest[0]
        work()
        seconds = time.process_time() - began
    return {"seconds": seconds, "mb": (highest[0] - before) / MB}


@contextmanager
def watched() -> Iterator[list[int]]:
    """The most memory that was resident, in bytes, looked at 100 times a second."""
    highest, done = [resident()], threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            highest[0] = max(highest[0], resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield highest
    done.set()
    thread.join()


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def in_own_process(point: Point, limit_s: float) -> dict[str, Any] | None:
    """`measured` there; None where it takes longer than the limit."""
    command = [sys.executable, "-m", "benchmarks.scale", "--point", json.dumps(asdict(point))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(name: str, points: list[Point], limit_s: float) -> str:
    """A Markdown table of one thing that grows."""
    axis = {"clips": "clips", "label": "clips", "compo": "K", "tags,": "labels", "rows ": "clips"}
    key = axis.get(name[:5], "seconds")
    lines = [f"| {name} | processor, s | memory above the start, MB |", "| ---: | ---: | ---: |"]
    for point in points:
        found = in_own_process(point, limit_s)
        told = (
            f"{found['seconds']:.1f} | {found['mb']:.0f}"
            if found
            else f"over {limit_s:.0f} s of time | "
        )
        size = f"{getattr(point, key):,}"
        size += f" ({point.clips:,} clips)" if key == "seconds" else ""
        lines.append(f"| {size} | {told} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> int:
    """Measures, prints, and puts the tables into a page between two marks."""
    options = parser().parse_args()
    if options.point:
        print(json.dumps(measured(Point(**json.loads(options.point)))))
        return 0
    chosen = {name: points for name, points in TABLES.items() if options.only in name}
    tables = [table(name, points, options.limit_s) for name, points in chosen.items()]
    about = describe(Setup())
    head = f"{about['hardware']}, one thread, {date.today().isoformat()}; the machine was shared."
    if options.out:
        page = options.out.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        text = "\n\n".join([BEGIN, head, *tables, END])
        write_text(options.out, f"{before}{text}{after}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    made.add_argument("--out", type=Path, help="page to put the tables into, such as docs/scale.md")
    made.add_argument("--only", default="", help="tables whose name has this text")
    made.add_argument("--limit_s", type=float, default=300, help="seconds for a point")
    made.add_argument("--point", default="", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
