"""Tasks that any image gives without labels, each against an invariance that others want."""

from __future__ import annotations

from audioinv.data.task import Task

DERIVED_TASKS = (
    Task("rotation", "angle", "regression", augmentation="rotation", unit="degrees"),
    Task("hue", "shift", "regression", augmentation="hue", unit="turns"),
    Task("crop_position", "x", "regression", augmentation="crop", unit="fraction of the width"),
    Task("blur", "sigma", "regression", augmentation="blur", unit="pixels"),
)
"""Regression of the parameter that each image was changed by."""
