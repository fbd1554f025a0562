"""Runs a Keras model directly: slower than the exported graph, but needs no export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .. import checkpoints
from ..architecture.config import CCTConfig
from ..architecture.keras_model import CCT, build_model
from .classifier import Classifier, Source


class KerasRunner:
    """The runner of a `Classifier` whose weights are in memory only."""

    def __init__(self, model: CCT):
        self._model = model
        blank = np.zeros((1, *model.config.input_shape), np.float32)
        self.output_names = tuple(model.intermediates(blank))

    def run(self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray) -> list[np.ndarray]:
        """The named outputs for one batch."""
        seen = self._model.intermediates(batch, token_mask)
        return [np.asarray(seen[name]) for name in names]


def keras_classifier(config: CCTConfig, weights: Mapping[str, np.ndarray], *, model: CCT | None = None) -> Classifier:
    """A classifier that runs the Keras model of `config` with `weights` (canonical name -> float32 array).

    Args:
        model: a built model of `config` to use again, which takes seconds less than building one. It gets `weights`,
            so a classifier made with it before must not be run any more; its traces stay as they are.

    Raises:
        CheckpointError: the weights do not fit the configuration.
    """
    model = model or build_model(config)
    checkpoints.assign(model, weights)
    return Classifier(config, weights, Source("folder", "in memory", ""), KerasRunner(model), network=model)
