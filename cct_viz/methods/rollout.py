"""Attention rollout: attention followed back through the layers, from the readout or from the contributions."""

from __future__ import annotations

import numpy as np

from ..inference.arguments import is_number
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .alti import alti_matrices
from .attention import fused_attentions, share_maps


def rollout(
    trace: Trace,
    *,
    head_fusion: str = "mean",
    alpha: float | str = 0.5,
    discard: float = 0.0,
    readout: str = "model",
) -> Heatmaps:
    """Attention rollout: which input tokens the readout attends to, followed back through all layers.

    Abar_l = (1 - alpha) I + alpha rownorm(fuse_h A^l_h); p^0 = q, p^k = p^(k-1) Abar_(L-k+1), with q the model's own
    readout. (L + 1, gh, gw) shares: the first is the readout, the last the full rollout. With a class token the first
    step, all on that token, is omitted. Source: Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928, for the mean
    over the heads, alpha = 1/2 and the class token's row. Ours are the readout of a pool, the measured alpha and the
    steps on the way; max and min over the heads and `discard` are those of Gildenblat 2020,
    https://github.com/jacobgil/vit-explain. Limit: rollout ignores the classifier, so the map is the same for every
    class and has no sign.

    Args:
        head_fusion: "mean", "max" or "min" over the heads.
        alpha: share of attention against the residual connection, 0 to 1, or "measured" for each token and layer; see
            `attention_shares`.
        discard: share of each row's smallest attentions set to 0 before the row is normalised again, 0 <= share < 1.
        readout: "model" for its pooling weights or class token, "mean" for equal weights on all image tokens.

    Raises:
        ValueError: an option out of range.
    """
    layers = mixing_matrices(trace, head_fusion=head_fusion, alpha=alpha, discard=discard)
    steps = [readout_row(trace, readout)]
    for mixing in reversed(layers):
        steps.append(steps[-1] @ mixing)
    names = ["readout", *(f"through layer {i + 1}" for i in reversed(range(len(layers))))]
    if trace.has_class_token and readout == "model":
        steps, names = steps[1:], names[1:]
    rows = float(np.abs(trace.attentions.sum(axis=-1, dtype=np.float64) - 1).max())  # before fusing and normalising
    return share_maps(trace, np.stack(steps), tuple(names), "rollout", {"rows sum to 1": rows})


def contribution_rollout(
    trace: Trace,
    *,
    target: int,
    mixing: str = "attention",
    head_fusion: str = "mean",
    alpha: float | str = "measured",
    discard: float = 0.0,
) -> Heatmaps:
    """Contribution rollout: each token's contribution to the class score, followed back through attention to the input.

    C~_c^T Abar_L ... Abar_1, (1, gh, gw) in logits against the mean class. Rows of every Abar sum to 1, so the map has
    the same sum as the contributions: y_c - mean_k y_k minus the biases. Source: ours, the contributions of SeqPool
    (Hassani et al. 2021, https://arxiv.org/abs/2104.05704) through rollout (Abnar and Zuidema 2020,
    https://arxiv.org/abs/2005.00928) or through the mixing of ALTI (Ferrando et al. 2022,
    https://arxiv.org/abs/2203.04212). Limit: it follows only how tokens mix in attention, not how the MLPs change a
    token; without ALTI, not how the value projections do either.

    Args:
        mixing: "attention", or "alti" for matrices of vectors, which the three options below do not change.
        head_fusion: "mean", "max" or "min" over the heads.
        alpha: share of attention against the residual connection, 0 to 1, or "measured" for each token and layer; see
            `attention_shares`.
        discard: share of each row's smallest attentions set to 0 before the row is normalised again, 0 <= share < 1.

    Raises:
        NotApplicable: the model has a class token; or with "alti", the trace has no weights.
        ValueError: an option out of range.
    """
    if mixing not in ("attention", "alti"):
        raise ValueError(f"mixing is {mixing!r}; expected attention or alti")
    row = trace.relative(trace.contributions.astype(np.float64))[:, target]
    total = row.sum()
    layers = mixing_matrices(trace, head_fusion=head_fusion, alpha=alpha, discard=discard)
    for matrix in reversed(alti_matrices(trace) if mixing == "alti" else layers):
        row = row @ matrix
    score = trace.relative(trace.logits - trace.bias)[target]
    return Heatmaps(
        row.reshape(1, *trace.grid).astype(np.float32),
        (f"contribution to {trace.labels[target]}, through {'ALTI' if mixing == 'alti' else mixing}",),
        signed=True,
        method="contribution_rollout",
        checks={
            "sums to the score": abs(float(row.sum() - score)),
            "rollout keeps the sum": abs(float(row.sum() - total)),
        },
    )


def readout_row(trace: Trace, readout: str) -> np.ndarray:
    """(M,) float64, summing to 1: the model's own readout, or "mean", equal weights on all image tokens."""
    if readout not in ("model", "mean"):
        raise ValueError(f"readout is {readout!r}; expected model or mean")
    if readout == "model":
        return trace.readout.astype(np.float64)
    m, first = len(trace.readout), int(trace.has_class_token)
    row = np.full(m, 1.0 / (m - first))
    row[:first] = 0.0
    return row


def mixing_matrices(trace: Trace, *, head_fusion: str, alpha: float | str, discard: float) -> np.ndarray:
    """(L, M, M) float64: each layer's Abar, rows summing to 1."""
    attended = fused_attentions(trace, head_fusion=head_fusion, discard=discard)
    share = attention_shares(trace, alpha)
    mixed = share[:, :, None] * attended
    np.einsum("lmm->lm", mixed)[...] += 1 - share  # the diagonal, in place
    return mixed


def attention_shares(trace: Trace, alpha: float | str) -> np.ndarray:
    """(L, M) float64: alpha for each layer and token.

    "measured" is |attention output| / (|attention output| + |stream|): the Euclidean norm of the output that attention
    adds to a token, and that of the residual stream before it. This form is ours. The mixing ratio of Kobayashi et al.
    2021, https://arxiv.org/abs/2109.07152, has the same shape, but counts what a token attends to in itself with the
    stream.
    """
    layers, m = trace.attention_outputs.shape[:2]
    if alpha == "measured":
        added = np.linalg.norm(trace.attention_outputs.astype(np.float64), axis=-1)
        residual = np.linalg.norm(trace.stream[:-1].astype(np.float64), axis=-1)
        total = added + residual
        return np.divide(added, total, out=np.zeros_like(total), where=total > 0)
    if isinstance(alpha, str) or not is_number(alpha) or not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha!r}; expected 0 to 1, or measured")
    return np.full((layers, m), float(alpha))
