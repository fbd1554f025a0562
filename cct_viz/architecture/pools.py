"""POOLS: how the encoder's tokens are pooled into one vector. An entry holds everything that depends on the pool.

ARCHITECTURE.md says what else a new pool needs.

N image tokens, M tokens in the encoder (N, or N + 1 with a class token first), D embedding width. `r` (M, D) is the
representation, after the final norm; `weights` (N,) are the pooling weights, or None if the pool has no weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .lookup import look_up

Shapes = dict[str, tuple[int, ...]]
Fall = tuple[np.ndarray, dict[str, float]]


def _no_shapes(dim: int) -> Shapes:
    return {}


def _no_macs(tokens: int, dim: int) -> int:
    return 0


def _mean_over_channels(factors: np.ndarray) -> np.ndarray:
    return factors[:, 0] if factors.shape[1] == 1 else factors.mean(axis=1)


@dataclass(frozen=True)
class Pool:
    """Everything that depends on the pool.

    The pooled vector is pooled_d = sum_t f_td r_td with factors f of the pool; contributions, gradients and
    direct logit attribution follow from them.

    Attributes:
        name: the name for people, for example "sequence pooling".
        title: the heading of its box, for example "SeqPool".
        summary: a short description.
        read_by: the name with its article, to follow "this model reads its answer with".
        factors: (r, weights) -> f, (M, D), or (M, 1) if all channels of a token have the same factor; float32.
        ablate: (r, weights, evidence (N,), towards (D,), score) -> (N,) how much the class score falls if the pool
            leaves each token out, and the checks. float64, `evidence` and `score` without the bias; `towards` is the
            direction in r that gives the evidence. None if the score does not split.
        weigh: (r, a (D,), a0) -> pool scores (N,) or None, and the pooling weights (N,), >= 0, summing to 1; float32.
            None if the pool has no weights.
        has_scores: whether the pooling weights are softmax(a . r_t + a0).
        through_weights: (weights, evidence (N,), a) -> (N, D) float64: what is added to the gradient of the class score
            by r because the weights depend on r. None where they do not, or where there are no weights.
        class_token: whether a class token is prepended to the image tokens.
        splits: whether the pool reads the image tokens, so that class scores split into one part per token.
        readout: f -> (M,) shares, summing to 1: how much of the pooled vector comes from each token.
        shapes: D -> {name after "pool/": shape} of the pool's own weights, in the model's order.
        macs: (N, D) -> multiply-accumulates.
    """

    name: str
    title: str
    summary: str
    read_by: str
    factors: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    ablate: Callable[[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray, float], Fall] | None
    weigh: Callable[[np.ndarray, np.ndarray | None, float], tuple[np.ndarray | None, np.ndarray]] | None = None
    has_scores: bool = False
    through_weights: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray] | None = None
    class_token: bool = False
    splits: bool = True
    readout: Callable[[np.ndarray], np.ndarray] = _mean_over_channels
    shapes: Callable[[int], Shapes] = _no_shapes
    macs: Callable[[int, int], int] = _no_macs

    @property
    def has_weights(self) -> bool:
        return self.weigh is not None


def pool_tokens(factors: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(D,): the pooled vector, from factors (M, 1) or (M, D) and the representation (M, D)."""
    return factors[:, 0] @ r if factors.shape[1] == 1 else (factors * r).sum(axis=0)


def _softmax_of_scores(r: np.ndarray, a: np.ndarray | None, a0: float) -> tuple[np.ndarray, np.ndarray]:
    assert a is not None  # Trace refuses such a model without it
    scores = r @ a + np.float32(a0)
    exponentials = np.exp(scores - scores.max())
    return scores, exponentials / exponentials.sum()


def _through_softmax(weights: np.ndarray, evidence: np.ndarray, a: np.ndarray | None) -> np.ndarray:
    """w_t (e_t - sum_s w_s e_s) a"""
    assert a is not None
    w, e = weights.astype(np.float64), evidence.astype(np.float64)
    return np.outer(w * (e - w @ e), a)


def _equal_weights(r: np.ndarray, a: np.ndarray | None, a0: float) -> tuple[None, np.ndarray]:
    return None, np.full(len(r), np.float32(1) / np.float32(len(r)))


def _weights_as_factors(r: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    assert weights is not None  # Trace refuses such a model without them
    return weights[:, None]


def _winners_as_factors(r: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """1 if a token has the largest value of a channel (the first one on a tie), else 0."""
    return (r.argmax(axis=0) == np.arange(len(r))[:, None]).astype(np.float32)


def _first_token_as_factors(r: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return np.eye(len(r), 1, dtype=np.float32)


def _without_weight(
    r: np.ndarray, weights: np.ndarray | None, evidence: np.ndarray, towards: np.ndarray, score: float
) -> Fall:
    """w_t / (1 - w_t) (e_t - score): the other weights are rescaled to sum to 1."""
    assert weights is not None
    w = weights.astype(np.float64)
    # 1 - w_t as a sum of the other weights, to avoid cancellation when one token has nearly all the weight.
    others = w * (1 - np.eye(len(w)))  # (N, N)
    rest = others.sum(axis=1)
    alone = rest == 0
    safe = np.where(alone, 1.0, rest)
    fall = np.where(alone, score, w / safe * (evidence - score))
    pooled_again = np.where(alone, score, score - others @ evidence / safe)
    return fall, {"equals pooling again": float(np.abs(fall - pooled_again).max())}


def _without_winner(
    r: np.ndarray, weights: np.ndarray | None, evidence: np.ndarray, towards: np.ndarray, score: float
) -> Fall:
    """In each channel, the second largest value replaces the largest."""
    r = r.astype(np.float64)
    if len(r) == 1:
        return r @ towards, {}
    fall = np.zeros(len(r))
    second, best = np.sort(r, axis=0)[-2:]
    np.add.at(fall, r.argmax(axis=0), (best - second) * towards)
    return fall, {}


POOLS: dict[str, Pool] = {
    "seqpool": Pool(
        name="sequence pooling",
        title="SeqPool",
        summary="weights each token, then sums",
        read_by="sequence pooling",
        factors=_weights_as_factors,
        ablate=_without_weight,
        weigh=_softmax_of_scores,
        has_scores=True,
        through_weights=_through_softmax,
        shapes=lambda dim: {"score/kernel": (dim, 1), "score/bias": (1,)},
        macs=lambda tokens, dim: 2 * tokens * dim,  # scores, then the weighted sum
    ),
    "mean": Pool(
        name="mean pooling",
        title="Mean pool",
        summary="every token alike",
        read_by="mean pooling",
        factors=_weights_as_factors,
        ablate=_without_weight,
        weigh=_equal_weights,
    ),
    "max": Pool(
        name="max pooling",
        title="Max pool",
        summary="the largest of each channel",
        read_by="max pooling",
        factors=_winners_as_factors,
        ablate=_without_winner,
    ),
    "class_token": Pool(
        name="class token",
        title="Class token",
        summary="one token reads for all",
        read_by="a class token",
        factors=_first_token_as_factors,
        ablate=None,
        class_token=True,
        splits=False,
    ),
}


def find_pool(name: str) -> Pool:
    """The pool called `name`.

    Raises:
        ValueError: no pool has this name.
    """
    return look_up(POOLS, "pool", name)
