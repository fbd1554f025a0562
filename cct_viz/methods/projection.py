"""From tokens to pixels through the true receptive fields.

Windows overlap and padding shifts them, so a stretched grid is wrong by up to half a window. Both projections return
the model's own pixels, (H, W); S_tp is 1 if token t sees pixel p.
"""

from __future__ import annotations

import numpy as np

from ..architecture.geometry import StageGeometry
from ..inference.trace import Heatmaps, Trace


def splat(values: np.ndarray, stage: StageGeometry, size: tuple[int, int]) -> np.ndarray:
    """sum_t h_t S_tp / |S_t|: every token spreads its value evenly over its window, which keeps the sum.
    The value of a token that sees only padding is lost.

    Args:
        values: (..., gh, gw), one per cell of the stage.
        stage: the geometry of the cells.
        size: (H, W) of the model's input.

    Returns:
        (..., H, W) float64. Limit: it does not show which pixel of the window changes a token.

    Raises:
        ValueError: values that do not fit the stage.
    """
    rows, columns = _windows(values, stage, size)
    return _mix(values, rows / _count(rows), columns / _count(columns))


def average(values: np.ndarray, stage: StageGeometry, size: tuple[int, int]) -> np.ndarray:
    """sum_t h_t S_tp / sum_t S_tp: every pixel gets the mean of the tokens that see it; a constant stays constant.

    Arguments and errors as in `splat`. (..., H, W) float64; a pixel that no token sees gets 0. Limit: it does not keep
    the sum.
    """
    rows, columns = _windows(values, stage, size)
    token_counts = np.outer(rows.sum(axis=0), columns.sum(axis=0))
    return _mix(values, rows, columns) / np.maximum(token_counts, 1.0)


def project_heatmaps(trace: Trace, heatmaps: Heatmaps) -> np.ndarray:
    """(n, H, W) float32 maps over the model's pixels: `splat` for shares, `average` for signed maps."""
    project = average if heatmaps.signed else splat
    return project(heatmaps.maps, trace.stages[-1], _size(trace)).astype(np.float32)


def gather(pixels: np.ndarray, stage: StageGeometry) -> np.ndarray:
    """(gh, gw) float64, from pixels to tokens: every value of (H, W) is shared evenly among the tokens that see it.

    The sum stays the same, except for pixels that no token sees.
    """
    rows, columns = _windows(stage.windows[..., 0], stage, pixels.shape)
    return (rows / _count(rows.T).T) @ np.asarray(pixels, np.float64) @ (columns / _count(columns.T).T).T


def nearest_token(stage: StageGeometry, size: tuple[int, int]) -> np.ndarray:
    """(H, W) int: for each pixel the token with the nearest window centre, so that every pixel has one owner."""
    owners = []
    for axis, length in enumerate(size):
        centres = stage.centres[:, 0, 0] if axis == 0 else stage.centres[0, :, 1]
        owners.append(np.abs(np.arange(length)[:, None] + 0.5 - centres).argmin(axis=1))
    return owners[0][:, None] * stage.centres.shape[1] + owners[1]


def _windows(values: np.ndarray, stage: StageGeometry, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(gh, H) and (gw, W) of 0 and 1: windows are boxes, so S is the product of rows and columns."""
    if np.shape(values)[-2:] != stage.windows.shape[:2]:
        raise ValueError(f"the map has shape {np.shape(values)}; this conv stage has {stage.windows.shape[:2]} cells")
    ranges = stage.windows[:, 0, (0, 2)], stage.windows[0, :, (1, 3)].T
    rows, columns = (
        ((low[:, None] <= np.arange(length)) & (np.arange(length) < high[:, None])).astype(np.float64)
        for (low, high), length in zip((r.T for r in ranges), size, strict=True)
    )
    return rows, columns


def _mix(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return rows.T @ np.asarray(values, np.float64) @ columns


def _count(cover: np.ndarray) -> np.ndarray:
    return np.maximum(cover.sum(axis=1, keepdims=True), 1.0)


def _size(trace: Trace) -> tuple[int, int]:
    return trace.pixels.shape[0], trace.pixels.shape[1]
