"""CCT Explorer: see how a Compact Convolutional Transformer sees. Importing the package loads no framework."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CCTConfig": "config",
    "CheckpointError": "checkpoints",
    "Classifier": "classifier",
    "Heatmaps": "trace",
    "HubError": "hub",
    "ImageError": "preprocessing",
    "METHODS": "explain",
    "NotApplicable": "trace",
    "PRESETS": "presets",
    "Trace": "trace",
    "build": "model",
    "explain": "explain",
    "load": "classifier",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOMES[name]}", __name__)
    return home if name == _HOMES[name] else getattr(home, name)  # cct_viz.explain is a package that can be called


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
