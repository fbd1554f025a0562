"""Position tables: the sinusoidal formula, and a trained table resized to another token grid. Numpy only."""

from __future__ import annotations

import numpy as np


def sinusoidal_position(length: int, dim: int) -> np.ndarray:
    """(length, dim) float32 table: sin on even and cos on odd channels.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5
    """
    channel = np.arange(dim)
    angle = np.arange(length)[:, None] / 10000.0 ** (2 * (channel // 2) / dim)
    return np.where(channel % 2 == 0, np.sin(angle), np.cos(angle)).astype("float32")


def resize_position(position: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """A table for `old` (rows, columns) of tokens, bilinearly resized to `new` ones.

    Args:
        position: (M, D) float32, M the tokens of `old`, or one more with the class token's row first, which is kept.

    Returns:
        (M', D) float32. Cells are compared by their middles and the border is repeated, as image libraries do.
    """
    extra = len(position) - old[0] * old[1]
    table = position[extra:].reshape(*old, -1)
    rows, columns = _weights(old[0], new[0]), _weights(old[1], new[1])
    resized = np.einsum("Yy,Xx,yxd->YXd", rows, columns, table, optimize=True)
    return np.concatenate([position[:extra], resized.reshape(new[0] * new[1], -1)]).astype(np.float32)


def _weights(old: int, new: int) -> np.ndarray:
    """(new, old): how much of each old cell a new one takes, rows summing to 1."""
    middle = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0.0, 1.0 - np.abs(middle[:, None] - np.arange(old)))
