"""What was measured of a model, as the page needs it. The files may come from strangers, so each value is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..architecture.beside import read_beside
from ..inference.arguments import is_number
from ..inference.bands import read_bands

MAX_BYTES = 5_000_000  # of a file: 300 epochs are 70 kB
LARGEST = 1e30
_SHARES = ("accuracy", "top5", "ece")
_CURVES = ("accuracy", "loss", "val_accuracy", "val_loss")


def read_metrics(metrics: Mapping[str, Any], num_classes: int) -> dict[str, Any] | None:
    """The metrics that the page shows; None without an accuracy and the number of images, which it always shows.

    Args:
        metrics: the content of metrics.json.
    """
    shown = {key: metrics[key] for key in _SHARES if _is_share(metrics.get(key))}
    shown |= {key: metrics[key] for key in ("loss", "images") if _is_size(metrics.get(key))}
    confusion = metrics.get("confusion")
    if _is_square(confusion, num_classes):
        shown["confusion"] = confusion
    if bands := read_bands(metrics):
        shown["bands"] = [band.record() for band in bands]
    return shown if {"accuracy", "images"} <= shown.keys() else None


def read_history(folder: Path | None) -> list[dict[str, float]] | None:
    """Loss and accuracy of each epoch; None if history.json is missing, damaged or has fewer than two epochs."""
    epochs = _read(folder, "history.json")
    if not isinstance(epochs, list) or len(epochs) < 2 or not all(isinstance(epoch, dict) for epoch in epochs):
        return None
    return [{key: round(float(epoch[key]), 5) for key in _CURVES if _is_size(epoch.get(key))} for epoch in epochs]


def read_randomisation(folder: Path | None) -> dict[str, dict[str, bool | None]] | None:
    """Part of the network -> map -> whether it depends on that part; None if there is no such table."""
    table = _read(folder, "randomisation.json")
    if not isinstance(table, dict) or not all(isinstance(maps, dict) for maps in table.values()):
        return None
    values = (value for maps in table.values() for value in maps.values())
    return table if all(value is None or isinstance(value, bool) for value in values) else None


def _read(folder: Path | None, name: str) -> Any:
    """A JSON file in the folder of the weights; None if it is missing, too large or damaged."""
    return None if folder is None else read_beside(folder / name, most=MAX_BYTES)


def _is_size(value: object) -> bool:
    return is_number(value) and 0 <= value <= LARGEST  # type: ignore[operator]  # NaN is not


def _is_share(value: object) -> bool:
    return _is_size(value) and value <= 1  # type: ignore[operator]


def _is_square(rows: object, side: int) -> bool:
    if not isinstance(rows, list) or len(rows) != side:
        return False
    return all(isinstance(row, list) and len(row) == side and all(map(_is_size, row)) for row in rows)
