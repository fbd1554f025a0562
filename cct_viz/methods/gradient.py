"""Methods that differentiate the class score, adapted from other tools to this model's own readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..architecture.pools import find_pool
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .attention import normalise_rows, share_maps, to_share
from .rollout import attention_shares

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


def chefer(trace: Trace, *, target: int, classifier: Classifier, normalise: bool = True) -> Heatmaps:
    """Class-specific rollout: attention weighted by its gradient for the class, multiplied from the input to the pool.

    Abar^l = mean_h relu(A^l_h * dy_c/dA^l_h), R <- R + Abar^l R from R = I (eq. 5 and 6). SeqPool is a learned query
    that attends to the encoder's tokens, so its step is that of attention to another sequence (eq. 10): relu(w *
    dy_c/dw), which is relu(C_c), times R, whose rows beyond the identity are first scaled to sum to 1 (eq. 8 and 9).
    A class token is read by its row of R, as published. (1, gh, gw) shares. Source: Chefer et al. 2021,
    https://arxiv.org/abs/2103.15679; ours is to read mean and max pooling by relu(C_c) too, and to keep a class
    token's own share. Limit: tokens that count against the class are set to 0.

    Args:
        normalise: false leaves eq. 8 and 9 out, which is the rule of self-attention; score tables of the first
            bundled cards measured that.

    Raises:
        ValueError: `normalise` is not true or false.
    """
    from ..inference.gradients import differentiate

    if not isinstance(normalise, bool):
        raise ValueError(f"normalise is {normalise!r}; expected true or false")
    gradients = differentiate(classifier, trace, target)
    identity = np.eye(len(trace.representation))
    relevance = identity
    for attended, gradient in zip(trace.attentions.astype(np.float64), gradients.attentions, strict=True):
        relevance = relevance + np.maximum(attended * gradient, 0).mean(axis=0) @ relevance
    checks = {}
    if gradients.pooling_weights is not None:
        leaf = trace.readout * gradients.pooling_weights
        checks["w times its gradient is the contribution"] = float(np.abs(leaf - trace.contributions[:, target]).max())
    row = trace.readout.astype(np.float64)
    if find_pool(trace.pool).splits:
        row = np.maximum(trace.contributions[:, target].astype(np.float64), 0)
        relevance = identity + to_share(relevance - identity) if normalise else relevance
    row = row @ relevance
    return share_maps(trace, to_share(row[None]), (f"relevance for {trace.labels[target]}",), "chefer", checks)


def gradient_rollout(trace: Trace, *, target: int, classifier: Classifier, alpha: float | str = 0.5) -> Heatmaps:
    """Attention-gradient rollout: rollout through only the attention that raises the class score.

    Abar^l = (1 - alpha) I + alpha rownorm(mean_h relu(A^l_h * dy_c/dA^l_h)), p = q^T Abar^L ... Abar^1 with q the
    model's own readout; (1, gh, gw) shares. The attention of layer l is multiplied by the gradient of layer l. Source:
    a rule of this project, published nowhere: attention rollout (Abnar and Zuidema 2020,
    https://arxiv.org/abs/2005.00928) with the gradient weighting of Chefer et al. 2021,
    https://arxiv.org/abs/2012.09838, who add the identity and do not scale rows. Limit: every row is scaled to sum to
    1, so its strength is lost.

    Args:
        alpha: share of attention against the residual connection, 0 to 1, or "measured" for each token and layer.

    Raises:
        ValueError: alpha out of range.
    """
    from ..inference.gradients import differentiate

    shares = attention_shares(trace, alpha)
    gradients = differentiate(classifier, trace, target).attentions
    row = trace.readout.astype(np.float64)
    for layer in reversed(range(len(shares))):
        raised = np.maximum(trace.attentions[layer].astype(np.float64) * gradients[layer], 0).mean(axis=0)
        row = row * (1 - shares[layer]) + (row * shares[layer]) @ normalise_rows(raised)
    return share_maps(trace, row[None], (f"rollout for {trace.labels[target]}",), "gradient_rollout", {})


def legrad(trace: Trace, *, target: int, classifier: Classifier) -> Heatmaps:
    """LeGrad: how sensitive the class score read after each block is to that block's attention.

    relu(dy^l_c/dA^l) averaged over heads and queries for each block l, with y^l the score read right after it; for the
    pool relu(dy_c/dw), which is relu(evidence). (L + 2, gh, gw) shares: blocks, pool, and the mean of all. Source:
    Bousselham et al. 2024, https://arxiv.org/abs/2404.03214. Two things are ours. For an attentional pooler the authors
    take the gradient by the pooler's attention, applied after every block, which here is sum_l relu(evidence^l); these
    maps take it by the attention of the blocks, and by the pool's once. They sum the blocks' maps as they are and scale
    the sum from its minimum to its maximum; here each map is scaled to shares before the mean, because the pool's
    gradients are N times as large. Limit: a large gradient does not mean that there is any attention to that token.
    """
    from ..inference.gradients import differentiate_layers

    gradients = differentiate_layers(classifier, trace, target)
    rows = list(np.maximum(gradients.attentions.astype(np.float64), 0).mean(axis=(1, 2)))
    names = [f"block {i + 1}" for i in range(len(rows))]
    checks = {}
    if gradients.pooling_weights is not None:
        rows.append(np.maximum(gradients.pooling_weights.astype(np.float64), 0))
        names.append("pool")
        gap = np.abs(gradients.pooling_weights - trace.evidence[:, target])
        checks["gradient by the pool's weight is the evidence"] = float(gap.max())
    shares = to_share(np.stack(rows))
    shares = np.concatenate([shares, to_share(shares.sum(axis=0, keepdims=True))])
    return share_maps(trace, shares, (*names, "mean of all"), "legrad", checks)
