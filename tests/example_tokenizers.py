"""Tokenizers of several shapes, and which pixels reach which cells."""

import numpy as np
from conftest import tiny_config

from cct_viz.architecture.config import ConvStage

OFFICIAL = ConvStage(8, padding=1)
TOKENIZERS = {
    "keras.io": tiny_config(image_size=(32, 32)),
    "keras.io, odd and not square": tiny_config(image_size=(27, 38)),
    "official 3x1": tiny_config(image_size=(32, 32), tokenizer=(OFFICIAL,)),
    "official 3x2": tiny_config(image_size=(32, 24), tokenizer=(OFFICIAL, OFFICIAL)),
    "official 7x2 with stride": tiny_config(
        image_size=(61, 48), tokenizer=(ConvStage(4, 7, 2, 3), ConvStage(8, 7, 2, 3))
    ),
    "same convolutions with stride": tiny_config(
        image_size=(61, 48),
        tokenizer=(
            ConvStage(4, 7, 2, conv_padding="same", pool_zero_padding=0, pool_padding="same"),
            ConvStage(8, 4, 2, conv_padding="same", pool_zero_padding=0, pool_padding="same"),
        ),
    ),
    "patches": tiny_config(
        image_size=(16, 24), tokenizer=(ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0),)
    ),
}


def sliding(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """(h, w, ...) windows of `size` x `size` cells, every `stride` cells."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    return windows[::stride, ::stride]


def padded(x: np.ndarray, rule: str, size: int, stride: int) -> np.ndarray:
    """`x` with zero padding by TensorFlow's rule."""
    if rule == "valid":
        return x
    need = [max(0, (-(-n // stride) - 1) * stride + size - n) for n in x.shape]
    return np.pad(x, [(n // 2, n - n // 2) for n in need])


def reach(config, stage_count: int, y: int, x: int) -> np.ndarray:
    """Which cells of a stage a pixel reaches, computed by passing a marker through the tokenizer's windows."""
    marked = np.zeros(config.image_size, bool)
    marked[y, x] = True
    for stage in config.tokenizer[:stage_count]:
        marked = padded(np.pad(marked, stage.padding), stage.conv_padding, stage.kernel_size, stage.stride)
        marked = sliding(marked, stage.kernel_size, stage.stride).any(axis=(-1, -2))
        if stage.pool_size:
            marked = np.pad(marked, stage.pool_zero_padding)
            marked = padded(marked, stage.pool_padding, stage.pool_size, stage.pool_stride)
            marked = sliding(marked, stage.pool_size, stage.pool_stride).any(axis=(-1, -2))
    return marked
