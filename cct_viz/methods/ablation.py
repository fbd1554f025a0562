"""How far the class score falls without a token, removed in three ways: not pooled, masked, pixels covered."""

from __future__ import annotations

from collections.abc import Iterator
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
    https://arxiv.org/abs/2206.05282, and Jain et al. 2022, https://arxiv.org/abs/2204.08945. Limit: the tokenizer's
    windows overlap, so neighbouring tokens still contain part of its pixels.
    """
    n = len(trace.evidence)
    images = np.broadcast_to(trace.pixels, (n + 1, *trace.pixels.shape))
    masks = np.ones((n + 1, n), np.float32)
    masks[np.arange(n), np.arange(n)] = 0
    logits = run_batches(classifier, images, masks)
    return _perturbed(trace, logits, target, f"fall of {trace.labels[target]}, token masked", "drop_token")


def hide_pixels(trace: Trace, *, target: int, classifier: Classifier, baseline: str = "mean") -> Heatmaps:
    """Pixels covered: how far the class score falls when a token's receptive field is painted over.

    y_c minus y_c of the image with the receptive field replaced; (1, gh, gw) in logits against the mean class. One
    forward pass per token, in batches. Source: Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. Limit:
    receptive fields overlap, so neighbouring tokens change too, and the paint itself is new information for the model.

    Args:
        baseline: "black", "mean" (the image's mean colour) or "blur".

    Raises:
        ValueError: no such baseline.
    """
    paint = paint_over(trace.pixels, baseline)
    images = np.repeat(trace.pixels[None], len(trace.evidence) + 1, axis=0)
    for image, (y0, x0, y1, x1) in zip(images, trace.receptive_field, strict=False):
        image[y0:y1, x0:x1] = paint[y0:y1, x0:x1]
    logits = run_batches(classifier, images)
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


def run_batches(classifier: Classifier, images: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """(B, K) float32 logits of (B, H, W, 3) uint8 images, 64 at a time."""

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            batch = normalise(images[part], classifier.config.preprocessing)
            yield classifier.forward(batch, None if masks is None else masks[part])

    return np.concatenate(list(chunks()))


def _perturbed(trace: Trace, logits: np.ndarray, target: int, name: str, method: str) -> Heatmaps:
    """The fall of each of the first N of (N + 1, K) logits against the last, which belong to the unchanged image."""
    scores = trace.relative(logits.astype(np.float64))[:, target]
    check = {"the untouched image gives the logits": float(np.abs(logits[-1] - trace.logits).max())}
    return _signed(trace, scores[-1] - scores[:-1], name, method, check)


def _signed(trace: Trace, values: np.ndarray, name: str, method: str, checks: dict[str, float]) -> Heatmaps:
    maps = values.reshape(1, *trace.grid).astype(np.float32)
    return Heatmaps(maps, (name,), signed=True, method=method, checks=checks)
