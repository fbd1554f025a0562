"""All gradients of the package, by Keras on TensorFlow. Importing this module loads both, so import it only on use.

Every gradient is of the logit y_c of one class, as in the published methods.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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
PATIENCE = 32  # calls before a gradient is compiled


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
    images = normalise(trace.pixels[None], classifier.config.preprocessing)
    return _gradients(*_repeat(_by_attentions, _model(classifier))(images, target))


def differentiate_layers(classifier: Classifier, trace: Trace, target: int) -> Gradients:
    """For each block, apply the readout to its output and differentiate that logit by the block's own attention.

    Every block starts from the trace's stream, so no gradient passes between blocks and one backward pass gives all of
    them. `representation` and `pooling_weights` are those of the last block, as in the model.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
    """
    return _gradients(*_repeat(_by_own_attentions, _model(classifier))(trace.stream[:-1], target))


def differentiate_pixels(classifier: Classifier, batch: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """(B,) y_c, and (B, H, W, 3) its gradient by the pixels of a (B, H, W, 3) float32 batch, already normalised.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
    """
    differentiate_batch = _repeat(_by_pixels, _model(classifier))
    parts = [differentiate_batch(batch[start : start + BATCH], target) for start in range(0, len(batch), BATCH)]
    scores, gradients = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(gradients)


def _by_attentions(model: Any, images: tf.Tensor, target: tf.Tensor) -> tuple[Any, ...]:
    """The gradients of one image's logit by every attention, the representation and the pooling weights."""
    mask = tf.ones((1, model.config.num_tokens))
    with tf.GradientTape() as tape:
        tape.watch(mask)  # the weights of mean pooling depend on the mask only
        seen = model.intermediates(images, mask)
        score = seen["logits"][0, target]
    attentions = [seen[f"attentions_{layer}"] for layer in range(model.config.num_layers)]
    return _gradient(tape, score, attentions, seen["representation"], seen)


def _by_own_attentions(model: Any, streams: tf.Tensor, target: tf.Tensor) -> tuple[Any, ...]:
    """As `_by_attentions`, each block on its own: `streams` (L, M, D) are the inputs of the blocks."""
    mask, key_mask = tf.ones((1, model.config.num_tokens)), tf.ones((1, model.config.sequence_length))
    attentions, total = [], tf.constant(0.0)
    with tf.GradientTape() as tape:
        tape.watch(mask)
        for layer, block in enumerate(model.blocks):
            out = block(streams[layer][None], key_mask)
            representation = model.norm(out.stream)
            pooled, seen = model.pooling(representation, mask)
            total = total + model.head(pooled)[0, target]
            attentions.append(out.attentions)
    return _gradient(tape, total, attentions, representation, seen)


def _by_pixels(model: Any, images: tf.Tensor, target: tf.Tensor) -> tuple[Any, ...]:
    """(B,) logits and (B, H, W, C) their gradients by the images."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = tf.gather(model(images), target, axis=1)  # images are independent: the sum's gradient gives each
    return score, tape.gradient(score, images)


def _gradient(
    tape: tf.GradientTape, score: tf.Tensor, attentions: list[tf.Tensor], representation: tf.Tensor, seen: Any
) -> tuple[Any, ...]:
    pool = [seen["pooling_weights"]] if "pooling_weights" in seen else []
    wanted = attentions, representation, pool
    return tape.gradient(score, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _gradients(attentions: list[np.ndarray], representation: np.ndarray, pool: list[np.ndarray]) -> Gradients:
    return Gradients(np.stack([a[0] for a in attentions]), representation[0], pool[0][0] if pool else None)


@lru_cache(maxsize=3)  # the three functions of one model
def _repeat(function: Callable[..., tuple[Any, ...]], model: Any) -> Callable[[np.ndarray, int], tuple[Any, ...]]:
    """`function` of this model on arrays; TensorFlow compiles it once it is called often.

    Op by op, Python takes 0.2 s for a backward pass, whatever the model; compiling takes 1 to 2 s, once.
    """
    calls = 0
    compiled = tf.function(functools.partial(function, model), reduce_retracing=True)

    def run(array: np.ndarray, target: int) -> tuple[Any, ...]:
        nonlocal calls
        calls += 1
        tensors = tf.constant(array), tf.constant(target)
        seen = compiled(*tensors) if calls > PATIENCE else function(model, *tensors)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), seen)

    return run


def _model(classifier: Classifier) -> Any:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"gradients need Keras on TensorFlow, not on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    return classifier.network
