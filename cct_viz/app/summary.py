"""An explanation in a few lines of JSON, for readers such as language models that cannot read every number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference.bands import Band
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from ..methods import describe

CLASSES, MAPS, TOKENS = 3, 4, 5  # at most, of each kind
PLACES = (
    "row and column count from 0 at the top left; x and y are the centre of what the token sees, as shares of the "
    "width and height of the shown picture"
)


def summarise(trace: Trace, heatmaps: Heatmaps, target: str, band: Band | None) -> dict[str, Any]:
    """The answer and what it is worth, how exact the maps are, and the strongest tokens of each map.

    Args:
        trace: what is explained.
        heatmaps: its maps; of more than MAPS, the first are told.
        target: the class that is explained.
        band: the validation images with answers about as certain; None if they were not counted.
    """
    top = [{"label": label, "probability": round(share, 4)} for label, share in trace.top(CLASSES)]
    return {
        "answer": top[0]["label"],
        "top": top,
        "worth": _worth(band),
        "explained_class": target,
        "method": heatmaps.method,
        "description": describe(heatmaps.method),
        "unit": heatmaps.unit,
        "identity_errors": {name: float(f"{error:.1e}") for name, error in heatmaps.checks.items()},
        "grid": list(trace.grid),
        "places": PLACES,
        "maps": [{"name": name, "strongest": _strongest(trace, values)} for name, values in list(heatmaps)[:MAPS]],
        "more_maps": max(0, len(heatmaps.names) - MAPS),
        "note": heatmaps.note,
    }


def _worth(band: Band | None) -> str:
    """What the first probability is worth, in words."""
    share = band.record()["of_100"] if band else None
    if band is None or share is None:
        return "It was not measured how often answers with this probability are right."
    return (
        f"Of 100 validation images answered with {band.low:.0%} to {band.high:.0%}, {share} were right. This holds for "
        "pictures like those: the model cannot answer that it shows none of its classes."
    )


def _strongest(trace: Trace, values: np.ndarray) -> list[dict[str, float]]:
    """The tokens of one map (gh, gw) with the largest values, positive or negative."""
    height, width = trace.pixels.shape[:2]
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:TOKENS]
    tokens = []
    for row, column in zip(*np.unravel_index(order, values.shape), strict=True):
        y, x = trace.stages[-1].centres[row, column] / (height, width)
        place = {"row": int(row), "column": int(column), "x": round(float(x), 3), "y": round(float(y), 3)}
        tokens.append({**place, "value": float(f"{values[row, column]:.4g}")})
    return tokens
