"""The convolutional tokenizer's feature maps, ordered by RMS activation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..inference.trace import Trace


@dataclass(frozen=True, eq=False)
class ChannelRanking:
    """The channels of one conv stage, strongest first.

    Attributes:
        stage: index of the stage.
        order: (c,) int, channel numbers, largest energy first.
        energy: (c,) float32, RMS activation of each channel, in the order of `order`.
        maps: (c, h, w) float32, activations, in the order of `order`; >= 0 if the stage ends in a ReLU.
    """

    stage: int
    order: np.ndarray
    energy: np.ndarray
    maps: np.ndarray


def rank_channels(trace: Trace, stage: int = -1) -> ChannelRanking:
    """Every channel of a conv stage, ordered by its RMS activation on this image.

    Raises:
        ValueError: no such stage.
    """
    count = len(trace.feature_maps)
    if not -count <= stage < count:
        raise ValueError(f"stage {stage} does not exist; this model has stages 0 to {count - 1}")
    maps = np.moveaxis(trace.feature_maps[stage], -1, 0)
    energy = np.sqrt(np.mean(np.square(maps, dtype=np.float64), axis=(1, 2)))
    order = np.argsort(-energy, kind="stable")
    return ChannelRanking(stage % count, order, energy[order].astype(np.float32), np.ascontiguousarray(maps[order]))
