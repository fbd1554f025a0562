"""The pooling laboratory: the same tokens, weighed otherwise. No new forward pass, since the head is linear.

Every function gives a `Pooled`: y_c = b_c + sum_t w_t e_tc with other weights w. None of them can say what a model
trained with such a pool would answer: its tokens would be others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..inference.arguments import is_whole
from ..inference.trace import NotApplicable, Trace
from .pooling import require_weights


@dataclass(frozen=True, eq=False)
class Pooled:
    """What the head says of the tokens under some weights: weights (N,), logits (K,), probabilities (K,), float64."""

    weights: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def pool_with(trace: Trace, weights: np.ndarray) -> Pooled:
    """The answer with `weights`: painted by hand, a data set's mean (`Classifier.position_prior`), or any others.

    Args:
        weights: (N,) or (gh, gw), >= 0, not all 0; they are scaled to sum to 1.

    Raises:
        NotApplicable: the model has no pooling weights to replace.
        ValueError: weights of another shape, negative, not finite or all 0.
    """
    require_weights(trace)
    given = np.asarray(weights, np.float64)
    n = len(trace.evidence)
    if given.shape not in ((n,), trace.grid):
        raise ValueError(f"the weights have shape {given.shape}; expected {(n,)} or {trace.grid}")
    if not np.isfinite(given).all() or given.min() < 0 or given.sum() <= 0:
        raise ValueError("the weights must be finite, 0 or more, and not all 0")
    w = given.reshape(-1) / given.sum()
    logits = trace.bias + w @ trace.evidence.astype(np.float64)
    exponentials = np.exp(logits - logits.max())
    return Pooled(w, logits, exponentials / exponentials.sum())


def sharpen(trace: Trace, beta: float) -> Pooled:
    """w(beta) = softmax(beta s): 1 is the model, 0 mean pooling, and towards infinity the top token decides alone.

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
    """The model's own weights given to other tokens at random: what is left of them when the place is wrong."""
    return pool_with(trace, np.random.default_rng(seed).permutation(require_weights(trace)))


def pool_one(trace: Trace, token: int) -> Pooled:
    """One token's vote alone.

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
    """The vote of the token with the largest weight."""
    return pool_one(trace, int(require_weights(trace).argmax()))


def _scores(trace: Trace) -> np.ndarray:
    require_weights(trace)
    if trace.pool_scores is None:
        raise NotApplicable("this model takes the mean of its tokens, so there are no pool scores to sharpen")
    return trace.pool_scores.astype(np.float64)
