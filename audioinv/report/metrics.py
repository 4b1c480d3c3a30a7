"""How metrics are called and shown."""

from __future__ import annotations

METRIC_NAMES = {
    "accuracy": "accuracy, %",
    "r2": "R²",
    "mse": "MSE, 10⁻³",
    "macro_f1": "macro F1, %",
    "map": "mAP, %",
}
ERRORS = {"mse"}
"""Metrics of which the lowest is the best."""


def scale(metric: str) -> tuple[float, int]:
    """Factor and decimals that show a metric: R^2 as 0.87, an error in 10^-3, the others in %."""
    if metric in ERRORS:
        return 1000.0, 2
    return (1.0, 2) if metric == "r2" else (100.0, 1)


def show(value: float, metric: str) -> str:
    """`value` in the metric's display unit, with a proper minus sign."""
    factor, decimals = scale(metric)
    return f"{round(value * factor, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
