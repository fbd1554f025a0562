"""Class activation maps on the encoder's last tokens, for comparison with other tools. Only a pool and a linear head
come after these tokens, so the gradient has a closed form.
"""

from __future__ import annotations

import numpy as np

from ..architecture.pools import find_pool
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .attention import share_maps, to_share
from .pooling import require_split


def grad_cam(trace: Trace, *, target: int) -> Heatmaps:
    """Grad-CAM: positive evidence, which Grad-CAM on the encoder's last tokens is for sequence, mean and max pooling.

    relu(e_tc) with the evidence e_tc = W_c . r_t, (1, gh, gw) shares. Grad-CAM weights the channels of the tokens by
    their mean gradient, alpha_d = mean_t dy_c/dr_td. Theorem: alpha = W_c / N. The gradient is f_td W_dc plus, for
    SeqPool, w_t (e_tc - sum_s w_s e_sc) a_d; the pooling factors f sum to 1 over the tokens, and so do the weights w,
    so that the second term sums to 0. Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391; the theorem is
    ours. Limit: the map does not sum to the score, and it does not know how much the pool weights a token.

    Raises:
        NotApplicable: the model has a class token.
    """
    gradient = representation_gradient(trace, target)
    evidence = trace.evidence[:, target].astype(np.float64)
    published = len(evidence) * (trace.representation @ gradient.mean(axis=0))
    row = to_share(np.maximum(evidence, 0)[None])
    check = {"channels weighted by their mean gradient": float(np.abs(published - evidence).max())}
    return share_maps(trace, row, (f"Grad-CAM for {trace.labels[target]}",), "grad_cam", check)


def hires_cam(trace: Trace, *, target: int) -> Heatmaps:
    """HiResCAM: each of the encoder's last tokens times its own gradient.

    sum_d r_td dy_c/dr_td, (1, gh, gw) in logits. With SeqPool it sums to (y_c - b_c) + Cov_w(e_c, s), not to the
    score: the second term is the effect of the tokens on the pooling weights. Source: Draelos and Carin 2020,
    https://arxiv.org/abs/2011.08891, for the feature maps of a convolutional network; ours are the encoder's tokens in
    their place, and what the sum misses. Limit: maps of two classes cannot be compared, because a shift common to all
    classes changes the map.

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
    """(N, D) float64: dy_c/dr_t, the gradient of the class score by each token's representation.

    f_td W_cd with fixed pooling factors f. Weights may depend on the tokens too: the softmax of a score adds
    w_t (e_tc - sum_s w_s e_sc) a.

    Raises:
        NotApplicable: the model has a class token, so the head does not read these tokens.
    """
    require_split(trace, ": the last image tokens get no gradient, so they have no class activation map")
    head = trace.readout_weights.head[:, target].astype(np.float64)
    gradient = trace.pooling_factors.astype(np.float64) * head
    through_weights = find_pool(trace.pool).through_weights
    if through_weights is not None and trace.pooling_weights is not None:
        gradient += through_weights(trace.pooling_weights, trace.evidence[:, target], trace.readout_weights.pool_kernel)
    return gradient
