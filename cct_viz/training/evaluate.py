"""Metrics of a classifier on labelled images: accuracy, loss, calibration error and confusion matrix.

Classes that compete (softmax) give one answer for an image: the class with the highest score. Independent classes
(sigmoid) give one answer for each class: yes if its probability is 50 % or more.

For models with sequence pooling also the position prior: the mean of the pooling weights over the images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..architecture.outputs import find_output
from ..architecture.pools import find_pool
from ..architecture.reprs import short_repr
from ..images.preprocessing import normalise
from ..inference.bands import Band, count_bands
from .data import DataError, Images, check_classes, make_targets

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

BINS = 15


@dataclass(frozen=True, eq=False)
class Metrics:
    """The results of one evaluation.

    Attributes:
        accuracy: top-1 accuracy in 0..1; for independent classes the share of right answers, over images and classes.
        top5: top-5 accuracy in 0..1; None for independent classes.
        loss: mean cross-entropy in nats, without label smoothing; for independent classes binary cross-entropy.
        ece: expected calibration error of the answers in 0..1, 15 bins of equal width (Guo et al. 2017, arXiv
            1706.04599).
        images: number of images.
        confidence: mean probability of the answers in 0..1. Below the accuracy the model is too modest, above it too
            sure; the calibration error alone does not tell which.
        bands: how many answers of each certainty were right, see `inference.bands`; empty for independent classes.
        confusion: (K, K) int, rows are the true classes; for independent classes (K, 2, 2), one matrix for each class,
            rows are the truth, no and yes.
        position_prior: (N,) float64, each token's mean pooling weight over the images, tokens row by row; None for a
            model without sequence pooling.
    """

    accuracy: float
    top5: float | None
    loss: float
    ece: float
    images: int
    confusion: np.ndarray
    confidence: float = 0.0
    bands: tuple[Band, ...] = ()
    position_prior: np.ndarray | None = None

    __repr__ = short_repr

    def summary(self) -> dict[str, float]:
        """The numbers without the matrix and the prior, ready for JSON."""
        top5 = {} if self.top5 is None else {"top5": self.top5}
        return {"accuracy": self.accuracy, **top5, "loss": self.loss, "ece": self.ece, "images": self.images}

    def rows(self) -> list[tuple[str, str]]:
        """(name, value) of each number, for people."""
        if self.top5 is None:
            accuracy = [("right answers, yes from 50 %", f"{self.accuracy:.2%}")]
        else:
            accuracy = [("top-1 accuracy", f"{self.accuracy:.2%}"), ("top-5 accuracy", f"{self.top5:.2%}")]
        loss = "cross-entropy" if self.top5 is not None else "binary cross-entropy"
        return [
            *accuracy,
            (loss, f"{self.loss:.4f} nats"),
            (f"expected calibration error, {BINS} bins", f"{self.ece:.4f}"),
            ("mean probability of the answers", f"{self.confidence:.2%}"),
        ]

    def record(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        record: dict[str, Any] = {**self.summary(), "confusion": self.confusion.tolist(), "confidence": self.confidence}
        if self.bands:
            record["bands"] = [asdict(band) for band in self.bands]
        if self.position_prior is not None:
            record["position_prior"] = [round(share, 8) for share in self.position_prior.tolist()]
        return record


def evaluate(classifier: Classifier, images: Images, *, batch_size: int = 250) -> Metrics:
    """Evaluate `classifier` on labelled images.

    Classes are matched by name if the images have class names, where an underscore and a space are the same, else by
    number. For a model of one class, images of any other class have the answer no.

    Raises:
        DataError: labels that the classifier does not have.
    """
    if images.y.ndim == 2 and find_output(classifier.config.output).exclusive:
        raise DataError("y is a table of images and classes, but this model names one class for an image; give numbers")
    y = _match_classes(images, classifier.labels)
    targets = make_targets(y, len(classifier.labels))
    logits: list[np.ndarray] = []
    prior = np.zeros(classifier.config.num_tokens)
    for batch in _batches(classifier, images.x, batch_size):
        answers, weights = classifier.read_out(batch)
        logits.append(answers)
        if weights is not None:
            prior += weights.sum(axis=0, dtype=np.float64)
    metrics = measure(np.concatenate(logits), targets, output=classifier.config.output)
    if not find_pool(classifier.config.pool).has_scores:
        return metrics
    return replace(metrics, position_prior=prior / len(images.x))


def pool_images(classifier: Classifier, images: np.ndarray, *, batch_size: int = 250) -> np.ndarray:
    """(n, D) float32: the pooled vectors of (n, H, W, 3) uint8 images."""
    return np.concatenate([classifier.read_pooled(batch)[1] for batch in _batches(classifier, images, batch_size)])


def _batches(classifier: Classifier, images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The images in batches, cropped and scaled if they are not of the model's size, and normalised."""
    preprocessing = classifier.config.preprocessing
    own_size = images.shape[1:3] == classifier.config.image_size and preprocessing.crop == 1
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        pixels = batch if own_size else np.stack([classifier.preprocess(image).pixels for image in batch])
        yield normalise(pixels, preprocessing)


def _match_classes(images: Images, labels: tuple[str, ...]) -> np.ndarray:
    """`images.y` in the numbers of the model's classes."""
    y, k = images.y, len(labels)
    if images.labels is None:
        check_classes(y, k)
        return y
    named, own = [[label.replace("_", " ") for label in names] for names in (images.labels, labels)]
    if k == 1:
        if own[0] not in named:
            raise DataError(f"the model has one class, {labels[0]}, but the images have {', '.join(images.labels)}")
        return (y == named.index(own[0])).astype(np.int64)
    if unknown := [label for label in named if label not in own]:
        raise DataError(f"the model has no class {', '.join(unknown)}; its classes are {', '.join(labels)}")
    return np.array([own.index(label) for label in named])[y]


def measure(logits: np.ndarray, targets: np.ndarray, *, output: str = "softmax") -> Metrics:
    """Compute the metrics of (n, K) logits against (n, K) targets of 0 and 1, as from `make_targets`."""
    logits, rule = logits.astype(np.float64), find_output(output)
    probabilities = rule.probabilities(logits)
    if rule.exclusive:
        y, order = targets.argmax(axis=1), np.argsort(-logits, axis=1, kind="stable")
        correct, confidence = order[:, 0] == y, probabilities.max(axis=1)
        top5 = float((order[:, :5] == y[:, None]).any(axis=1).mean())
        confusion = np.zeros((logits.shape[1],) * 2, np.int64)
        np.add.at(confusion, (y, order[:, 0]), 1)
    else:
        yes, truth = probabilities >= 0.5, targets == 1
        correct, confidence, top5 = (yes == truth).ravel(), np.maximum(probabilities, 1 - probabilities).ravel(), None
        confusion = np.stack([(truth == t)[..., None] & (yes == p)[..., None] for t in (0, 1) for p in (0, 1)], axis=-1)
        confusion = confusion.sum(axis=0).reshape(-1, 2, 2)
    return Metrics(
        accuracy=float(correct.mean()),
        top5=top5,
        loss=float(rule.log_loss(logits, targets).mean()),
        ece=_calibration_error(confidence, correct),
        images=len(logits),
        confusion=confusion,
        confidence=float(confidence.mean()),
        bands=count_bands(confidence, correct) if rule.exclusive else (),
    )


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(math.fsum(abs(gaps)) / len(confidence))
