"""What the score loses without a token. There are three ways to remove one: in the pool, in the encoder, as pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from ..images.preprocessing import normalise
from ..inference.trace import Heatmaps, NotApplicable, Trace
from .pooling import centred_scores

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

BASELINES = ("black", "mean", "blur")
BATCH = 64


def ablate_in_pool(trace: Trace, *, target: int) -> Heatmaps:
    """Not pooled: how far the class score falls when the pool leaves a token out; all else has seen it.

    y_c - y_c^(-t) = w_t / (1 - w_t) (e_tc - (y_c - b_c)), closed form; (1, gh, gw) in logits against the mean class,
    positive where the token speaks for the class. With max pooling the next best token takes its channels. Source: the
    formula follows from SeqPool's softmax (Hassani et al. 2021, https://arxiv.org/abs/2104.05704). It cannot undo what
    attention has already carried from this token to the others.

    Raises:
        NotApplicable: the model has a class token.
    """
    if trace.has_class_token:
        raise NotApplicable(
            "this model reads its answer with a class token, so no image token can be left out of a pool"
        )
    evidence = trace.evidence.astype(np.float64)
    evidence = evidence[:, target] - evidence.mean(axis=1)
    n = len(evidence)
    score = float(centred_scores(trace.logits - trace.bias)[target])
    if trace.pooling_weights is None:
        fall, check = _fall_of_max(trace, target), {}
    else:
        # 1 - w_t as a sum of the others, which does not cancel when one token has nearly all the weight.
        w = trace.pooling_weights.astype(np.float64)
        others = w * (1 - np.eye(n))  # (N, N)
        rest = others.sum(axis=1)
        alone = rest == 0
        safe = np.where(alone, 1.0, rest)
        fall = np.where(alone, score, w / safe * (evidence - score))
        pooled_again = np.where(alone, score, score - others @ evidence / safe)
        check = {"equals pooling again": float(np.abs(fall - pooled_again).max())}
    return _signed(trace, fall, f"fall of {trace.labels[target]}, left out of the pool", "ablate_in_pool", check)


def drop_token(trace: Trace, *, target: int, classifier: Classifier) -> Heatmaps:
    """Masked in the encoder: how far the class score falls when no layer attends to a token.

    y_c - y_c^(-t), the token masked as key in every layer and in the pool, once its position was added; (1, gh, gw) in
    logits against the mean class. One forward pass a token, in batches. Source: Covert et al. 2023,
    https://arxiv.org/abs/2206.05282, and Jain et al. 2022, https://arxiv.org/abs/2204.08945. It cannot take back what
    the tokenizer's overlapping windows gave to the neighbours.
    """
    n = len(trace.evidence)
    images = np.broadcast_to(trace.pixels, (n + 1, *trace.pixels.shape))
    masks = np.ones((n + 1, n), np.float32)
    masks[np.arange(n), np.arange(n)] = 0
    logits = run_batches(classifier, images, masks)
    return _perturbed(trace, logits, target, f"fall of {trace.labels[target]}, token removed", "drop_token")


def hide_pixels(trace: Trace, *, target: int, classifier: Classifier, baseline: str = "mean") -> Heatmaps:
    """Pixels covered: how far the class score falls when all that a token sees is painted over.

    y_c - y_c of the image with the token's receptive field replaced; (1, gh, gw) in logits against the mean class. One
    forward pass a token, in batches. Source: Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. It cannot stay
    with one token: windows overlap, so the neighbours lose part of what they see, and the paint itself is new to the
    model.

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
    return _perturbed(trace, logits, target, f"fall of {trace.labels[target]}, pixels hidden", "hide_pixels")


def paint_over(pixels: np.ndarray, baseline: str) -> np.ndarray:
    """(H, W, 3) uint8, an image that says nothing: black, the mean colour of `pixels`, or `pixels` blurred with a
    Gaussian of an eighth of the longer side.

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
    """The falls of (N + 1, K) logits, of which the last belong to the image left as it is."""
    scores = logits[:, target].astype(np.float64) - logits.mean(axis=1, dtype=np.float64)
    check = {"the untouched image gives the logits": float(np.abs(logits[-1] - trace.logits).max())}
    return _signed(trace, scores[-1] - scores[:-1], name, method, check)


def _fall_of_max(trace: Trace, target: int) -> np.ndarray:
    """(N,) float64: with max pooling the second best of each channel takes the place of its winner."""
    r, head = trace.representation.astype(np.float64), trace.readout_weights.head.astype(np.float64)
    towards = head[:, target] - head.mean(axis=1)  # (D,)
    fall = np.zeros(len(r))
    if len(r) == 1:
        return r @ towards
    second, best = np.sort(r, axis=0)[-2:]
    np.add.at(fall, trace.winners, (best - second) * towards)
    return fall


def _signed(trace: Trace, values: np.ndarray, name: str, method: str, checks: dict[str, float]) -> Heatmaps:
    maps = values.reshape(1, *trace.grid).astype(np.float32)
    return Heatmaps(maps, (name,), signed=True, method=method, checks=checks)
