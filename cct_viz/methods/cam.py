"""Class activation maps on the encoder's last tokens: what other tools draw. Between these tokens and the score lie a
pool and a linear head, so the gradient is written down, not computed by a framework.
"""

from __future__ import annotations

import numpy as np

from ..inference.trace import Heatmaps, NotApplicable, Trace
from .attention import share_maps, to_share


def grad_cam(trace: Trace, *, target: int) -> Heatmaps:
    """Grad-CAM: the encoder's last tokens, channels weighted by their mean gradient, then cut off at 0.

    relu(sum_d alpha_d r_td) with alpha_d = mean_t dy_c/dr_td; (1, gh, gw) shares. Source: Selvaraju et al. 2017,
    https://arxiv.org/abs/1610.02391. It cannot see where a channel matters: one weight stands for all tokens, and the
    map does not sum to the score.

    Raises:
        NotApplicable: the model has a class token.
    """
    gradient = representation_gradient(trace, target)
    row = np.maximum(trace.representation @ gradient.mean(axis=0), 0)
    return share_maps(trace, to_share(row[None]), (f"Grad-CAM for {trace.labels[target]}",), "grad_cam", {})


def hires_cam(trace: Trace, *, target: int) -> Heatmaps:
    """HiResCAM: each of the encoder's last tokens times its own gradient.

    sum_d r_td dy_c/dr_td, (1, gh, gw) in logits. With SeqPool it sums to (y_c - b_c) + Cov_w(e_c, s), not to the
    score: the second part is what the tokens say through the pool's weights. Source: Draelos and Carin 2020,
    https://arxiv.org/abs/2011.08891. It cannot be compared between classes: a shift common to all of them moves it.

    Raises:
        NotApplicable: the model has a class token.
    """
    gradient = representation_gradient(trace, target)
    row = (trace.representation.astype(np.float64) * gradient).sum(axis=1)
    expected = float(trace.logits[target] - trace.bias[target])
    if trace.pool_scores is not None and trace.pooling_weights is not None:
        w, s = trace.pooling_weights.astype(np.float64), trace.pool_scores.astype(np.float64)
        e = trace.evidence[:, target].astype(np.float64)
        expected += float(w @ ((e - w @ e) * (s - w @ s)))
    return Heatmaps(
        row.reshape(1, *trace.grid).astype(np.float32),
        (f"HiResCAM for {trace.labels[target]}",),
        signed=True,
        method="hires_cam",
        checks={"sums to the score plus Cov_w(evidence, pool score)": abs(float(row.sum()) - expected)},
    )


def representation_gradient(trace: Trace, target: int) -> np.ndarray:
    """(N, D) float64: dy_c/dr_t, how the class score follows each token's representation.

    w_t W_c for fixed weights; SeqPool's own weights follow the token too, which adds w_t (e_tc - sum_s w_s e_sc) a.
    With max pooling a channel's weight goes to the token that wins it.

    Raises:
        NotApplicable: with a class token the head reads none of these tokens.
    """
    if trace.has_class_token:
        raise NotApplicable(
            "this model reads its answer with a class token: the last image tokens get no gradient, so there is no map "
            "to draw from them"
        )
    head = trace.readout_weights.head[:, target].astype(np.float64)
    if trace.pooling_weights is None:
        won = trace.winners == np.arange(len(trace.representation))[:, None]  # (N, D)
        return np.where(won, head, 0.0)
    w, e = trace.pooling_weights.astype(np.float64), trace.evidence[:, target].astype(np.float64)
    gradient = np.outer(w, head)
    if trace.readout_weights.pool_kernel is not None:
        gradient += np.outer(w * (e - w @ e), trace.readout_weights.pool_kernel)
    return gradient
