"""Between tokens and pixels through the true receptive fields: S_tp is 1 where token t sees pixel p.

The tokens of convolutions overlap, and padding shifts their windows, so a stretched grid would be wrong by up to half a
window. It is right for patches, which do neither.
"""

from __future__ import annotations

import numpy as np

from ..architecture.geometry import StageGeometry


def gather(pixels: np.ndarray, stage: StageGeometry) -> np.ndarray:
    """(gh, gw) float64: every pixel's value of (H, W), shared evenly among the tokens that see it.

    The sum stays the same, except for pixels that no token sees.
    """
    rows, columns = _windows(stage, pixels.shape)
    return (rows / _count(rows.T).T) @ np.asarray(pixels, np.float64) @ (columns / _count(columns.T).T).T


def nearest_token(stage: StageGeometry, size: tuple[int, int]) -> np.ndarray:
    """(H, W) int: for each pixel the token with the nearest window centre, so that every pixel has one owner."""
    owners = []
    for axis, length in enumerate(size):
        centres = stage.centres[:, 0, 0] if axis == 0 else stage.centres[0, :, 1]
        owners.append(np.abs(np.arange(length)[:, None] + 0.5 - centres).argmin(axis=1))
    return owners[0][:, None] * stage.centres.shape[1] + owners[1]


def _windows(stage: StageGeometry, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(gh, H) and (gw, W) of 0 and 1: windows are boxes, so S is the product of its rows and columns."""
    ranges = stage.windows[:, 0, (0, 2)], stage.windows[0, :, (1, 3)].T
    rows, columns = (
        ((low[:, None] <= np.arange(length)) & (np.arange(length) < high[:, None])).astype(np.float64)
        for (low, high), length in zip((r.T for r in ranges), size, strict=True)
    )
    return rows, columns


def _count(cover: np.ndarray) -> np.ndarray:
    return np.maximum(cover.sum(axis=1, keepdims=True), 1.0)
