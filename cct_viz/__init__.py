"""CCT Explorer: see how a Compact Convolutional Transformer sees. Importing the package loads no framework."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "dataset.analyse",
    "CCTConfig": "architecture.config",
    "CheckpointError": "checkpoints",
    "Classifier": "inference.classifier",
    "Heatmaps": "inference.heatmaps",
    "HubError": "checkpoints.hub",
    "ImageError": "images.preprocessing",
    "ImageWarning": "images.decode",
    "METHODS": "methods",
    "NotApplicable": "inference.trace",
    "PRESETS": "architecture.presets",
    "Trace": "inference.trace",
    "analyse": "dataset.analyse",
    "build": "architecture.keras_model",
    "explain": "methods",
    "explore": "web.notebook",
    "figure": "reports.figures",
    "launch": "app.embed",
    "load": "inference.load",
    "mount": "app.embed",
    "read_analysis": "dataset.analyse",
    "read_bundle": "reports.bundle",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
