"""The one place that differentiates: Keras on TensorFlow, imported with this module and so only on first use.

All gradients are of one class's logit y_c, as the published methods have it, in the trace's own units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ..images.preprocessing import normalise
from .trace import Trace

if TYPE_CHECKING:
    from .classifier import Classifier

BATCH = 32  # images of one backward pass


@dataclass(frozen=True, eq=False)
class Gradients:
    """dy_c by what a trace holds, at the trace's image. float32, read-only.

    Attributes:
        attentions: (L, A, M, M); layer l's gradient stands at layer l.
        representation: (M, D).
        pooling_weights: (N,), or None where the model has none.
    """

    attentions: np.ndarray
    representation: np.ndarray
    pooling_weights: np.ndarray | None

    def __post_init__(self) -> None:
        for array in (self.attentions, self.representation, self.pooling_weights):
            if array is not None:
                array.setflags(write=False)


@lru_cache(maxsize=2)  # four methods ask the same of one trace, one after another
def differentiate(classifier: Classifier, trace: Trace, target: int) -> Gradients:
    """One forward and one backward pass: the gradient of y_c by every attention, by the representation and the pool.

    Raises:
        RuntimeError: Keras runs on another backend than TensorFlow.
    """
    model = _model(classifier)
    images = tf.constant(normalise(trace.pixels[None], classifier.config.preprocessing))
    mask = tf.ones((1, classifier.config.num_tokens))
    with tf.GradientTape() as tape:
        tape.watch(mask)  # the weights of mean pooling depend on nothing else
        seen = model.intermediates(images, mask)
        score = seen["logits"][0, target]
    names = [f"attentions_{layer}" for layer in range(classifier.config.num_layers)]
    wanted = {name: seen[name] for name in (*names, "representation", "pooling_weights") if name in seen}
    found = tape.gradient(score, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    pool = found.get("pooling_weights")
    return Gradients(
        np.stack([found[name][0].numpy() for name in names]),
        found["representation"][0].numpy(),
        None if pool is None else pool[0].numpy(),
    )


def differentiate_layers(classifier: Classifier, trace: Trace, target: int) -> Gradients:
    """The gradient of what the readout says right after each block, by that block's own attention.

    Every block starts from the trace's stream, so no gradient passes from one to another and one backward pass gives
    all; `representation` and `pooling_weights` are those of the last block, the model's own.

    Raises:
        RuntimeError: Keras runs on another backend than TensorFlow.
    """
    model = _model(classifier)
    mask, key_mask = tf.ones((1, classifier.config.num_tokens)), tf.ones((1, classifier.config.sequence_length))
    attentions, total = [], 0.0
    with tf.GradientTape() as tape:
        tape.watch(mask)
        for block, stream in zip(model.blocks, trace.stream[:-1], strict=True):
            out = block(tf.constant(stream[None]), key_mask)
            representation = model.norm(out.stream)
            pooled, seen = model.pooling(representation, mask)
            total = total + model.head(pooled)[0, target]
            attentions.append(out.attentions)
    wanted = {"attentions": attentions, "representation": representation}
    if "pooling_weights" in seen:
        wanted["pooling_weights"] = seen["pooling_weights"]
    found = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    pool = found.get("pooling_weights")
    return Gradients(
        np.stack([gradient[0].numpy() for gradient in found["attentions"]]),
        found["representation"][0].numpy(),
        None if pool is None else pool[0].numpy(),
    )


def differentiate_pixels(classifier: Classifier, batch: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """(B,) y_c and (B, H, W, 3) its gradient by the pixels of a (B, H, W, 3) float32 batch, already normalised.

    Raises:
        RuntimeError: Keras runs on another backend than TensorFlow.
    """
    model = _model(classifier)
    scores, gradients = [], []
    for start in range(0, len(batch), BATCH):
        images = tf.constant(batch[start : start + BATCH])
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = model(images)[:, target]  # images of a batch do not touch each other, so one sum serves all
        gradients.append(tape.gradient(score, images).numpy())
        scores.append(score.numpy())
    return np.concatenate(scores), np.concatenate(gradients)


def _model(classifier: Classifier) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"gradients need Keras on TensorFlow, not on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    return classifier.model
