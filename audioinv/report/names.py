"""What tables and figures call methods and metrics."""

from __future__ import annotations

# `method=NAME`, in the order of a table -> (its row, its short name for figures)
_NAMES = {
    "amortised": ("Amortised", "Amortised"),
    "simclr": ("SimCLR, all augmentations", "SimCLR"),
    "invclr": ("InvCLR, SimCLR with gradient penalty", "InvCLR"),
    "invclr_bounded": ("InvCLR, every draw bounded", "InvCLR bounded"),
    "amortised_invclr": ("Amortised with gradient penalty", "Amortised InvCLR"),
    "simclr_frequency": ("SimCLR, frequency group only", "SimCLR frequency"),
    "simclr_time": ("SimCLR, time group only", "SimCLR time"),
    "simclr_spatial": ("SimCLR, spatial group only", "SimCLR spatial"),
    "simclr_appearance": ("SimCLR, appearance group only", "SimCLR appearance"),
    "moco": ("Amortised MoCo-v2, two groups", "Amortised MoCo-v2"),
    "moco_plain": ("MoCo-v2, all augmentations", "MoCo-v2"),
    "moco_spatial": ("MoCo-v2, spatial group only", "MoCo-v2 spatial"),
    "moco_appearance": ("MoCo-v2, appearance group only", "MoCo-v2 appearance"),
    "concat_groups": ("The two group encoders side by side", "Joined groups"),
    "conditioned_allon": ("Conditioned network, trained all-on only", "Conditioned all-on"),
    "looc": ("LooC-style subspaces", "LooC"),
    "augself": ("AugSelf-style, predicts differences", "AugSelf"),
    "cassle": ("CASSLE, projector told the augmentations", "CASSLE"),
    "equimod": ("EquiMod, predicts embeddings", "EquiMod"),
    "mt_slvr": ("MT-SLVR, multi-head", "MT-SLVR"),
    "hear": ("HEAR module", "HEAR"),
    "timm": ("timm network", "timm"),
    "random": ("Random encoder", "Random encoder"),
    "logmel": ("Spectrum mean and std, no network", "Spectrum statistics"),
    "pixels": ("Pixel mean and std by row, no network", "Pixel statistics"),
}
SHORT_NAMES = {name: short for name, (_, short) in _NAMES.items()}
SCEPTICS = ("random", "logmel", "pixels")
"""Methods without pre-training: what a method must beat to have learned anything."""

METRIC_NAMES = {
    "accuracy": "accuracy, %",
    "r2": "R²",
    "mse": "MSE, 10⁻³",
    "macro_f1": "macro F1, %",
    "map": "mAP, %",
}
ERRORS = {"mse"}
"""Metrics of which the lowest is the best."""


def row_name(method: str) -> str:
    """What its row of a table is called: of `simclr:-pitch_shift` "SimCLR, all but pitch shift"."""
    return _NAMES[method][0] if method in _NAMES else method_name(method, method)


def method_name(method: str, unknown: str = "") -> str:
    """The method's name for people, short.

    Args:
        unknown: what to call one that has none; "" takes the method with blanks.
    """
    name, _, corner = method.partition(":")
    if corner and name in SHORT_NAMES:
        return f"{SHORT_NAMES[name]}, {corner_name(corner)}"
    return SHORT_NAMES.get(method, unknown or method.replace("_", " "))


def corner_name(corner: str) -> str:
    """A corner in the notation of `DescriptorSpace.parse` in words: "all but pitch shift"."""
    lead, rest = ("all but ", corner[1:]) if corner.startswith("-") else ("", corner)
    words = rest.replace("+", " and ").replace("_", " ")
    return f"{lead}{words}" if lead or corner in ("all", "none") else f"{words} alone"


def scale(metric: str) -> tuple[float, int]:
    """Factor and decimals that show a metric: R^2 as 0.87, an error in 10^-3, the others in %."""
    if metric in ERRORS:
        return 1000.0, 2
    return (1.0, 2) if metric == "r2" else (100.0, 1)


def show(value: float, metric: str) -> str:
    """`value` in the metric's display unit, with a proper minus sign."""
    factor, decimals = scale(metric)
    return f"{round(value * factor, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
