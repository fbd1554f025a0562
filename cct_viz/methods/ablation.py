"""How far the class score falls without a token, removed in three ways: not pooled, masked, pixels covered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from ..architecture.pools import find_pool
from ..images.preprocessing import normalise
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .pooling import require_split

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

BASELINES = ("black", "mean", "blur")
BATCH = 64


def ablate_in_pool(trace: Trace, *, target: int) -> Heatmaps:
    """Not pooled: how far the class score falls when the pool leaves a token out.

    y_c - y_c^(-t) = w_t / (1 - w_t) (e_tc - (y_c - b_c)), closed form; (1, gh, gw) in logits against the mean class,
    positive where the token favours the class. With max pooling the next largest token supplies the channel. Source:
    ours, from SeqPool's softmax (Hassani et al. 2021, https://arxiv.org/abs/2104.05704). Limit: attention has already
    copied information from this token to the others, and it stays there.

    Raises:
        NotApplicable: the model has a class token.
    """
    require_split(trace, ", so there is no pool to leave an image token out of")
    evidence = trace.relative(trace.evidence.astype(np.float64))[:, target]
    towards = trace.relative(trace.readout_weights.head.astype(np.float64))[:, target]  # (D,)
    score = float(trace.relative(trace.logits - trace.bias)[target])
    ablate = find_pool(trace.pool).ablate
    assert ablate is not None  # a pool that splits has one
    fall, check = ablate(trace.representation, trace.pooling_weights, evidence, towards, score)
    return _signed(trace, fall, f"fall of {trace.labels[target]}, not pooled", "ablate_in_pool", check)


def drop_token(trace: Trace, *, target: int, classifier: Classifier) -> Heatmaps:
    """Masked in the encoder: how far the class score falls when every layer and the pool ignore a token.

    y_c - y_c^(-t), with the token masked as key in every layer and in the pool, after the position is added;
    (1, gh, gw) in logits against the mean class. One forward pass per token, in batches. Source: Covert et al. 2023,
    https://arxiv.org/abs/2206.05282, for masked tokens in attention, and Jain et al. 2022,
    https://arxiv.org/abs/2204.08945, for dropped ones; the map of single falls is ours, without their Shapley values.
    Limit: the tokenizer's windows overlap, so neighbouring tokens still contain part of its pixels.
    """
    n = len(trace.evidence)
    logits = classifier.forward_masked(trace, np.concatenate([1 - np.eye(n), np.ones((1, n))]))
    return _perturbed(trace, logits, target, f"fall of {trace.labels[target]}, token masked", "drop_token")


def hide_pixels(trace: Trace, *, target: int, classifier: Classifier, baseline: str = "mean") -> Heatmaps:
    """Pixels covered: how far the class score falls when a token's receptive field is painted over.

    y_c minus y_c of the image with the receptive field replaced; (1, gh, gw) in logits against the mean class. One
    forward pass per token, in batches. Source: Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901, who slide a
    grey square; ours are the tokens' receptive fields and the three paints. Limit: receptive fields overlap, so
    neighbouring tokens change too, and the paint itself is new information for the model.

    Args:
        baseline: "black", "mean" (the image's mean colour) or "blur".

    Raises:
        ValueError: no such baseline.
    """
    hidden = np.zeros((len(trace.evidence) + 1, *trace.pixels.shape[:2]), bool)
    for cover, (y0, x0, y1, x1) in zip(hidden, trace.receptive_field, strict=False):
        cover[y0:y1, x0:x1] = True
    logits = run_painted(classifier, trace, hidden, baseline)
    return _perturbed(trace, logits, target, f"fall of {trace.labels[target]}, pixels covered", "hide_pixels")


def paint_over(pixels: np.ndarray, baseline: str) -> np.ndarray:
    """(H, W, 3) uint8 baseline image: black, the mean colour of `pixels`, or `pixels` blurred with a Gaussian whose
    radius is an eighth of the longer side.

    Raises:
        ValueError: no such baseline.
    """
    if baseline not in BASELINES:
        raise ValueError(f"baseline is {baseline!r}; expected one of {', '.join(BASELINES)}")
    if baseline == "black":
        return np.zeros_like(pixels)
    if baseline == "mean":
        colour = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
        return np.broadcast_to(colour, pixels.shape).copy()
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(max(pixels.shape[:2]) / 8)))


def run_painted(classifier: Classifier, trace: Trace, hidden: np.ndarray, baseline: str) -> np.ndarray:
    """(B, K) float32 logits of the trace's image with the pixels of each of (B, H, W) bool masks painted over.

    Raises:
        ValueError: no such baseline.
    """
    images = trace.pixels, paint_over(trace.pixels, baseline)
    x, paint = (normalise(pixels, classifier.config.preprocessing) for pixels in images)
    parts = (hidden[start : start + BATCH, ..., None] for start in range(0, len(hidden), BATCH))
    return np.concatenate([classifier.forward(np.where(part, paint, x)) for part in parts])


def _perturbed(trace: Trace, logits: np.ndarray, target: int, name: str, method: str) -> Heatmaps:
    """The fall of each of the first N of (N + 1, K) logits against the last, which belong to the unchanged image."""
    scores = trace.relative(logits.astype(np.float64))[:, target]
    check = {"the untouched image gives the logits": float(np.abs(logits[-1] - trace.logits).max())}
    return _signed(trace, scores[-1] - scores[:-1], name, method, check)


def _signed(trace: Trace, values: np.ndarray, name: str, method: str, checks: dict[str, float]) -> Heatmaps:
    maps = values.reshape(1, *trace.grid).astype(np.float32)
    return Heatmaps(maps, (name,), signed=True, method=method, checks=checks)
