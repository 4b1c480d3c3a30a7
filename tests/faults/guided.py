"""Fuzzing guided by coverage: Atheris keeps what reaches new branches of ours, and varies it.

    python -m tests.faults.guided audio FOLDER -runs=2000

FOLDER takes the files, and the number of cases in `cases`; further words are options of libFuzzer.
A failure ends with a traceback, the case, and a status that is not 0.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import atheris
import numpy as np
from hypothesis import HealthCheck, given, settings

from tests.faults.past import remember

with atheris.instrument_imports(include=["audioinv", "vision"], enable_loader_override=False):
    from tests.faults.targets import TARGETS

MOST_BYTES = 4096
MOST_MEGABYTES = 1024  # above what stands when the cases begin


def main(target: str, folder: str, *options: str) -> None:
    """Never returns: libFuzzer ends the process after its last run."""
    files, seeds = Path(folder) / "files", Path(folder) / "seeds"
    for path in (files, seeds):
        path.mkdir()
    # From nothing libFuzzer begins with a few bytes, of which hypothesis makes no case.
    chance = random.Random(target)
    for k in range(64):
        (seeds / str(k)).write_bytes(chance.randbytes(chance.randint(16, MOST_BYTES)))
    strategy, run = TARGETS[target](files)
    done = np.memmap(Path(folder) / "cases", np.int64, "w+", shape=(1,))

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def cases(case: Any) -> None:
        done[0] += 1
        try:
            run(case)
        except Exception:
            remember(target, case)
            raise

    # What libFuzzer limits is a peak, and a process begins with that of its parent.
    limit = getrusage(RUSAGE_SELF).ru_maxrss // 1024 + MOST_MEGABYTES
    words = [f"-max_len={MOST_BYTES}", "-len_control=0", f"-artifact_prefix={folder}/"]
    words += [f"-rss_limit_mb={limit}", *options]
    atheris.Setup([target, *words, str(seeds)], cases.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
