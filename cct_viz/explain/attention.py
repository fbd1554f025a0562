"""Attention, raw and rolled out through the layers, read by the model's own readout instead of a class token's row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..trace import Heatmaps, Trace

FUSIONS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "min": np.min}


def attention(trace: Trace, *, layer: int = -1, head: int | None = None, token: int | None = None) -> Heatmaps:
    """Attention: where one layer looks, head by head.

    (A or 1, gh, gw) shares: row `token` of A^l_h, or with no token q^T A^l_h, every row weighted as the model reads the
    tokens out. Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. It cannot show what is moved: the values
    that attention carries may be large or nothing.

    Args:
        layer: 0 to L - 1, or negative from the last.
        head: 0 to A - 1; None gives every head.
        token: 0 to N - 1, an image token whose row to show.

    Raises:
        ValueError: no such layer, head or token.
    """
    layers, heads = trace.attentions.shape[:2]
    layer = _index("layer", layer, layers) % layers
    chosen = range(heads) if head is None else [_index("head", head, heads) % heads]
    m = len(trace.readout)
    if token is None:
        query = trace.readout
    else:
        n = m - trace.has_class_token
        query = np.eye(m, dtype=np.float32)[_index("token", token, n) % n + trace.has_class_token]
    rows = np.stack([query @ trace.attentions[layer, h] for h in chosen])
    return _shares(trace, rows, tuple(f"layer {layer + 1}, head {h + 1}" for h in chosen), "attention")


def rollout(trace: Trace, *, head_fusion: str = "mean", alpha: float = 0.5, discard: float = 0.0) -> Heatmaps:
    """Attention rollout: how much of each token's input reaches the answer, followed back from the pool layer by layer.

    Abar_l = (1 - alpha) I + alpha rownorm(fuse_h A^l_h); p^0 = q, p^k = p^(k-1) Abar_(L-k+1), with q the model's own
    readout. (L + 1, gh, gw) shares: first the readout, last the full rollout; with a class token the first step, all on
    that token, is left out. Source: Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928. It cannot see the
    classifier nor the sign of anything: it is the same for every class.

    Args:
        head_fusion: "mean", "max" or "min" over the heads.
        alpha: share of attention against the residual connection, 0 to 1.
        discard: share of each row's smallest attentions set to 0 before the row is normalised again, 0 <= share < 1.

    Raises:
        ValueError: an option out of its range.
    """
    layers = mixing_matrices(trace, head_fusion=head_fusion, alpha=alpha, discard=discard)
    steps = [trace.readout.astype(np.float64)]
    for mixing in reversed(layers):
        steps.append(steps[-1] @ mixing)
    names = ["readout", *(f"through layer {i + 1}" for i in reversed(range(len(layers))))]
    if trace.has_class_token:
        steps, names = steps[1:], names[1:]
    rows = max(float(np.abs(mixing.sum(axis=-1) - 1).max()) for mixing in layers)
    maps = _shares(trace, np.stack(steps), tuple(names), "rollout")
    return Heatmaps(
        maps.maps,
        maps.names,
        signed=False,
        method="rollout",
        checks={**maps.checks, "rows sum to 1": rows},
        class_share=maps.class_share,
    )


def mixing_matrices(trace: Trace, *, head_fusion: str, alpha: float, discard: float) -> np.ndarray:
    """(L, M, M) float64: each layer's Abar, rows summing to 1."""
    if head_fusion not in FUSIONS:
        raise ValueError(f"head_fusion is {head_fusion!r}; expected one of {', '.join(FUSIONS)}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; expected 0 to 1")
    if not 0 <= discard < 1:
        raise ValueError(f"discard is {discard}; expected 0 or more and less than 1")
    fused = FUSIONS[head_fusion](trace.attentions.astype(np.float64), axis=1)  # (L, M, M), a new array
    m = fused.shape[-1]
    dropped = int(discard * m)  # fewer than m, so a row always keeps its largest entry
    if dropped:
        smallest = np.argpartition(fused, dropped - 1, axis=-1)[..., :dropped]
        np.put_along_axis(fused, smallest, 0.0, axis=-1)
    identity = np.eye(m)
    total = fused.sum(axis=-1, keepdims=True)
    normalised = np.where(total > 0, fused / np.where(total > 0, total, 1), identity)
    return (1 - alpha) * identity + alpha * normalised


def effective_tokens(share: np.ndarray) -> float:
    """exp(entropy) of a map of shares: the number of tokens that an equally spread map would cover."""
    p = share[share > 0].astype(np.float64)
    p = p / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _shares(trace: Trace, rows: np.ndarray, names: tuple[str, ...], method: str) -> Heatmaps:
    """Heatmaps of (n, M) rows that each sum to 1; a class token's part goes to class_share."""
    first = int(trace.has_class_token)
    return Heatmaps(
        rows[:, first:].reshape(-1, *trace.grid).astype(np.float32),
        names,
        signed=False,
        method=method,
        checks={"sums to 1": float(np.abs(rows.sum(axis=-1) - 1).max())},
        class_share=rows[:, :first].sum(axis=-1).astype(np.float32),
    )


def _index(name: str, value: int, count: int) -> int:
    if not -count <= value < count:
        raise ValueError(f"{name} {value} does not exist; this model has {name}s 0 to {count - 1}")
    return value
