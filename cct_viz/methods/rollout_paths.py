"""Attention rollout split into paths from the pool back to the input, by the layers in which they use attention."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .attention import fused_attentions, share_maps
from .rollout import attention_shares

MAX_LAYERS = 4  # 2^4 = 16 maps; more would not be readable


@dataclass(frozen=True, eq=False)
class Paths:
    """The parts of a rollout.

    Attributes:
        names: P captions.
        masses: (P,) float64, the share of the rollout along each path; they sum to 1.
        rows: (P, M) float64, each path's part of the rollout; row p sums to masses[p], all rows sum to the rollout.
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
    """Rollout paths: attention rollout split by the layers in which a path goes through attention.

    In its other layers a path follows the residual connection. Expanding q^T prod_l ((1 - alpha) I + alpha A_l) gives
    one term per subset of layers; with two layers and one alpha their masses are (1 - alpha)^2, alpha (1 - alpha) twice
    and alpha^2. (P, gh, gw) shares; each path's map sums to 1 and its name gives its mass. Source: ours, from Abnar and
    Zuidema 2020, https://arxiv.org/abs/2005.00928. Limit: mass measures attention, not effect on the class score.

    Args:
        head_fusion: "mean", "max" or "min" over the heads.
        alpha: share of attention against the residual connection, 0 to 1, or "measured" for each token and layer.
        discard: share of each row's smallest attentions set to 0 before the row is normalised again, 0 <= share < 1.
        grouped: group paths by their number of attention layers instead of showing every subset; None groups only
            models of more than 4 layers.

    Raises:
        ValueError: an option out of range, or `grouped` is False with more than 4 layers.
    """
    paths = split_rollout(trace, head_fusion=head_fusion, alpha=alpha, discard=discard, grouped=grouped)
    scale = np.where(paths.masses > 0, paths.masses, 1.0)[:, None]
    names = tuple(f"{name} ({mass:.0%})" for name, mass in zip(paths.names, paths.masses, strict=True))
    checks = {"masses sum to 1": abs(float(paths.masses.sum()) - 1)}
    return share_maps(trace, paths.rows / scale, names, "rollout_paths", checks)


def split_rollout(
    trace: Trace,
    *,
    head_fusion: str = "mean",
    alpha: float | str = 0.5,
    discard: float = 0.0,
    grouped: bool | None = None,
) -> Paths:
    """The paths of a rollout with their masses; options as in `rollout_paths`."""
    if grouped is not None and not isinstance(grouped, bool):
        raise ValueError(f"grouped is {grouped!r}; expected true, false or null")
    attended = fused_attentions(trace, head_fusion=head_fusion, discard=discard)
    shares = attention_shares(trace, alpha)
    count = len(attended)
    if grouped is None:
        grouped = count > MAX_LAYERS
    if not grouped and count > MAX_LAYERS:
        raise ValueError(
            f"{count} layers make {2**count:,} paths; with more than {MAX_LAYERS} layers set grouped to true or null"
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
        for subset in itertools.combinations(reversed(range(count)), size):
            row = readout
            for layer in reversed(range(count)):
                share = shares[layer]
                row = (row * share) @ attended[layer] if layer in subset else row * (1 - share)
            parts.append(row)
            subsets.append(
                "attention " + ", then ".join(str(i + 1) for i in subset) if subset else "past all attention"
            )
    rows = np.stack(parts)
    return Paths(tuple(subsets), rows.sum(axis=1), rows)
