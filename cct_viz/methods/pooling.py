"""What sequence pooling does: weights, evidence and their product, which splits a class score exactly.

The class scores are y_c = b_c + sum_t w_t (W_c . r_t), so the contribution of each token is exact, not an estimate.

Where a method says "against the mean class", it subtracts the mean over the classes, because softmax depends on nothing
else. Classes that do not compete (output "sigmoid") are not compared: there the same formula without the mean applies.
"""

from __future__ import annotations

import numpy as np

from ..architecture.pools import find_pool
from ..inference.heatmaps import Heatmaps
from ..inference.trace import NotApplicable, Trace

TELLING = 0.9  # of the contributions' variance: from here on the note says that the pooling weights explain it


def seqpool(trace: Trace) -> Heatmaps:
    """Pooling weight: how much each token counts in the pool, the same for every class.

    w_t = softmax_t(a . r_t + a0), (1, gh, gw) shares. Source: Hassani et al. 2021, https://arxiv.org/abs/2104.05704, as
    published; the equal weights of mean pooling, 1/N, are ours to draw.
    Limit: the weight has no sign: a token with a large weight may count against the predicted class.

    Raises:
        NotApplicable: the model has no pooling weights.
    """
    weights = require_weights(trace)
    return Heatmaps(
        weights.reshape(1, *trace.grid).astype(np.float32),
        ("pooling weight",),
        signed=False,
        method="seqpool",
        checks={"weights sum to 1": abs(float(weights.sum()) - 1)},
    )


def evidence(trace: Trace, *, target: int) -> Heatmaps:
    """Evidence: how much each token favours the class, before the pooling weights.

    e~_tc = (W_c - mean_k W_k) . r_t, (1, gh, gw) in logits against the mean class. Source: ours, from SeqPool (Hassani
    et al. 2021, https://arxiv.org/abs/2104.05704). Limit: a token with large evidence may have a weight near 0.
    """
    centred = trace.relative(trace.evidence)
    checks = {}
    if trace.pooling_weights is not None:
        gap = (
            trace.pooling_weights @ centred[:, target]
            + trace.relative(trace.bias)[target]
            - trace.relative(trace.logits)[target]
        )
        checks["weighted mean gives the score"] = abs(float(gap))
    return Heatmaps(
        centred[:, target].reshape(1, *trace.grid),
        (f"evidence for {trace.labels[target]}",),
        signed=True,
        method="evidence",
        checks=checks,
    )


def contribution(trace: Trace, *, target: int) -> Heatmaps:
    """Contribution: what each token adds to the class score, pooling weight times evidence.

    C~_tc = w_t (W_c - mean_k W_k) . r_t, (1, gh, gw) in logits against the mean class; they sum exactly to the score:
    sum_t C~_tc + b~_c = y_c - mean_k y_k. With max pooling a token contributes the channels in which it is largest.
    Where all tokens have nearly the same evidence, as after many layers of attention, the map is that of the pooling
    weights in another colour. The note says so if the weights explain 90 % or more of its variance
    (`weights_explain`); `input_contribution` and `depth_sum` then tell more. Source: ours, from SeqPool (Hassani et al.
    2021, https://arxiv.org/abs/2104.05704). Limit: contributions are not causes, because attention has already mixed
    the tokens.

    Raises:
        NotApplicable: the model has a class token.
    """
    parts = trace.relative(trace.contributions)
    gap = (
        parts[:, target].sum(dtype=np.float64)
        + trace.relative(trace.bias)[target]
        - trace.relative(trace.logits)[target]
    )
    share = weights_explain(trace, target)
    note = (
        "" if share is None or share < TELLING else f"The pooling weights explain {share:.0%} of this map's variance."
    )
    return Heatmaps(
        parts[:, target].reshape(1, *trace.grid),
        (f"contribution to {trace.labels[target]}",),
        signed=True,
        method="contribution",
        checks={"sums to the score": abs(float(gap))},
        note=note and f"{note} Input contribution tells more.",
    )


def weights_explain(trace: Trace, target: int) -> float | None:
    """The share, 0 to 1, of the variance of a class's contributions over the tokens that the pooling weights explain.

    The squared correlation of C~_tc and w_t. None where either is the same for all tokens, or the pool has no weights.
    """
    if trace.pooling_weights is None:
        return None
    parts = trace.relative(trace.contributions)[:, target].astype(np.float64)
    c, w = parts - parts.mean(), trace.pooling_weights - trace.pooling_weights.mean(dtype=np.float64)
    if np.ptp(trace.pooling_weights) == 0 or np.ptp(parts) == 0:
        return None
    return float((c @ w) ** 2 / ((c @ c) * (w @ w)))


def contrast(trace: Trace, *, target: int, against: int | str | None = None) -> Heatmaps:
    """Contrast: what each token adds to the score of one class minus the score of another.

    D_t = C_tA - C_tB, (1, gh, gw) in logits; sum_t D_t = (y_A - y_B) - (b_A - b_B). A shift common to all classes does
    not change it. Source: ours, from the contributions. Limit: it does not show what both classes share.

    Args:
        against: the other class, by name or index; by default the best class that is not the target.

    Raises:
        NotApplicable: the model has a class token, or only one class.
        ValueError: both classes are the same.
    """
    if len(trace.labels) == 1:
        raise NotApplicable(
            f"this model has one class, {trace.labels[0]}, so there is no other class to compare it with"
        )
    if against is None:
        other = int(np.where(np.arange(len(trace.labels)) == target, -np.inf, trace.logits).argmax())
    else:
        other = trace.class_index(against)
    if other == target:
        raise ValueError(f"{trace.labels[target]} cannot be contrasted with itself; choose a different class")
    parts = trace.contributions[:, target] - trace.contributions[:, other]
    margin = trace.logits - trace.bias
    gap = parts.sum(dtype=np.float64) - (margin[target] - margin[other])
    return Heatmaps(
        parts.reshape(1, *trace.grid),
        (f"{trace.labels[target]} over {trace.labels[other]}",),
        signed=True,
        method="contrast",
        checks={"sums to the margin": abs(float(gap))},
    )


def require_weights(trace: Trace) -> np.ndarray:
    """(N,) float64: the pooling weights; raises NotApplicable if the model has none."""
    if trace.pooling_weights is None:
        what = find_pool(trace.pool).read_by
        raise NotApplicable(f"this model reads its answer with {what}, so there are no pooling weights")
    return trace.pooling_weights.astype(np.float64)


def require_split(trace: Trace, consequence: str) -> None:
    """NotApplicable where class scores do not split into one part a token; `consequence` ends the sentence."""
    pool = find_pool(trace.pool)
    if not pool.splits:
        raise NotApplicable(f"this model reads its answer with {pool.read_by}{consequence}")
