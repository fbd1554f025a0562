"""The convolutional tokenizer's feature maps, ordered by RMS activation."""

from __future__ import annotations

import numpy as np

from ..inference.trace import Trace


def rank_channels(trace: Trace, stage: int) -> np.ndarray:
    """(c, h, w) float32, the feature maps of a conv stage, the channel with the largest RMS activation first.

    Raises:
        ValueError: no such stage.
    """
    count = len(trace.feature_maps)
    if not -count <= stage < count:
        raise ValueError(f"stage {stage} does not exist; this model has stages 0 to {count - 1}")
    maps = np.moveaxis(trace.feature_maps[stage], -1, 0)
    energy = np.mean(np.square(maps, dtype=np.float64), axis=(1, 2))
    return np.ascontiguousarray(maps[np.argsort(-energy, kind="stable")])
