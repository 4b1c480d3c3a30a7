"""The driver of the recipes, run with an `audioinv` that records how it is called."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "recipes" / "TEMPLATE" / "ssl1" / "ssl.sh"
STAGES = ["prepare", "pack", "statistics", "pretrain", "adapt", "evaluate", "measure", "report"]
HYDRA = ["statistics", "pretrain", "adapt", "evaluate", "measure"]

FAKE = r"""#!/usr/bin/env bash
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


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def declared_options() -> list[str]:
    lines = TEMPLATE.read_text().split("--- options")[1].split("--- end of options")[0]
    return re.findall(r"^(\w+)=", lines, flags=re.MULTILINE)


def test_help_lists_every_declared_option(driver: Driver) -> None:
    result = driver("--help")
    assert result.returncode == 0
    assert len(declared_options()) > 15
    for option in declared_options():
        assert re.search(rf"^  --{option} +\w.{{5,}}", result.stdout, flags=re.MULTILINE), option
    assert "[16000]" in result.stdout
    for stage in STAGES:
        assert stage in result.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--stgae", "3"], ["--stgae", "--help"]),
        (["--stage=9"], ["'9'", "1 to 8", "pretrain"]),
        (["--skip_stages", "3 fly"], ["'fly'"]),
        (["--stage", "adapt", "--stop_stage", "pack"], ["adapt", "pack"]),
        (["--nj"], ["--nj", "needs a value"]),
        (["--nj", "0"], ["'0'", "1 or more"]),
        (["--nj", "08"], ["'08'"]),
        (["--dry_run", "yes"], ["'yes'", "true or false"]),
        (["--methods", ""], ["--methods"]),
        (["--expdir", "a\\b"], ["a\\b"]),
        (["extra"], ["'extra'", "--help"]),
    ],
)
def test_wrong_options_are_refused(driver: Driver, options: list[str], told: list[str]) -> None:
    result = driver(*options)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    for text in told:
        assert text in result.stderr
    assert driver.calls() == []


def test_runs_every_stage_in_order(driver: Driver) -> None:
    result = driver("--methods", "amortised logmel", "--nj=3", "--sample_rate=8000")
    assert result.returncode == 0, result.stderr
    expected = ["validate", "pack", "statistics", *["pretrain"] * 2, *["adapt"] * 2]
    assert driver.subcommands() == [
        "download",
        "prepare",
        *expected,
        *["evaluate"] * 2,
        "measure",
        "report",
    ]
    calls = driver.calls()
    assert {call.folder for call in calls} == {str(driver.recipe)}
    root, out = "downloads/tones", "data/tones"
    assert calls[0].argv == ["download", "tones", "--root", root]
    assert calls[1].argv == ["prepare", "tones", "--root", root, "--out", out]
    assert calls[2].argv == ["validate", out, "--nj", "3"]
    pack = ["pack", out, "--out", "packs/tones", "--sample_rate", "8000", "--nj", "3"]
    assert calls[3].argv == pack
    home = f"recipes/{driver.recipe.parent.name}/{driver.recipe.name}"
    assert calls[-1].argv == [
        *("report", "exp/debug", "--pack", "packs/tones", "--title", "tones"),
        *("--made_by", f"{home}/run.sh --config debug --seeds '0'"),
    ]
    by_key = calls[4].overrides()
    assert by_key["experiment"] == "debug"
    assert by_key["pack"] == "packs/tones"
    assert by_key["statistics"] == "exp/debug/statistics.json"
    assert calls[-2].overrides()["method"] == "amortised"  # logmel has no network to measure


def test_every_seed_and_method_is_run_once_by_parallel_jobs(driver: Driver) -> None:
    options = ["--seeds", "0 1 2", "--methods", "amortised simclr", "--jobs", "3"]
    result = driver(*options, "--stage", "4", "--stop_stage", "pretrain", "--threads", "2")
    assert result.returncode == 0, result.stderr
    runs = sorted(call.overrides()["run"] for call in driver.calls())
    assert runs == [f"exp/debug/{m}_s{s}" for m in ("amortised", "simclr") for s in range(3)]
    for call in driver.calls():
        read = call.overrides()
        assert read["run"] == f"exp/debug/{read['method']}_s{read['seed']}"
        assert (call.threads, call.gpu) == ("2", "")
        log = driver.recipe / "exp/debug/log" / f"pretrain_{Path(read['run']).name}.log"
        assert "fake pretrain finished" in log.read_text()


def test_no_more_than_jobs_runs_go_on_at_once(driver: Driver) -> None:
    options = ["--stage", "4", "--jobs", "2", "--methods", "a b c d"]
    environment = {**driver.environment, "FAKE_HANGS_ON": "pretrain"}
    with subprocess.Popen(
        driver.command(*options), cwd=driver.folder, env=environment, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: len(driver.calls()) == 2)
        time.sleep(0.5)
        assert len(driver.calls()) == 2
        process.terminate()
        process.communicate(timeout=20)


