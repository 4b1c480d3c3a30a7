"""Nothing that is loaded can run code: no pickle on any load path."""

from __future__ import annotations

import ast
import builtins
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.adapted import Adapted, load_adapted, save_adapted
from audioinv.tasks.mixture import Mixture
from audioinv.tasks.readout import fit_readout
from audioinv.training.state import load_latest, save_checkpoint
from tests.core.plain_frontend import PlainFrontend

REPOSITORY = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("audioinv", "vision")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
]
FRONTEND = PlainFrontend((1, 12, 10))
FORBIDDEN = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "eval", "exec",
    "read_pickle", "unsafe_load", "full_load",
}  # fmt: skip


def names_used(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node
        elif isinstance(node, ast.Name):
            yield node.id, node
        elif isinstance(node, ast.Attribute) and node.attr not in ("eval",):  # module.eval()
            yield node.attr, node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_source_calls_nothing_that_unpickles(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {name for name, _ in names_used(tree)} & FORBIDDEN
    assert not found, f"{path} uses {found}"
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = {word.arg: ast.unparse(word.value) for word in call.keywords}
        function = ast.unparse(call.func)
        assert "allow_pickle" not in named, f"{path}: {function}"
        if function in ("torch.load", "torch.hub.load_state_dict_from_url"):
            assert named.get("weights_only") == "True", f"{path}: {function}"


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever unpickles from here on fails."""

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("something was unpickled")

    class Refused:
        __init__ = refuse

    for name in ("load", "loads"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, Refused)
    with pytest.raises(AssertionError):
        pickle.loads(b"")


def test_everything_saved_is_loaded_without_pickle(tmp_path: Path, no_pickle: None) -> None:
    save_checkpoint(tmp_path / "checkpoints", 1, {"step": 1, "w": torch.ones(3)})
    assert load_latest(tmp_path / "checkpoints") is not None

    backbone = {"name": "resnet18", "width": 0.125, "dim": 4}
    space = DescriptorSpace({"a": ["x"]})
    AmortisedEncoder(FRONTEND, backbone, {"name": "none"}, space).save(tmp_path / "encoder")
    AmortisedEncoder.load(tmp_path / "encoder", lambda config: FRONTEND)

    x = torch.randn(12, 3, generator=generator(0, "x"))
    readout = fit_readout(x, torch.arange(12) % 2, "classification", ["n", "y"], "ridge")
    save_adapted(tmp_path / "task", [Adapted(Mixture.single(torch.ones(1)), readout)], {})
    load_adapted(tmp_path / "task")

    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "manifest.parquet")
    pd.read_parquet(tmp_path / "manifest.parquet")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.print, ("code from a file ran",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_in_disguise_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: int
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "step_00000001.pt").write_bytes(pickle.dumps(Evil(), protocol))
    torch.save({"step": 2, "model": Evil()}, folder / "step_00000002.pt")
    with pytest.raises(UserError, match="no checkpoint"):
        load_latest(folder)
    assert "code from a file ran" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["checkpoint_path", "pretrained", "pretrained_cfg"])
def test_a_saved_encoder_cannot_name_files_to_load(tmp_path: Path, option: str) -> None:
    """timm would open, or fetch, what its options name."""
    backbone = {"name": "resnet18", "width": 0.125, "dim": 4, "options": {option: "evil.pth"}}
    with pytest.raises(UserError, match=f"takes no {option}; give init_weights"):
        AmortisedEncoder(FRONTEND, backbone, {"name": "none"}, DescriptorSpace({"a": ["x"]}))
