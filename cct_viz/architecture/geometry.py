"""Receptive fields: which pixels each cell of each conv stage depends on, derived from the configuration.

Pixel coordinates start at the top left of the model's input; pixel i covers [i, i + 1) and its centre is i + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import CCTConfig, ConvStage, slide
from .reprs import short_repr


@dataclass(frozen=True, eq=False)
class StageGeometry:
    """Where the cells of one conv stage lie in the image.

    Attributes:
        windows: (h, w, 4) int32, y0, x0, y1, x1 of the pixels that can change the cell; end exclusive, clipped.
        centres: (h, w, 2) float32, y and x of the centre of the cell's window before clipping, in pixel coordinates.
        stride: (y, x) pixels from one cell to the next.
        window_size: (y, x) pixels of a window before clipping.
    """

    windows: np.ndarray
    centres: np.ndarray
    stride: tuple[int, int]
    window_size: tuple[int, int]

    __repr__ = short_repr

    def __post_init__(self) -> None:
        height, width = self.windows.shape[:2]
        if self.windows.shape != (height, width, 4) or self.centres.shape != (height, width, 2):
            raise ValueError(f"windows {self.windows.shape} and centres {self.centres.shape} do not fit one grid")
        self.windows.setflags(write=False)
        self.centres.setflags(write=False)


def stage_geometry(config: CCTConfig) -> tuple[StageGeometry, ...]:
    """One `StageGeometry` for each conv stage of `config`, in order."""
    geometry = []
    for last, (height, width) in enumerate(config.stage_shapes):
        axes = [_axis(config.tokenizer[: last + 1], config.image_size[axis], (height, width)[axis]) for axis in (0, 1)]
        (rows, row_centres, stride, size), (columns, column_centres, _, _) = axes
        windows = np.empty((height, width, 4), np.int32)
        windows[..., 0], windows[..., 2] = rows[:, :1], rows[:, 1:]
        windows[..., 1], windows[..., 3] = columns[:, 0], columns[:, 1]
        centres = np.stack(np.meshgrid(row_centres, column_centres, indexing="ij"), axis=-1).astype(np.float32)
        geometry.append(StageGeometry(windows, centres, (stride, stride), (size, size)))
    return tuple(geometry)


def _axis(stages: tuple[ConvStage, ...], length: int, cells: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Along one axis of `length` pixels: (cells, 2) clipped windows, (cells,) centres, stride and window size.

    Goes from the last stage back to the pixels. Padding contains no pixels, so windows are clipped at every layer.
    """
    lengths = [length]
    for stage in stages:
        lengths.append(stage.output_length(lengths[-1]))
    start, stop = np.arange(cells), np.arange(cells) + 1  # clipped windows [start, stop)
    first, stride, size = 0, 1, 1  # the unclipped window of cell i is [first + i * stride, ... + size)
    for stage, before in zip(reversed(stages), reversed(lengths[:-1]), strict=True):
        convolved, conv_zeros = slide(before, stage.kernel_size, stage.stride, stage.padding, stage.conv_padding)
        if stage.pool_size:
            _, padding = slide(
                convolved, stage.pool_size, stage.pool_stride, stage.pool_zero_padding, stage.pool_padding
            )
            start, stop = _through(start, stop, stage.pool_size, stage.pool_stride, padding, convolved)
            first, stride, size = (
                first * stage.pool_stride - padding,
                stride * stage.pool_stride,
                (size - 1) * stage.pool_stride + stage.pool_size,
            )
        start, stop = _through(start, stop, stage.kernel_size, stage.stride, conv_zeros, before)
        first, stride, size = (
            first * stage.stride - conv_zeros,
            stride * stage.stride,
            (size - 1) * stage.stride + stage.kernel_size,
        )
    centres = first + np.arange(cells) * stride + size / 2
    return np.stack([start, stop], axis=-1), centres, stride, size


def _through(start, stop, kernel, stride, padding, length):  # type: ignore[no-untyped-def]
    """The inputs in [0, length) that outputs [start, stop) of one sliding window depend on."""
    low = np.clip(start * stride - padding, 0, length)
    high = np.clip((stop - 1) * stride - padding + kernel, low, length)  # empty where a window lies in the padding
    return low, high
