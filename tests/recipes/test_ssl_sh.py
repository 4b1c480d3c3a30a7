"""The driver of the recipes: its options, its stages and what they call."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes.driver import REPOSITORY, TEMPLATE, Driver

STAGES = ["prepare", "pack", "statistics", "pretrain", "adapt", "evaluate", "measure", "report"]
HYDRA = ["statistics", "pretrain", "adapt", "evaluate", "measure"]


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
        (["--on_error", "ignore"], ["'ignore'", "fail or skip"]),
        (["--also_inside", "nowhere"], ["'nowhere'", "not a folder"]),
        (["--dry_run", "yes"], ["'yes'", "true or false"]),
        (["--modality", "smell"], ["'smell'", "audio image series"]),
        (["--modality", "series"], ["--size", "channels", "series"]),
        (["--size", "many"], ["'many'", "1 or more"]),
        (["--audioinv", "/bin/true"], ["'/bin/true modalities' lists none"]),
        (["--methods", ""], ["--methods"]),
        (["--seeds", "0,1"], ["'0,1'", "such as '0 1 2'"]),
        (["--seeds", "0 one"], ["'one'"]),
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


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--methods", "simclr amortized"], "did you mean amortised?"),
        (["--measured", "amortized"], "did you mean amortised?"),
        (["--protocols", "linear knnn"], "did you mean knn?"),
        (["--config", "debgu"], "did you mean debug?"),
        (["--audioinv_opts", "tasks=[digt]"], "did you mean digit?"),
        (["--audioinv_opts", "adapt.modes=[soft,serach]"], "did you mean search?"),
        (["--audioinv_opts", "pretrain.stpes=3"], "did you mean pretrain.steps?"),
    ],
)
def test_names_are_looked_up_before_anything_is_downloaded(
    options: list[str], told: str, dry_run: str, tmp_path: Path
) -> None:
    script = REPOSITORY / "recipes" / "fsdd" / "ssl1" / "run.sh"
    program = ["--audioinv", str(Path(sys.executable).with_name("audioinv"))]
    command = ["bash", str(script), *program, "--dry_run", dry_run, "--expdir", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_what_the_driver_looks_up(driver: Driver) -> None:
    assert driver("--seeds", "0 1", "--measured", "random").returncode == 0
    asked = Path(f"{driver.record}.check").read_text().split("\0")[:-1]
    words = dict(zip(asked[4::2], asked[5::2], strict=True))
    assert asked[:4] == ["--config_dir", "conf", "modality=audio", "experiment=debug"]
    assert "simclr" in words["--methods"].split() and words["--methods"].endswith(" random")
    assert words["--protocols"] == "linear" and words["--corpus"] == "tones"


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
        *("--made_by", f"{home}/run.sh --config debug --seeds '0' --methods 'amortised logmel'"),
    ]
    by_key = calls[4].overrides()
    assert by_key["experiment"] == "debug"
    assert by_key["pack"] == "packs/tones"
    assert by_key["statistics"] == "exp/debug/statistics.json"
    assert calls[-2].overrides()["method"] == "amortised"  # logmel has no network to measure


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ([], ["--sample_rate", "16000"]),
        (["--size", "8000"], ["--sample_rate", "8000"]),
        (["--modality", "image", "--sample_rate", "5"], ["--image_size", "32"]),
        (["--modality", "image", "--image_size", "64"], ["--image_size", "64"]),
        (["--modality", "series", "--size", "8"], ["--channels", "8"]),
    ],
)
def test_any_modality_is_packed_at_its_size(
    driver: Driver, options: list[str], size: list[str]
) -> None:
    """The template knows no modality: the command line lists them, with what they call it."""
    modality = options[1] if "--modality" in options else "audio"
    result = driver("--stop_stage", "statistics", *options)
    assert result.returncode == 0, result.stderr
    pack, statistics = driver.calls()[-2:]
    assert pack.argv[4:6] == size and "--image_size" not in pack.argv[6:]
    assert statistics.overrides()["modality"] == modality


def test_a_table_names_whatever_made_it(driver: Driver) -> None:
    given = ["--stage", "report", "--protocols", "linear knn", "--audioinv_opts", "a=['b c'] d=1"]
    assert driver(*given, "--jobs", "1", "--measured", "simclr").returncode == 0
    made_by = driver.calls()[-1].argv[-1]
    expected = ["--config", "debug", "--seeds", "0", "--measured", "simclr"]
    assert shlex.split(made_by)[1:] == [*expected, *given[2:]]


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


def test_files_that_cannot_be_read_may_be_skipped(driver: Driver) -> None:
    assert driver("--stop_stage", "2", "--on_error", "skip").returncode == 0
    asked = [call.argv[0] for call in driver.calls() if "--on_error" in call.argv]
    assert asked == ["prepare", "validate", "pack"]


def test_links_may_lead_to_another_folder(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "an annex").mkdir()
    assert driver("--stop_stage", "2", "--also_inside", f"{tmp_path}/an annex").returncode == 0
    asked = [call.argv for call in driver.calls() if "--also_inside" in call.argv]
    assert [argv[0] for argv in asked] == ["prepare", "validate", "pack"]
    for argv in asked:
        folder = Path(argv[argv.index("--also_inside") + 1])
        assert folder.is_absolute() and folder.name == "an annex"


def test_a_failed_download_stops_before_preparing(driver: Driver) -> None:
    result = driver("--stop_stage", "1", FAKE_FAILS_ON="download")
    assert result.returncode == 3
    assert driver.subcommands() == ["download"]
    assert driver("--stop_stage", "1").returncode == 0
    assert driver.subcommands() == ["download", "download", "prepare"]


@pytest.mark.parametrize(("name", "downloads"), [("demo", False), ("fsdd", True)])
def test_recipes_download_what_there_is_to_download(
    driver: Driver, tmp_path: Path, name: str, downloads: bool
) -> None:
    run = REPOSITORY / "recipes" / name / "ssl1" / "run.sh"
    command = ["bash", run, "--dry_run", "true", "--stop_stage", "1", "--audioinv", driver.fake]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    commands = [shlex.split(line)[1] for line in result.stdout.splitlines()[2:]]
    assert commands == (["download", "prepare"] if downloads else ["prepare"])


@pytest.mark.parametrize(("name", "corpus"), [("demo", "sonograph"), ("fsdd", "fsdd")])
def test_recipes_pass_their_options_and_the_users(
    driver: Driver, tmp_path: Path, name: str, corpus: str
) -> None:
    recipe = REPOSITORY / "recipes" / name / "ssl1"
    options = ["--dry_run", "true", "--data_root", "audio", "--nj", "7"]
    command = ["bash", recipe / "run.sh", "--audioinv", driver.fake, *options]
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
    recipes = REPOSITORY / "recipes"
    scripts = [*recipes.glob("*/ssl1/*.sh"), *recipes.glob("*/run.sh"), REPOSITORY / ".ci/run"]
    result = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
