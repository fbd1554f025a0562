"""What a probability is worth: how many answers of this certainty were right on the validation images.

The bands come from metrics.json, which `evaluate` writes. They hold for pictures like the validation images. A picture
of something else gets one of the classes too, and often with a high probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .arguments import is_number

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MOST = 100  # bands of a file


@dataclass(frozen=True)
class Band:
    """The validation images whose most probable class had a probability from `low` to below `high` (0 to 1; the last
    band includes 1): how many there were, and for how many that class was right."""

    low: float
    high: float
    images: int
    right: int

    def record(self) -> dict[str, Any]:
        """Ready for JSON, with `of_100`: right answers of 100, or None without images."""
        return {**asdict(self), "of_100": round(100 * self.right / self.images) if self.images else None}


def count_bands(confidence: np.ndarray, correct: np.ndarray) -> tuple[Band, ...]:
    """The bands of (n,) probabilities of the answers, 0..1, and whether each is right."""
    place = np.clip(np.searchsorted(EDGES, confidence, side="right") - 1, 0, len(EDGES) - 2)
    images = np.bincount(place, minlength=len(EDGES) - 1)
    right = np.bincount(place, weights=correct, minlength=len(EDGES) - 1)
    pairs = zip(EDGES, EDGES[1:], images.tolist(), right.tolist(), strict=False)
    return tuple(Band(low, high, count, int(good)) for low, high, count, good in pairs)


def read_bands(metrics: Mapping[str, Any]) -> tuple[Band, ...]:
    """The bands in the content of metrics.json, which may come from strangers; none if they are missing or damaged."""
    entries = metrics.get("bands")
    if not isinstance(entries, list) or len(entries) > MOST:
        return ()
    bands = [band for entry in entries if (band := _read_band(entry))]
    return tuple(bands) if len(bands) == len(entries) else ()


def find_band(bands: Sequence[Band], probability: float) -> Band | None:
    """The band of a probability; None without bands, or between them."""
    for band in bands:
        if band.low <= probability < band.high or probability >= band.high == 1:
            return band
    return None


def _read_band(entry: object) -> Band | None:
    if not isinstance(entry, dict):
        return None
    low, high, images, right = (entry.get(key) for key in ("low", "high", "images", "right"))
    if not all(is_number(value) for value in (low, high, images, right)):
        return None
    if not (0 <= low < high <= 1 and 0 <= right <= images < 1e12):  # type: ignore[operator]
        return None
    return Band(float(low), float(high), int(images), int(right))  # type: ignore[arg-type]
