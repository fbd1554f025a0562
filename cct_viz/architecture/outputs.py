"""OUTPUTS: how the scores (logits) of the classes become probabilities.

Two things depend on it: whether the probabilities sum to 1, and whether a shift common to all scores changes anything.
Softmax ignores such a shift, so maps show a class against the mean class. Sigmoid reads each score by itself, so maps
show the score as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .lookup import look_up


@dataclass(frozen=True)
class Output:
    """One way to turn scores into probabilities.

    Attributes:
        probabilities: (..., K) scores -> (..., K) probabilities, of the scores' dtype.
        exclusive: whether the classes compete: a picture has one of them, and probabilities sum to 1. Otherwise each
            class has a probability of its own.
        log_loss: (n, K) scores, (n, K) targets of 0 or 1 -> (n,) negative log-likelihood in nats; for independent
            classes their mean.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    exclusive: bool
    log_loss: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def relative(self, scores: np.ndarray) -> np.ndarray:
        """(..., K) scores minus what all classes have in common: their mean if they compete, else nothing."""
        return scores - scores.mean(axis=-1, keepdims=True) if self.exclusive else scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(-np.abs(scores))  # at most 1, so that nothing overflows
    return np.where(scores >= 0, 1, exponentials) / (1 + exponentials)


def _cross_entropy(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return -((shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))) * targets).sum(axis=-1)


def _binary_cross_entropy(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """log(1 + e^s) - t s, with the exponent kept below 0."""
    return (np.maximum(scores, 0) + np.log1p(np.exp(-np.abs(scores))) - targets * scores).mean(axis=-1)


OUTPUTS: dict[str, Output] = {
    "softmax": Output(_softmax, exclusive=True, log_loss=_cross_entropy),
    "sigmoid": Output(_sigmoid, exclusive=False, log_loss=_binary_cross_entropy),
}


def find_output(name: str) -> Output:
    """The output called `name`.

    Raises:
        ValueError: no output has this name.
    """
    return look_up(OUTPUTS, "output", name)
