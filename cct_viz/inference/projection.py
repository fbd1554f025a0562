"""From the tokens to the pixels of the displayed crop."""

from __future__ import annotations

import numpy as np

from ..architecture.geometry import StageGeometry


def project(stage: StageGeometry, values: np.ndarray, size: tuple[int, int], extent: tuple[int, int]) -> np.ndarray:
    """(..., *size) values at pixels: linear between the cells' receptive-field centres, constant beyond them.

    Stretching the grid instead would put every cell too far up and left, because padding shifts the windows.

    Args:
        stage: the positions of the cells, here the tokens.
        values: (..., gh, gw), one per cell.
        size: (height, width) of the result, which covers the displayed crop.
        extent: (H, W) of the model's input, in whose pixels `stage` is.

    Raises:
        ValueError: values that do not fit the grid.
    """
    grid = stage.centres.shape[:2]
    if values.shape[-2:] != grid:
        raise ValueError(f"the map has shape {values.shape}; the tokens lie on a grid of {grid}")
    rows = _interpolation(stage.centres[:, 0, 0], size[0], extent[0])
    columns = _interpolation(stage.centres[0, :, 1], size[1], extent[1])
    return rows @ values @ columns.T


def _interpolation(centres: np.ndarray, count: int, length: int) -> np.ndarray:
    """(count, cells) weights of the cells at `count` output pixels that cover `length` pixels of the model's input."""
    places = (np.arange(count) + 0.5) * (length / count)
    return np.stack([np.interp(places, centres, cell) for cell in np.eye(len(centres))], axis=1)
