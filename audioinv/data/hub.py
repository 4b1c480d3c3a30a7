"""Encoders by name: those that come with the package, and those on the Hugging Face hub.

Each is two files and a model card, no code and nothing pickled.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audioinv.base.errors import UserError
from audioinv.base.files import ENCODER_FILES
from audioinv.base.near import unknown

CARD = "README.md"
OWNER = "audioinv"
RELEASED = Path(__file__).parents[1] / "released"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
INSTEAD = "give a folder that holds encoder.json, or OWNER/NAME of an encoder on the hub"


def released() -> dict[str, Path]:
    """The encoders that come with the package, as audioinv/NAME, and their folders."""
    found = sorted(path.parent for path in RELEASED.glob(f"*/{ENCODER_FILES[0]}"))
    return {f"{OWNER}/{folder.name}": folder for folder in found}


def is_hub_name(name: str) -> bool:
    """Whether it reads as OWNER/NAME and is no path here, nor one into a folder here."""
    owner = Path(name.partition("/")[0])
    return bool(NAME.fullmatch(name)) and not Path(name).exists() and not owner.exists()


def fetched(name: str, revision: str | None = None) -> Path:
    """The folder that an encoder of the hub was downloaded to, or lies in since an earlier time.

    Only `encoder.json`, `encoder.safetensors` and the card are, whatever else is there.

    Args:
        name: OWNER/NAME. revision: a branch, tag or commit; None takes the newest.

    Raises:
        UserError: no such encoder, or no connection.
    """
    hub = _hub()
    try:
        folder = hub.snapshot_download(
            name, revision=revision, allow_patterns=[*ENCODER_FILES, CARD]
        )
    except Exception as error:  # of the network, its proxies and the hub, in many classes
        raise UserError(
            f"{name} is no folder here, and the hub gave no such encoder: {_first(error)}; "
            f"{INSTEAD}"
        ) from error
    if not (Path(folder) / ENCODER_FILES[0]).exists():
        raise UserError(f"{name} on the hub holds no {ENCODER_FILES[0]}; {INSTEAD}")
    return Path(folder)


def encoder_folder(
    name: str | Path, remedy: str = "give a run's folder `encoder`", revision: str | None = None
) -> Path:
    """The folder of an encoder: that of a `released` one, `name` itself, or where `fetched` brings
    it to.

    Raises:
        UserError: it holds none, with the remedy; or none of that name is released.
    """
    ours = released()
    if str(name) in ours and revision is None:
        return ours[str(name)]
    if str(name).startswith(f"{OWNER}/") and is_hub_name(str(name)) and revision is None:
        raise unknown("released encoder", str(name), tuple(ours))
    folder = fetched(str(name), revision) if is_hub_name(str(name)) else Path(name)
    if not (folder / ENCODER_FILES[0]).is_file():
        within = folder / "encoder"
        near = f" (did you mean {within}?)" if within.is_dir() else ""
        raise UserError(f"{folder} holds no encoder: {remedy}{near}")
    return folder


def sent(folder: Path, name: str, card: str, private: bool = False) -> str:
    """Uploads the encoder in a folder with its card; returns its address.

    Args:
        name: OWNER/NAME; it is made where it is not there yet. card: Markdown.

    Raises:
        UserError: no login, no connection, or a name that is none.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"'{name}' is no name on the hub; give OWNER/NAME, such as me/my-encoder")
    hub = _hub()
    files: list[tuple[str, Path | bytes]] = [(file, folder / file) for file in ENCODER_FILES]
    files.append((CARD, card.encode()))
    added = [hub.CommitOperationAdd(file, content) for file, content in files]
    api = hub.HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        api.create_commit(name, added, commit_message="Write the encoder and its card")
    except Exception as error:
        raise UserError(
            f"the hub did not take {name}: {_first(error)}; log in by `hf auth login`, or set "
            "HF_TOKEN to a token that may write there"
        ) from error
    return f"{api.endpoint}/{name}"


def _hub() -> Any:
    if find_spec("huggingface_hub") is None:
        raise UserError("the hub needs huggingface_hub; pip install 'audioinv[hub]'")
    import huggingface_hub

    return huggingface_hub


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