def test_gpus_are_taken_in_turn(driver: Driver) -> None:
    options = ["--stage", "4", "--stop_stage", "4", "--methods", "a b c", "--jobs", "1"]
    assert driver(*options, "--ngpu", "2", CUDA_VISIBLE_DEVICES="5,7,9").returncode == 0
    assert [call.gpu for call in driver.calls()] == ["5", "7", "5"]
    result = driver(*options, "--ngpu", "2", CUDA_VISIBLE_DEVICES="5")
    assert result.returncode == 2
    assert "'5'" in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--stage", "3", "--stop_stage", "5"], ["statistics", "pretrain", "adapt"]),
        (["--stage=statistics", "--stop_stage=adapt"], ["statistics", "pretrain", "adapt"]),
        (["--stage", "5", "--skip_stages", "6 measure"], ["adapt", "report"]),
        (["--stage", "report"], ["report"]),
    ],
)
def test_stages_by_number_and_name(driver: Driver, options: list[str], expected: list[str]) -> None:
    result = driver("--methods", "amortised", *options)
    assert result.returncode == 0, result.stderr
    assert driver.subcommands() == expected


def test_dry_run_prints_commands_that_can_be_pasted_and_runs_none(driver: Driver) -> None:
    odd = 'it\'s\na "test" $HOME'
    options = ["--methods", "amortised", "--data_root", odd, "--expdir", "my exp"]
    dry = driver(*options, "--dry_run", "true")
    assert dry.returncode == 0, dry.stderr
    assert driver.calls() == []
    assert sorted(p.name for p in driver.recipe.iterdir()) == ["conf"]
    pasted = subprocess.run(["bash", "-c", dry.stdout], env=driver.environment, check=True)
    assert pasted.returncode == 0
    printed = driver.calls()
    driver.record.unlink()
    assert driver(*options).returncode == 0
    assert printed == driver.calls()
    assert driver.subcommands() == ["prepare", "validate", *STAGES[1:]]


@pytest.mark.parametrize("odd", ["two words", 'it\'s "quoted"', "line\nbreak", "a=b,c{d}[e]"])
def test_odd_paths_arrive_intact(tmp_path: Path, odd: str) -> None:
    home = tmp_path / odd
    driver = Driver(home)
    options = ["--data_root", f"audio {odd}", "--expdir", f"exp {odd}", "--results", f"r {odd}"]
    result = driver(*options, "--methods", "amortised")
    assert result.returncode == 0, result.stderr
    calls = {call.argv[0]: call for call in driver.calls()}
    assert calls["prepare"].folder == str(home / "recipe")
    assert calls["prepare"].argv[3] == f"{home}/audio {odd}"
    for name in HYDRA:
        assert calls[name].overrides()["statistics"] == f"{home}/exp {odd}/statistics.json"
    assert calls["measure"].overrides()["run"] == f"{home}/exp {odd}/amortised_s0"
    assert calls["report"].argv[:2] == ["report", f"{home}/exp {odd}"]
    assert calls["report"].argv[-2:] == ["--results", f"{home}/r {odd}"]


def test_more_overrides_and_prepare_options_are_passed_on(driver: Driver) -> None:
    result = driver(
        *("--methods", "amortised", "--audioinv_opts", "train.steps=10\n train.width=0.5"),
        *("--prepare_opts", "--clips 30", "--download_opts", "--version 1"),
    )
    assert result.returncode == 0, result.stderr
    for call in driver.calls():
        if call.argv[0] in HYDRA:
            assert call.argv[-2:] == ["train.steps=10", "train.width=0.5"]
    assert driver.calls()[0].argv[-2:] == ["--version", "1"]
    assert driver.calls()[1].argv[-2:] == ["--clips", "30"]


def test_failing_run_fails_the_driver_with_the_tail_of_its_log(driver: Driver) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr random", "--jobs", "1"]
    result = driver(*options, FAKE_FAILS_ON="method=simclr")
    assert result.returncode == 3
    assert "pretrain_simclr_s0: failed" in result.stderr
    assert "the loss is not finite" in result.stderr
    assert "stage 4 (pretrain)" in result.stderr.splitlines()[-1]
    assert driver.subcommands() == ["pretrain", "pretrain"]  # neither random nor a later stage


def test_failing_run_ends_the_others(driver: Driver) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr", "--jobs", "2"]
    result = driver(*options, FAKE_HANGS_ON="method=amortised", FAKE_FAILS_ON="method=simclr")
    assert result.returncode == 3
    wait_until(lambda: not any(alive(pid) for pid in hanging(driver)))


