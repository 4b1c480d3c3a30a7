"""audioinv: one self-supervised encoder, many invariances.

    import audioinv as ai

    encoder = ai.load_encoder("exp/mine/amortised_s0/encoder")
    plain = encoder.at("-pitch_shift")  # sensitive to pitch, invariant to the rest

The names below are the public face. Each is imported when it is first used, so that
`import audioinv` waits for nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audioinv.base.version import __version__

if TYPE_CHECKING:
    from audioinv.core.augmentation import Augmentation, Parameter, augmentation
    from audioinv.core.backbone import build_backbone as backbone
    from audioinv.core.backbone import register_backbone
    from audioinv.core.bank import AugmentationBank as Bank
    from audioinv.core.descriptor import DescriptorSpace
    from audioinv.core.encoder import AmortisedEncoder as Encoder
    from audioinv.core.objective import Objective, Shown
    from audioinv.data.modality import load_encoder
    from audioinv.data.modality import modality_of as modality
    from audioinv.data.pack import Pack, open_pack
    from audioinv.data.task import Task
    from audioinv.search.index import Index, index, open_index
    from audioinv.tasks.estimators import AmortisedClassifier, AmortisedRegressor
    from audioinv.tasks.face import AdaptedTask, adapt, evaluate
    from audioinv.tasks.ready import embed, load_task
    from audioinv.tasks.result import Result
    from audioinv.tasks.tuned import load_finetuned
    from audioinv.training.start import pretrain

# name -> the module that has it, and what it is called there
_FACE = {
    "AdaptedTask": ("tasks.face", "AdaptedTask"),
    "AmortisedClassifier": ("tasks.estimators", "AmortisedClassifier"),
    "AmortisedRegressor": ("tasks.estimators", "AmortisedRegressor"),
    "Augmentation": ("core.augmentation", "Augmentation"),
    "Bank": ("core.bank", "AugmentationBank"),
    "DescriptorSpace": ("core.descriptor", "DescriptorSpace"),
    "Encoder": ("core.encoder", "AmortisedEncoder"),
    "Index": ("search.index", "Index"),
    "Objective": ("core.objective", "Objective"),
    "Pack": ("data.pack", "Pack"),
    "Parameter": ("core.augmentation", "Parameter"),
    "Result": ("tasks.result", "Result"),
    "Shown": ("core.objective", "Shown"),
    "Task": ("data.task", "Task"),
    "adapt": ("tasks.face", "adapt"),
    "augmentation": ("core.augmentation", "augmentation"),
    "backbone": ("core.backbone", "build_backbone"),
    "embed": ("tasks.ready", "embed"),
    "evaluate": ("tasks.face", "evaluate"),
    "index": ("search.index", "index"),
    "load_encoder": ("data.modality", "load_encoder"),
    "load_finetuned": ("tasks.tuned", "load_finetuned"),
    "load_task": ("tasks.ready", "load_task"),
    "modality": ("data.modality", "modality_of"),
    "open_index": ("search.index", "open_index"),
    "open_pack": ("data.pack", "open_pack"),
    "pretrain": ("training.start", "pretrain"),
    "register_backbone": ("core.backbone", "register_backbone"),
}

__all__ = [
    "AdaptedTask",
    "AmortisedClassifier",
    "AmortisedRegressor",
    "Augmentation",
    "Bank",
    "DescriptorSpace",
    "Encoder",
    "Index",
    "Objective",
    "Pack",
    "Parameter",
    "Result",
    "Shown",
    "Task",
    "__version__",
    "adapt",
    "augmentation",
    "backbone",
    "embed",
    "evaluate",
    "index",
    "load_encoder",
    "load_finetuned",
    "load_task",
    "modality",
    "open_index",
    "open_pack",
    "pretrain",
    "register_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'audioinv' has no attribute '{name}'")
    module, called = _FACE[name]
    value = getattr(import_module(f"audioinv.{module}"), called)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
