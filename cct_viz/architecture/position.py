"""Positional embeddings: the sinusoidal formula, and resizing a trained embedding to another grid. Numpy only."""

from __future__ import annotations

import numpy as np


def sinusoidal_position(length: int, dim: int) -> np.ndarray:
    """(length, dim) float32 positional embedding: sin on even and cos on odd channels.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5
    """
    channel = np.arange(dim)
    angle = np.arange(length)[:, None] / 10000.0 ** (2 * (channel // 2) / dim)
    return np.where(channel % 2 == 0, np.sin(angle), np.cos(angle)).astype("float32")


def resize_position(position: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Resize a positional embedding bilinearly from the grid `old` (rows, columns) to the grid `new`.

    Args:
        position: (M, D) float32. M is the number of tokens of `old`, or one more with the class token's row first,
            which stays unchanged.

    Returns:
        (M', D) float32. Cells are aligned by their centres and the border is repeated, as image libraries do.
    """
    extra = len(position) - old[0] * old[1]
    table = position[extra:].reshape(*old, -1)
    rows, columns = _weights(old[0], new[0]), _weights(old[1], new[1])
    resized = np.einsum("Yy,Xx,yxd->YXd", rows, columns, table, optimize=True)
    return np.concatenate([position[:extra], resized.reshape(new[0] * new[1], -1)]).astype(np.float32)


def _weights(old: int, new: int) -> np.ndarray:
    """(new, old): interpolation weights of the old cells for each new cell; rows sum to 1."""
    middle = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0.0, 1.0 - np.abs(middle[:, None] - np.arange(old)))
