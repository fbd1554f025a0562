"""All gradients of the package, by Keras on TensorFlow. Importing this module loads both, so import it only on use.

Every gradient is of the logit y_c of one class, as in the published methods.
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

BATCH = 32  # images per backward pass


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of y_c with respect to arrays of a trace, at the trace's image. float32, read-only.

    Attributes:
        attentions: (L, A, M, M), indexed by layer as in the trace.
        representation: (M, D).
        pooling_weights: (N,), or None if the model has none.
    """

    attentions: np.ndarray
    representation: np.ndarray
    pooling_weights: np.ndarray | None

    def __post_init__(self) -> None:
        for array in (self.attentions, self.representation, self.pooling_weights):
            if array is not None:
                array.setflags(write=False)


@lru_cache(maxsize=2)  # four methods use the same gradients of one trace in turn
def differentiate(classifier: Classifier, trace: Trace, target: int) -> Gradients:
    """The gradient of y_c by all attentions, the representation and the pooling weights, in one backward pass.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
    """
    model = _model(classifier)
    images = tf.constant(normalise(trace.pixels[None], classifier.config.preprocessing))
    mask = tf.ones((1, classifier.config.num_tokens))
    with tf.GradientTape() as tape:
        tape.watch(mask)  # the weights of mean pooling depend on the mask only
        seen = model.intermediates(images, mask)
        score = seen["logits"][0, target]
    names = [f"attentions_{layer}" for layer in range(classifier.config.num_layers)]
    wanted = {name: seen[name] for name in (*names, "representation", "pooling_weights") if name in seen}
    gradients = tape.gradient(score, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    pool = gradients.get("pooling_weights")
    return Gradients(
        np.stack([gradients[name][0].numpy() for name in names]),
        gradients["representation"][0].numpy(),
        None if pool is None else pool[0].numpy(),
    )


def differentiate_layers(classifier: Classifier, trace: Trace, target: int) -> Gradients:
    """For each block, apply the readout to its output and differentiate that logit by the block's own attention.

    Every block starts from the trace's stream, so no gradient passes between blocks and one backward pass gives all of
    them. `representation` and `pooling_weights` are those of the last block, as in the model.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
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
    gradients = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    pool = gradients.get("pooling_weights")
    return Gradients(
        np.stack([gradient[0].numpy() for gradient in gradients["attentions"]]),
        gradients["representation"][0].numpy(),
        None if pool is None else pool[0].numpy(),
    )


def differentiate_pixels(classifier: Classifier, batch: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """(B,) y_c, and (B, H, W, 3) its gradient by the pixels of a (B, H, W, 3) float32 batch, already normalised.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
    """
    model = _model(classifier)
    scores, gradients = [], []
    for start in range(0, len(batch), BATCH):
        images = tf.constant(batch[start : start + BATCH])
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = model(images)[:, target]  # the images are independent, so the gradient of the sum gives each
        gradients.append(tape.gradient(score, images).numpy())
        scores.append(score.numpy())
    return np.concatenate(scores), np.concatenate(gradients)


def _model(classifier: Classifier) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"gradients need Keras on TensorFlow, not on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    return classifier.network
