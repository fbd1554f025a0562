"""The pooling laboratory: the same tokens with other pooling weights. The head is linear, so no forward pass is needed.

Every function returns a `Pooled`: y_c = b_c + sum_t w_t e_tc with other weights w. Limit: a model trained with such a
pool would have learned other tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..architecture.outputs import find_output
from ..architecture.pools import find_pool
from ..inference.arguments import is_whole
from ..inference.trace import NotApplicable, Trace
from .pooling import require_weights


@dataclass(frozen=True, eq=False)
class Pooled:
    """The output for one choice of pooling weights: weights (N,), logits (K,), probabilities (K,), float64."""

    weights: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def pool_with(trace: Trace, weights: np.ndarray) -> Pooled:
    """The output with `weights`: painted by hand, a data set's mean (`Classifier.position_prior`), or any others.

    Args:
        weights: (N,) or (gh, gw), >= 0, not all 0; they are scaled to sum to 1.

    Raises:
        NotApplicable: the model has no pooling weights to replace.
        ValueError: weights of another shape, negative, not finite or all 0.
    """
    require_weights(trace)
    values = np.asarray(weights, np.float64)
    n = len(trace.evidence)
    if values.shape not in ((n,), trace.grid):
        raise ValueError(f"the weights have shape {values.shape}; expected {(n,)} or {trace.grid}")
    if not np.isfinite(values).all() or values.min() < 0 or values.sum() <= 0:
        raise ValueError("the weights must be finite, 0 or more, and not all 0")
    w = values.reshape(-1) / values.sum()
    logits = trace.bias + w @ trace.evidence.astype(np.float64)
    return Pooled(w, logits, find_output(trace.output).probabilities(logits))


def sharpen(trace: Trace, beta: float) -> Pooled:
    """w(beta) = softmax(beta s): beta = 1 is the model, 0 is mean pooling, infinity gives the top token all the weight.

    Raises:
        NotApplicable: the model has no pool scores.
        ValueError: beta is not finite.
    """
    scores = _scores(trace)
    if not np.isfinite(beta):
        raise ValueError(f"beta is {beta}; expected a finite number (see top_token for infinity)")
    raised = beta * scores
    return pool_with(trace, np.exp(raised - raised.max()))


def pool_uniformly(trace: Trace) -> Pooled:
    """Mean pooling on the same tokens."""
    return pool_with(trace, np.ones(len(trace.evidence)))


def pool_shuffled(trace: Trace, *, seed: int = 0) -> Pooled:
    """The model's own weights in random order: the same values at the wrong tokens."""
    return pool_with(trace, np.random.default_rng(seed).permutation(require_weights(trace)))


def pool_one(trace: Trace, token: int) -> Pooled:
    """The output if one token has all the weight.

    Raises:
        ValueError: no such token.
    """
    n = len(trace.evidence)
    if not is_whole(token):
        raise ValueError(f"token is {token!r}; expected a whole number, 0 to {n - 1}")
    if not 0 <= token < n:
        raise ValueError(f"token {token} does not exist; this model has tokens 0 to {n - 1}")
    return pool_with(trace, np.eye(1, n, token)[0])


def top_token(trace: Trace) -> Pooled:
    """The output if the token with the largest weight has all of it."""
    return pool_one(trace, int(require_weights(trace).argmax()))


def _scores(trace: Trace) -> np.ndarray:
    require_weights(trace)
    if trace.pool_scores is None:
        what = find_pool(trace.pool).read_by
        raise NotApplicable(f"this model reads its answer with {what}, so there are no pool scores to sharpen")
    return trace.pool_scores.astype(np.float64)
