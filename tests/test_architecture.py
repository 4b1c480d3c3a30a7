"""The house stands as drawn: no import runs up it, none goes in a circle, functions are short."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.halves import of_sounds

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("audioinv", "vision")
# from the ground up: a room imports rooms before it in this list, never one after it
ROOMS = (
    ("audioinv.base",),
    ("audioinv.core",),
    ("audioinv.data",),
    ("audioinv.training",),
    ("audioinv.tasks",),
    ("audioinv.conf",),
    ("audioinv.audio", "vision"),
    ("audioinv.runs",),
    ("audioinv.report",),
    ("audioinv.search",),
    ("audioinv.commands",),
    ("audioinv.cli",),
    ("audioinv.__main__",),
)
LONGEST, LONGEST_FILE = 40, 400  # lines
OF_SOUND_OR_SIGHT = re.compile(
    r"\b(audio|waves?|waveforms?|sounds?|images?|pixels?|spectr\w+|mels?|photo\w*)\b", re.I
)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    paths = [p for package in PACKAGES for p in (REPOSITORY / package).rglob("*.py")]
    return {module_of(path): path for path in sorted(paths)}


def imported(tree: ast.AST, ahead: bool) -> Iterator[str]:
    """What a tree imports; with `ahead` only what is imported as soon as the module is."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue  # types alone: nothing is imported when it runs
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names]
            yield from (name if name in modules() else node.module for name in names)
        elif not (ahead and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imported(node, ahead)


@cache
def imports(module: str, ahead: bool = False) -> frozenset[str]:
    """The modules of the house that a module imports."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return frozenset(name for name in imported(tree, ahead) if name in modules()) - {module}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def floor_of(module: str) -> int | None:
    """The floor of a module's room; the face, `audioinv` itself, has none."""
    for floor, rooms in enumerate(ROOMS):
        if any(within(module, room) for room in rooms):
            return floor
    return None


@cache
def reached(module: str, ahead: bool = False) -> set[str]:
    """What importing a module imports, through others too, whenever it does."""
    found, open_ = set(), [module]
    while open_:
        for name in imports(open_.pop(), ahead) - found:
            found.add(name)
            open_.append(name)
    return found


def every(names: Iterable[str]) -> Callable[[Callable[[str], None]], Callable[[], None]]:
    """Makes a check of one module a test of all `names`; what fails names the module."""

    def decorate(check: Callable[[str], None]) -> Callable[[], None]:
        def test() -> None:
            for name in names:
                try:
                    check(name)
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from error

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def test_every_module_has_a_room() -> None:
    roomless = [name for name in modules() if floor_of(name) is None]
    assert roomless == ["audioinv"]


@every(modules())
def test_no_import_runs_up_the_house(module: str) -> None:
    floor = floor_of(module)
    if floor is None:
        return
    above = {name: floor_of(name) for name in imports(module)}
    assert not [name for name, other in above.items() if other is not None and other > floor]


def test_no_circle() -> None:
    """Also none that is hidden by importing within a function."""
    circles = [name for name in modules() if name in reached(name)]
    assert not circles


@every([name for name in modules() if within(name, "vision")])
def test_images_need_no_sounds(module: str) -> None:
    assert not [name for name in reached(module) if within(name, "audioinv.audio")]


@every([n for n in modules() if within(n, "audioinv")])
def test_sounds_need_no_images(module: str) -> None:
    assert not [name for name in reached(module) if within(name, "vision")]


@every(modules())
def test_none_but_a_modality_itself_imports_it(module: str) -> None:
    """All others ask the entry points: a third one is as good as these."""
    halves = ("audioinv.audio", "vision")
    own = [half for half in halves if within(module, half)]
    others = [name for name in imports(module) if any(within(name, half) for half in halves)]
    assert all(within(name, half) for name in others for half in own or ("none",))


@every([n for n in modules() if within(n, "audioinv.core")])
def test_the_core_knows_neither_sounds_nor_images(module: str) -> None:
    text = modules()[module].read_text(encoding="utf-8")
    assert not [line for line in text.splitlines() if OF_SOUND_OR_SIGHT.search(line)]


def test_the_command_line_imports_no_modality() -> None:
    """They are found when it runs. (That it imports no torch, tests/conf/test_help.py shows.)"""
    named = imports("audioinv.cli") | reached("audioinv.cli", ahead=True)
    assert not [name for name in named if floor_of(name) == floor_of("vision")]


@of_sounds
def test_audio_is_opened_in_one_place() -> None:
    opening = [
        name
        for name, path in modules().items()
        if re.search(r"^\s*(import|from) soundfile", path.read_text(encoding="utf-8"), re.M)
    ]
    assert opening == ["audioinv.audio.io"]


SEES_SETTINGS = ("audioinv.conf", "audioinv.runs", "audioinv.commands", "audioinv.cli")
ITS_OWN_SCHEMA = {"audioinv.audio.schema", "vision.conf.schema"}


@every(modules())
def test_few_see_the_settings_of_a_whole_run(module: str) -> None:
    """A modality derives its schema from that of every run; all other rooms are given values."""
    if any(within(module, room) for room in SEES_SETTINGS):
        return
    of_conf = {name for name in imports(module) if within(name, "audioinv.conf")}
    assert of_conf <= ({"audioinv.conf.schema"} if module in ITS_OWN_SCHEMA else set())


@every([n for n in modules() if within(n, "audioinv.conf")])
def test_the_settings_know_no_modality(module: str) -> None:
    assert not [name for name in reached(module) if floor_of(name) == floor_of("vision")]


def assigned(tree: ast.AST) -> Iterator[ast.expr]:
    """What a tree assigns to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            yield from node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            yield node.target


@every(modules())
def test_nothing_changes_settings_once_they_are_composed(module: str) -> None:
    """By their names, as we give them: `config` and `settings`, and what is in them."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    written = [ast.unparse(target) for target in assigned(tree)]
    assert not [name for name in written if re.match(r"(config|settings)[.\[]", name)]


def test_functions_are_short() -> None:
    long = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1 - _docstring(node)
                if lines > LONGEST:
                    long.append(f"{name}.{node.name}: {lines} lines")
    assert not long


def test_files_are_short() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()}
    assert not {name: count for name, count in lines.items() if count > LONGEST_FILE}


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines that the docstring takes."""
    first = node.body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        return 0
    return (first.end_lineno or 0) - first.lineno + 1