def test_failing_single_command_fails_the_driver(driver: Driver) -> None:
    result = driver(FAKE_FAILS_ON="validate")
    assert result.returncode == 3
    assert "stage 2 (pack)" in result.stderr.splitlines()[-1]
    assert driver.subcommands() == ["download", "prepare", "validate"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_driver_ends_its_runs(driver: Driver, number: signal.Signals) -> None:
    options = ["--stage", "4", "--methods", "amortised simclr"]
    environment = {**driver.environment, "FAKE_HANGS_ON": "pretrain"}
    with subprocess.Popen(
        driver.command(*options), cwd=driver.folder, env=environment, stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # a shell's "&" ignores SIGINT
    ) as process:  # fmt: skip
        wait_until(lambda: len(hanging(driver)) == 2)
        assert all(alive(pid) for pid in hanging(driver))
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 128 + number
    wait_until(lambda: not any(alive(pid) for pid in hanging(driver)))


def test_rerun_skips_what_is_done_and_says_so(driver: Driver) -> None:
    assert driver("--methods", "amortised").returncode == 0
    driver.record.unlink()
    again = driver("--methods", "amortised")
    assert again.returncode == 0, again.stderr
    assert driver.subcommands() == STAGES[1:]
    assert "already done: data/tones" in again.stderr
    assert "already validated" in again.stderr


def test_a_large_manifest_is_not_made_again_either(driver: Driver) -> None:
    options = ["--stop_stage", "2", "--data_root", "one"]
    for _ in range(2):
        assert driver(*options, FAKE_MANIFEST="manifest.parquet").returncode == 0
    assert driver.subcommands() == ["prepare", "validate", "pack", "pack"]
    (driver.recipe / "data" / "tones" / "manifest.parquet").touch()
    assert driver(*options, FAKE_MANIFEST="manifest.parquet").returncode == 0
    assert driver.subcommands()[4:] == ["validate", "pack"], "it has changed"


def test_another_data_root_prepares_and_validates_again(driver: Driver) -> None:
    assert driver("--stop_stage", "2", "--data_root", "one").returncode == 0
    driver.record.unlink()
    assert driver("--stop_stage", "2", "--data_root", "two").returncode == 0
    assert driver.subcommands() == ["prepare", "validate", "pack"]


@pytest.mark.parametrize("option", [("--data_root", "mine"), ("--download", "false")])
def test_audio_that_is_there_is_not_downloaded(driver: Driver, option: tuple[str, str]) -> None:
    assert driver("--stop_stage", "1", *option).returncode == 0
    assert driver.subcommands() == ["prepare"]


def test_a_failed_download_stops_before_preparing(driver: Driver) -> None:
    result = driver("--stop_stage", "1", FAKE_FAILS_ON="download")
    assert result.returncode == 3
    assert driver.subcommands() == ["download"]
    assert driver("--stop_stage", "1").returncode == 0
    assert driver.subcommands() == ["download", "download", "prepare"]


@pytest.mark.parametrize(("name", "downloads"), [("demo", False), ("fsdd", True)])
def test_recipes_download_what_there_is_to_download(
    tmp_path: Path, name: str, downloads: bool
) -> None:
    run = REPOSITORY / "recipes" / name / "ssl1" / "run.sh"
    command = ["bash", str(run), "--dry_run", "true", "--stop_stage", "1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    commands = [shlex.split(line)[1] for line in result.stdout.splitlines()[2:]]
    assert commands == (["download", "prepare"] if downloads else ["prepare"])


@pytest.mark.parametrize(("name", "corpus"), [("demo", "sonograph"), ("fsdd", "fsdd")])
def test_recipes_pass_their_options_and_the_users(tmp_path: Path, name: str, corpus: str) -> None:
    recipe = REPOSITORY / "recipes" / name / "ssl1"
    command = ["bash", f"{recipe}/run.sh", "--dry_run", "true", "--data_root", "audio", "--nj", "7"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in result.stdout.splitlines()]
    assert lines[0] == ["cd", str(recipe)]
    assert lines[2][1:7] == [
        *("prepare", corpus, "--root", f"{tmp_path}/audio", "--out", f"data/{corpus}")
    ]
    assert lines[3][-2:] == ["--nj", "7"]
    assert any("experiment=cpu_quick" in line for line in lines)


def test_audioinv_of_the_path_is_found(driver: Driver) -> None:
    """A copy of the template outside a repository with .venv falls back to PATH."""
    copy = driver.folder / "clone" / "recipes" / "TEMPLATE" / "ssl1" / "ssl.sh"
    copy.parent.mkdir(parents=True)
    for name in (TEMPLATE.name, "functions.sh"):
        copy.with_name(name).write_text(TEMPLATE.with_name(name).read_text())
    path = f"{driver.fake.parent}:{os.environ['PATH']}"
    command = ["bash", str(copy), "--recipe", "recipe", "--corpus", "tones", "--stage", "8"]
    environment = {**driver.environment, "PATH": path}
    subprocess.run(command, cwd=driver.folder, env=environment, check=True, capture_output=True)
    assert driver.subcommands() == ["report"]


def test_shell_scripts_pass_shellcheck() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed: pip install -e '.[dev]'")
    scripts = [*REPOSITORY.glob("recipes/*/ssl1/*.sh"), REPOSITORY / ".ci" / "run"]
    result = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def hanging(driver: Driver) -> list[int]:
    """Process ids of the fake commands that were told to hang."""
    file = Path(f"{driver.record}.pids")
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: object, seconds: float = 15) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
