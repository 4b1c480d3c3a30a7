"""The driver of the recipes, run with an `audioinv` that records how it is called."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "recipes" / "TEMPLATE" / "ssl1" / "ssl.sh"

FAKE = r"""#!/usr/bin/env bash
modalities=(audio sample_rate image image_size series channels)
if [[ $1 == modalities ]]; then printf '%s\t%s\twhat it is\n' "${modalities[@]}"; exit; fi
if [[ $1 == check ]]; then
    printf '%s\0' "${@:2}" >"$FAKE_CALLS.check"
    exit
fi
environment=("${OMP_NUM_THREADS-unset}" "${CUDA_VISIBLE_DEVICES-unset}")
printf '%s\0' "$PWD" "${environment[@]}" "$@" $'\x1e' >>"$FAKE_CALLS"
[[ $1 != prepare ]] || { mkdir -p "$6" && echo id >"$6/${FAKE_MANIFEST:-manifest.csv}"; }
if [[ $* == *"${FAKE_FAILS_ON:-nothing}"* ]]; then echo "the loss is not finite" >&2; exit 3; fi
if [[ $* == *"${FAKE_HANGS_ON:-nothing}"* ]]; then echo "$$" >>"$FAKE_CALLS.pids"; sleep 60; fi
echo "fake $1 finished"
"""


@dataclass
class Call:
    folder: str
    threads: str
    gpu: str
    argv: list[str]

    def overrides(self) -> dict[str, str]:
        """What Hydra itself reads in the KEY=VALUE arguments."""
        words = [word for word in self.argv[1:] if re.match(r"[a-z_.]+=", word)]
        parsed = OverridesParser.create().parse_overrides(words)
        return {o.key_or_group: str(o.value()) for o in parsed}


class Driver:
    """A recipe folder in `folder` and the fake command; calling it runs ssl.sh from `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = folder / "recipe"
        (self.recipe / "conf").mkdir(parents=True)
        (folder / "bin").mkdir()
        self.fake = folder / "bin" / "audioinv"
        self.fake.write_text(FAKE)
        self.fake.chmod(0o755)
        self.record = folder / "calls"
        self.environment = {**os.environ, "FAKE_CALLS": str(self.record)}
        self.environment.pop("CUDA_VISIBLE_DEVICES", None)

    def command(self, *options: str) -> list[str]:
        fixed = ["--recipe", "recipe", "--corpus", "tones", "--config", "debug"]
        return ["bash", str(TEMPLATE), *fixed, "--audioinv", str(self.fake), *options]

    def __call__(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options),
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self) -> list[Call]:
        if not self.record.exists():
            return []
        records = self.record.read_text().split("\0\x1e\0")[:-1]
        fields = [record.split("\0") for record in records]
        return [Call(f[0], f[1], f[2], f[3:]) for f in fields]

    def subcommands(self) -> list[str]:
        return [call.argv[0] for call in self.calls()]

    def hanging(self) -> list[int]:
        """Process ids of the fake commands that were told to hang."""
        file = Path(f"{self.record}.pids")
        return [int(word) for word in file.read_text().split()] if file.exists() else []
