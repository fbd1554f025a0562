"""The convolutional tokenizer with the winners of ReLU and max pool frozen at one picture, walked back to the pixels.

A walk only needs the transposes: a window that read from a cell gives to that cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..architecture.config import ConvStage, slide
from ..images.preprocessing import normalise
from ..inference.trace import Trace
from .frozen import require_weights_of_model


def before_tokenizer(trace: Trace, slope: np.ndarray) -> np.ndarray:
    """(C, H, W, channels) float32: the slope by the normalised pixels, from the slope (C, N, D) by the tokens.

    Biases do not matter for a slope, but they do for the winners: the convolutions must have none.
    """
    config, weights = require_weights_of_model(trace)
    inputs = [normalise(trace.pixels, config.preprocessing), *trace.feature_maps[:-1]]
    slope = slope.reshape(len(slope), *trace.grid, -1)
    for i in reversed(range(len(config.tokenizer))):
        slope = _before_stage(slope, inputs[i], config.tokenizer[i], weights[f"tokenizer/conv_{i}/kernel"])
    return slope


def _before_stage(slope: np.ndarray, x: np.ndarray, stage: ConvStage, kernel: np.ndarray) -> np.ndarray:
    """The slope by the input x (h, w, c) of a stage, from the slope (C, h', w', c') by its output."""
    place = _Windows(x.shape[:2], stage.kernel_size, stage.stride, stage.padding, stage.conv_padding)
    padded = place.pad(x, 0.0)
    matrix = kernel.reshape(-1, kernel.shape[-1])  # (k k c, c')
    convolved = np.concatenate(list(place.each(padded)), axis=-1) @ matrix
    if stage.pool_size:
        slope = _before_pool(slope, np.maximum(convolved, 0) if stage.relu else convolved, stage)
    if stage.relu:
        slope = slope * (convolved > 0)
    out = np.zeros((len(slope), *padded.shape), np.float32)
    for window, part in zip(place.each(out), np.split(slope @ matrix.T, stage.kernel_size**2, axis=-1), strict=True):
        window += part
    return place.crop(out)


def _before_pool(slope: np.ndarray, x: np.ndarray, stage: ConvStage) -> np.ndarray:
    """The slope by the input of a max pool: all of it goes to each window's largest cell, the first one on a tie."""
    zeros = stage.pool_zero_padding
    x = np.pad(x, ((zeros, zeros), (zeros, zeros), (0, 0)))  # zeros can win, unlike the padding of "same"
    place = _Windows(x.shape[:2], stage.pool_size, stage.pool_stride, 0, stage.pool_padding)
    padded = place.pad(x, -np.inf)
    largest = np.full(slope.shape[1:], -np.inf, np.float32)
    winner = np.zeros(largest.shape, np.int16)  # a running argmax: NumPy's over the first axis takes twice as long
    for n, window in enumerate(place.each(padded)):
        np.copyto(winner, n, where=window > largest)
        np.maximum(largest, window, out=largest)
    out = np.zeros((len(slope), *padded.shape), np.float32)
    for n, window in enumerate(place.each(out)):
        window += slope * (winner == n)
    out = place.crop(out)
    return out[:, zeros : out.shape[1] - zeros, zeros : out.shape[2] - zeros]


class _Windows:
    """The windows of a convolution or pool over (height, width) cells, one offset in the window at a time."""

    def __init__(self, sides: tuple[int, ...], size: int, stride: int, padding: int, rule: str):
        self.sides, self.size, self.stride = sides, size, stride
        (self.height, top), (self.width, left) = (slide(side, size, stride, padding, rule) for side in sides)
        self.starts = top, left

    def pad(self, x: np.ndarray, value: float) -> np.ndarray:
        """x (h, w, c) with `value` around it, as far as the windows reach."""
        reach = [(count - 1) * self.stride + self.size for count in (self.height, self.width)]
        around = [
            (start, max(0, end - start - side)) for start, end, side in zip(self.starts, reach, self.sides, strict=True)
        ]
        return np.pad(x, (*around, (0, 0)), constant_values=value)

    def each(self, padded: np.ndarray) -> Iterator[np.ndarray]:
        """Views (..., height, width, c), one for each offset in a window: the cells that stand there, row by row."""
        for i in range(self.size):
            for j in range(self.size):
                rows = slice(i, i + (self.height - 1) * self.stride + 1, self.stride)
                columns = slice(j, j + (self.width - 1) * self.stride + 1, self.stride)
                yield padded[..., rows, columns, :]

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """(..., h, w, c): what `pad` put around is cut off."""
        (top, left), (height, width) = self.starts, self.sides
        return padded[..., top : top + height, left : left + width, :]
