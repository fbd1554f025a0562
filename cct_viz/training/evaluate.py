"""Metrics of a classifier on labelled images: top-1 and top-5 accuracy, loss, calibration error, confusion matrix.

For models with sequence pooling also the position prior: the mean of the pooling weights over the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..architecture.pools import find_pool
from ..images.preprocessing import normalise
from .data import DataError, Images

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

BINS = 15


@dataclass(frozen=True, eq=False)
class Metrics:
    """The results of one evaluation.

    Attributes:
        accuracy, top5: top-1 and top-5 accuracy in 0..1.
        loss: mean cross-entropy in nats, without label smoothing.
        ece: expected calibration error in 0..1, 15 bins of equal width (Guo et al. 2017, arXiv 1706.04599).
        images: number of images.
        confusion: (K, K) int, rows are the true classes.
        position_prior: (N,) float64, each token's mean pooling weight over the images, tokens row by row; None for a
            model without sequence pooling.
    """

    accuracy: float
    top5: float
    loss: float
    ece: float
    images: int
    confusion: np.ndarray
    position_prior: np.ndarray | None = None

    def summary(self) -> dict[str, float]:
        """The numbers without the matrix and the prior, ready for JSON."""
        return {
            "accuracy": self.accuracy,
            "top5": self.top5,
            "loss": self.loss,
            "ece": self.ece,
            "images": self.images,
        }

    def record(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        record: dict[str, Any] = {**self.summary(), "confusion": self.confusion.tolist()}
        if self.position_prior is not None:
            record["position_prior"] = [round(share, 8) for share in self.position_prior.tolist()]
        return record


def evaluate(classifier: Classifier, images: Images, *, batch_size: int = 250) -> Metrics:
    """Evaluate `classifier` on labelled images.

    Classes are matched by name if the images have class names, else by number. An underscore and a space are the same.

    Raises:
        DataError: labels that the classifier does not have.
    """
    k = len(classifier.labels)
    if images.labels is not None:
        known = [label.replace("_", " ") for label in classifier.labels]
        unknown = [label for label in images.labels if label.replace("_", " ") not in known]
        if unknown:
            raise DataError(
                f"the model has no class {', '.join(unknown)}; its classes are {', '.join(classifier.labels)}"
            )
        numbers = np.array([known.index(label.replace("_", " ")) for label in images.labels])
        images = images._replace(y=numbers[images.y], labels=None)
    if images.y.min() < 0 or images.y.max() >= k:
        raise DataError(f"the labels are {images.y.min()} to {images.y.max()}; the model has classes 0 to {k - 1}")
    own_size = images.x.shape[1:3] == classifier.config.image_size and classifier.config.preprocessing.crop == 1
    logits: list[np.ndarray] = []
    prior = np.zeros(classifier.config.num_tokens)
    for start in range(0, len(images.x), batch_size):
        batch = images.x[start : start + batch_size]
        pixels = batch if own_size else np.stack([classifier.preprocess(image).pixels for image in batch])
        answers, weights = classifier.read_out(normalise(pixels, classifier.config.preprocessing))
        logits.append(answers)
        if weights is not None:
            prior += weights.sum(axis=0, dtype=np.float64)
    metrics = measure(np.concatenate(logits), images.y)
    if not find_pool(classifier.config.pool).has_scores:
        return metrics
    return replace(metrics, position_prior=prior / len(images.x))


def measure(logits: np.ndarray, y: np.ndarray) -> Metrics:
    """Compute the metrics of (n, K) logits against (n,) true classes."""
    n, k = logits.shape
    logits = logits.astype(np.float64)
    log_probabilities = logits - logits.max(axis=1, keepdims=True)
    log_probabilities -= np.log(np.exp(log_probabilities).sum(axis=1, keepdims=True))
    order = np.argsort(-logits, axis=1, kind="stable")
    correct = order[:, 0] == y
    confidence = np.exp(log_probabilities.max(axis=1))
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    confusion = np.zeros((k, k), np.int64)
    np.add.at(confusion, (y, order[:, 0]), 1)
    return Metrics(
        accuracy=float(correct.mean()),
        top5=float((order[:, : min(5, k)] == y[:, None]).any(axis=1).mean()),
        loss=float(-log_probabilities[np.arange(n), y].mean()),
        ece=float(math.fsum(abs(gaps)) / n),
        images=n,
        confusion=confusion,
    )
