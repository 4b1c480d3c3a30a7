"""Sounds or images: what the commands must know of either, in one place.

The modality `audio` is the module `audioinv.audio.modality`, `image` is `vision.modality`; all
what `Modality` lists. Everything else in `audioinv.commands` and `audioinv.core` is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from audioinv.base.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from audioinv.core.augmentation import Augmentation
    from audioinv.core.bank import AugmentationBank, ClipSource
    from audioinv.data.pack import Pack

MODALITIES = {
    "audio": "audioinv.audio.modality",
    "image": "vision.modality",
    "spirograph": "vision.spirograph",
    "sonograph": "audioinv.audio.sonograph",
}
# name -> (module of the schema, class of all settings, file beside it that chooses among groups)
_SETTINGS = {
    "audio": ("audioinv.conf.schema", "Config", "config"),
    "image": ("vision.conf.schema", "Config", "config"),
    "spirograph": ("vision.conf.schema", "SpirographConfig", "spirograph"),
    "sonograph": ("audioinv.conf.schema", "SonographConfig", "sonograph"),
}


@dataclass(frozen=True)
class Settings:
    """Where a modality's settings are: without torch, which its module needs.

    `schema` is the dataclass of all of them, `package` the one with its Hydra groups, `defaults`
    the file in it that chooses among them.
    """

    schema: type[Any]
    package: str
    defaults: str


FRONTENDS = {
    "log_mel": "audio",
    "log_frequency": "audio",
    "waveform": "audio",
    "log_mel_stft": "audio",
    "pixels": "image",
    "spirograph": "spirograph",
    "sonograph": "sonograph",
}
"""Front end -> the modality that has it: a saved encoder names its front end only, and needs the
packages of that modality alone."""


class Modality(Protocol):
    """What a modality's module offers.

    Clips are whatever its bank and its front ends take: (n, ...).
    """

    FRONTENDS: Mapping[str, type[nn.Module]]
    bank: Callable[[Any, Pack], AugmentationBank]
    """Settings of the bank, and the pack -> the bank."""
    task_augmentation: Callable[[str, Pack], Augmentation]
    """An augmentation that a task is over and the bank may lack, at its default ranges."""
    check: Callable[[Pack, nn.Module], None]
    """Raises a UserError unless the front end fits the pack."""
    crops: Callable[[nn.Module, Pack, Sequence[int]], ClipSource]
    """The clips to pre-train on, of the given rows."""
    clips: Callable[[nn.Module, Pack, Sequence[int]], Tensor]
    """One clip of each row, (n, ...), the same in every command."""
    windows: Callable[[nn.Module, Pack, float, bool], Iterator[tuple[Tensor, Tensor]]]
    """Front end, pack, seconds between windows, whether the clips may be filled up by repetition ->
    batches of windows (b, ...) and the clip of each, (b,)."""
    write_example: Callable[[Augmentation, nn.Module, Pack, Path], dict[str, Any]]
    """Shows one augmentation by files in a folder; gives what examples.json says of it."""


def modality_of(name: str) -> Modality:
    """The module of a modality.

    Raises:
        UserError: an unknown one, or its package is not installed.
    """
    return cast(Modality, _import(name, MODALITIES.get(name, "")))


def settings_of(name: str) -> Settings:
    """The settings of a modality.

    Raises:
        UserError: as `modality_of`.
    """
    module, schema, defaults = _SETTINGS.get(name, ("", "", ""))
    return Settings(getattr(_import(name, module), schema), module.rpartition(".")[0], defaults)


def _import(name: str, module: str) -> Any:
    if name not in MODALITIES:
        raise UserError(f"modality is '{name}'; give one of {', '.join(MODALITIES)}")
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"modality {name} needs {error.name}; install audioinv with its extra: "
            "pip install 'audioinv[vision]'"
        ) from error


def build_frontend(config: Mapping[str, Any]) -> nn.Module:
    """The front end described by `config`: "name" and its keyword arguments, of any modality.

    Raises:
        UserError: unknown name, or the packages of its modality are not installed.
    """
    options = dict(config)
    name = options.pop("name", None)
    if name not in FRONTENDS:
        raise UserError(f"frontend is '{name}'; give one of {', '.join(FRONTENDS)}")
    return modality_of(FRONTENDS[name]).FRONTENDS[name](**options)
