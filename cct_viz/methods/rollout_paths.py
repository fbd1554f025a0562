"""Rollout taken apart: every way from the pool back to the input, by the layers in which it goes through attention."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..inference.trace import Heatmaps, Trace
from .attention import attention_shares, fused_attentions, share_maps

MAX_LAYERS = 4  # 2^4 pictures are the most that anybody looks at


@dataclass(frozen=True, eq=False)
class Paths:
    """The parts of a rollout.

    Attributes:
        names: P captions.
        masses: (P,) float64, the share of the rollout that came this way; they sum to 1.
        rows: (P, M) float64, where it came from; row p sums to its mass and all rows together are the rollout.
    """

    names: tuple[str, ...]
    masses: np.ndarray
    rows: np.ndarray


def rollout_paths(
    trace: Trace,
    *,
    head_fusion: str = "mean",
    alpha: float | str = 0.5,
    discard: float = 0.0,
    grouped: bool | None = None,
) -> Heatmaps:
    """Rollout paths: the rollout split by the layers in which a path went through attention instead of past it.

    Multiplying out q^T prod_l ((1 - alpha) I + alpha A_l) gives one term for each subset of layers; with two layers and
    one alpha their masses are (1 - alpha)^2, alpha (1 - alpha) twice and alpha^2. (P, gh, gw) shares, each path's own;
    its mass stands in its name. Source: Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928, multiplied out. It
    cannot tell which path decided: mass is attention, not effect.

    Args:
        head_fusion: "mean", "max" or "min" over the heads.
        alpha: share of attention against the residual connection, 0 to 1, or "measured" for each token and layer.
        discard: share of each row's smallest attentions set to 0 before the row is normalised again, 0 <= share < 1.
        grouped: by the number of attention steps instead of every subset; None does so beyond 4 layers.

    Raises:
        ValueError: an option out of its range, or every subset of more than 4 layers.
    """
    found = split_rollout(trace, head_fusion=head_fusion, alpha=alpha, discard=discard, grouped=grouped)
    scale = np.where(found.masses > 0, found.masses, 1.0)[:, None]
    names = tuple(f"{name} ({mass:.0%})" for name, mass in zip(found.names, found.masses, strict=True))
    checks = {"masses sum to 1": abs(float(found.masses.sum()) - 1)}
    return share_maps(trace, found.rows / scale, names, "rollout_paths", checks)


def split_rollout(
    trace: Trace,
    *,
    head_fusion: str = "mean",
    alpha: float | str = 0.5,
    discard: float = 0.0,
    grouped: bool | None = None,
) -> Paths:
    """The paths of a rollout with their masses; options as `rollout_paths`."""
    if grouped is not None and not isinstance(grouped, bool):
        raise ValueError(f"grouped is {grouped!r}; expected true, false or null")
    attended = fused_attentions(trace, head_fusion=head_fusion, discard=discard)
    shares = attention_shares(trace, alpha)
    count = len(attended)
    if grouped is None:
        grouped = count > MAX_LAYERS
    if not grouped and count > MAX_LAYERS:
        raise ValueError(
            f"{count} layers make {2**count:,} paths; every subset is shown for up to {MAX_LAYERS} layers, group them"
        )
    readout = trace.readout.astype(np.float64)
    if grouped:
        rows = np.zeros((count + 1, len(readout)))
        rows[0] = readout
        for layer in reversed(range(count)):
            through = (rows * shares[layer]) @ attended[layer]
            rows = rows * (1 - shares[layer])
            rows[1:] += through[:-1]
        names = tuple(f"{k} of {count} attentions" for k in range(count + 1))
        return Paths(names, rows.sum(axis=1), rows)
    subsets: list[str] = []
    parts = []
    for size in range(count + 1):
        for chosen in itertools.combinations(reversed(range(count)), size):
            row = readout
            for layer in reversed(range(count)):
                share = shares[layer]
                row = (row * share) @ attended[layer] if layer in chosen else row * (1 - share)
            parts.append(row)
            subsets.append(
                "attention " + ", then ".join(str(i + 1) for i in chosen) if chosen else "past all attention"
            )
    rows = np.stack(parts)
    return Paths(tuple(subsets), rows.sum(axis=1), rows)
