"""Attention of one layer, and what all maps of attention share: fused heads, normalised rows, shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..inference.arguments import is_number, is_whole
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace

FUSIONS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "min": np.min}


def attention(trace: Trace, *, layer: int = -1, head: int | None = None, token: int | None = None) -> Heatmaps:
    """Attention: which tokens one layer attends to, one map per head.

    (A or 1, gh, gw) shares: row `token` of A^l_h; without a token q^T A^l_h, the rows weighted by the model's readout.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, for A, as published; ours is to weight its rows by
    the readout. Limit: attention does not show what is moved: the value vectors may be near zero.

    Args:
        layer: 0 to L - 1.
        head: 0 to A - 1; None gives every head.
        token: 0 to N - 1, the image token whose row is shown. In all three, -1 is the last.

    Raises:
        ValueError: no such layer, head or token.
    """
    layers, heads = trace.attentions.shape[:2]
    layer = _index("layer", layer, layers) % layers
    indices = range(heads) if head is None else [_index("head", head, heads) % heads]
    m = len(trace.readout)
    if token is None:
        query = trace.readout
    else:
        n = m - trace.has_class_token
        query = np.eye(m, dtype=np.float32)[_index("token", token, n) % n + trace.has_class_token]
    rows = np.stack([query @ trace.attentions[layer, h] for h in indices])
    return share_maps(trace, rows, tuple(f"layer {layer + 1}, head {h + 1}" for h in indices), "attention", {})


def fused_attentions(trace: Trace, *, head_fusion: str, discard: float) -> np.ndarray:
    """(L, M, M) float64: each layer's attention fused over its heads, rows summing to 1."""
    if head_fusion not in FUSIONS:
        raise ValueError(f"head_fusion is {head_fusion!r}; expected one of {', '.join(FUSIONS)}")
    if not is_number(discard) or not 0 <= discard < 1:
        raise ValueError(f"discard is {discard!r}; expected a number, 0 or more and less than 1")
    fused = FUSIONS[head_fusion](trace.attentions.astype(np.float64), axis=1)  # (L, M, M), a new array
    m = fused.shape[-1]
    dropped = int(discard * m)  # fewer than m, so a row always keeps its largest entry
    if dropped:
        smallest = np.argpartition(fused, dropped - 1, axis=-1)[..., :dropped]
        np.put_along_axis(fused, smallest, 0.0, axis=-1)
    return normalise_rows(fused)


def normalise_rows(rows: np.ndarray) -> np.ndarray:
    """(..., M, M) rows of values >= 0, each scaled to sum to 1; a row of zeros becomes that of the identity matrix."""
    total = rows.sum(axis=-1, keepdims=True)
    if total.all():
        return rows / total
    return np.where(total > 0, rows / np.where(total > 0, total, 1), np.eye(rows.shape[-1]))


def effective_tokens(share: np.ndarray) -> float:
    """Effective number of tokens, exp(entropy) of a map of shares: N if all are equal, 1 if one has all, 0 if empty."""
    p = share[share > 0].astype(np.float64)
    if not p.size:
        return 0.0
    p = p / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def attention_distances(trace: Trace) -> np.ndarray:
    """(L, A) float64, pixels of the model's input: how far each head attends, on average over the image's tokens.

    The distance from the centre of a token to that of each token it attends to, weighted by the attention. What goes
    to a class token has no distance and does not count. Reference: Dosovitskiy et al. 2021,
    https://arxiv.org/abs/2010.11929, figure 7.
    """
    first = int(trace.has_class_token)
    centres = trace.stages[-1].centres.reshape(-1, 2).astype(np.float64)
    distance = np.linalg.norm(centres[:, None] - centres, axis=-1)  # (N, N)
    attention = normalise_rows(trace.attentions[:, :, first:, first:].astype(np.float64))
    return np.einsum("latn,tn->lat", attention, distance).mean(axis=-1)


def attention_tokens(trace: Trace) -> np.ndarray:
    """(L, A) float64: to how many tokens each head attends, the `effective_tokens` of its rows on average."""
    p = trace.attentions.astype(np.float64)
    logarithm = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.exp(-np.einsum("lamn,lamn->lam", p, logarithm)).mean(axis=-1)


def share_maps(
    trace: Trace, rows: np.ndarray, names: tuple[str, ...], method: str, checks: Mapping[str, float]
) -> Heatmaps:
    """Heatmaps of (n, M) rows >= 0 that each sum to 1, or to 0 if the method gives nothing; a class token's part goes
    to class_share."""
    first = int(trace.has_class_token)
    total = rows.sum(axis=-1)
    return Heatmaps(
        rows[:, first:].reshape(-1, *trace.grid).astype(np.float32),
        names,
        signed=False,
        method=method,
        checks={"sums to 1": float(np.abs(total[total > 0] - 1).max(initial=0.0)), **checks},
        class_share=rows[:, :first].sum(axis=-1).astype(np.float32),
    )


def to_share(rows: np.ndarray) -> np.ndarray:
    """(n, M) rows of values >= 0, each scaled to sum to 1; a row of zeros stays 0."""
    total = rows.sum(axis=1, keepdims=True)
    return rows / np.where(total > 0, total, 1)


def _index(name: str, value: int, count: int) -> int:
    if not is_whole(value):
        raise ValueError(f"{name} is {value!r}; expected a whole number, 0 to {count - 1}")
    if not -count <= value < count:
        raise ValueError(f"{name} {value} does not exist; this model has {name}s 0 to {count - 1}")
    return value
