"""Gradients by the pixels themselves. The methods share each pixel among the tokens that see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images.preprocessing import normalise
from ..inference.arguments import is_number, require_whole
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .ablation import paint_over
from .projection import gather

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


@dataclass(frozen=True, eq=False)
class PixelMap:
    """A map over the model's pixels.

    Attributes:
        values: (H, W) float64, summed over the colours; signed ones in logits, others shares that sum to 1.
        signed: whether values below 0 have a meaning.
        method: the method's name in METHODS.
        checks: identity -> its error on this very image.
    """

    values: np.ndarray
    signed: bool
    method: str
    checks: dict[str, float]


def integrated_gradients(
    trace: Trace, *, target: int, classifier: Classifier, baseline: str = "black", steps: int = 32
) -> Heatmaps:
    """Integrated gradients: what each pixel adds to the class score along a straight path from a baseline image.

    (x - x0) * mean_k dy_c/dx at x0 + (k - 1/2)/n (x - x0), summed over colours; (1, gh, gw) in logits, each pixel
    shared among the tokens that see it. Completeness: it sums to y_c(x) - y_c(x0); the error shown is that of n steps.
    Source: Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365; ours are the steps at the middle of each
    interval, and the sharing among tokens. Limit: the map depends on the baseline x0, and pixels equal to the baseline
    get 0.

    Args:
        baseline: x0: "black", "mean" (the image's mean colour) or "blur".
        steps: n, 1 to 1024.

    Raises:
        ValueError: an option out of range.
    """
    pixels = integrate_gradients(trace, target, classifier, baseline=baseline, steps=steps)
    return on_tokens(trace, pixels, trace.labels[target])


def smooth_grad(
    trace: Trace, *, target: int, classifier: Classifier, samples: int = 16, noise: float = 0.15, seed: int = 0
) -> Heatmaps:
    """SmoothGrad: how sensitive the class score is to each pixel, averaged over noisy copies of the image.

    |mean_k dy_c/dx at x + noise_k| summed over colours; (1, gh, gw) shares, each pixel shared among the tokens that
    see it. Source: Smilkov et al. 2017, https://arxiv.org/abs/1706.03825, with absolute values, which they draw for
    photos; ours are the scaling to shares and the sharing among tokens. Limit: it is a slope without sign, not a part
    of the score.

    Args:
        samples: number of noisy copies, 1 to 1024.
        noise: standard deviation as a share of the range from black to white, 0 to 1.
        seed: seed of the noise.

    Raises:
        ValueError: an option out of range.
    """
    pixels = smooth_gradient(trace, target, classifier, samples=samples, noise=noise, seed=seed)
    return on_tokens(trace, pixels, trace.labels[target])


def gradient_x_input(trace: Trace, *, target: int, classifier: Classifier) -> Heatmaps:
    """Gradient times input: each pixel's difference from black times the gradient of the class score.

    (x - black) * dy_c/dx, summed over colours; (1, gh, gw) in logits, each pixel shared among the tokens that see it.
    Source: Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713, who multiply by the input itself; ours is to count
    it from black, and the sharing among tokens. Limit: black pixels get 0, and the map does not sum to the score, which
    is not linear in the pixels.
    """
    return on_tokens(trace, multiply_gradient(trace, target, classifier), trace.labels[target])


def integrate_gradients(
    trace: Trace, target: int, classifier: Classifier, *, baseline: str = "black", steps: int = 32
) -> PixelMap:
    """`integrated_gradients` at the resolution of the model's pixels, signed."""
    from ..inference.gradients import differentiate_pixels

    require_whole("steps", steps, low=1, high=1024)
    x, start = _normalised(trace, classifier), _normalised(trace, classifier, paint_over(trace.pixels, baseline))
    places = ((np.arange(steps, dtype=np.float32) + np.float32(0.5)) / steps)[:, None, None, None]
    _, gradients = differentiate_pixels(classifier, start + places * (x - start), target)
    values = ((x - start) * gradients.mean(axis=0, dtype=np.float64)).sum(axis=-1)
    ends = classifier.forward(np.stack([x, start]))[:, target].astype(np.float64)
    check = {"sums to the rise from the baseline": abs(float(values.sum() - (ends[0] - ends[1])))}
    return PixelMap(values, True, "integrated_gradients", check)


def smooth_gradient(
    trace: Trace, target: int, classifier: Classifier, *, samples: int = 16, noise: float = 0.15, seed: int = 0
) -> PixelMap:
    """`smooth_grad` at the resolution of the model's pixels, as shares."""
    from ..inference.gradients import differentiate_pixels

    require_whole("samples", samples, low=1, high=1024)
    require_whole("seed", seed, low=0)
    if not is_number(noise) or not 0 <= noise <= 1:
        raise ValueError(f"noise is {noise!r}; expected a number, 0 to 1")
    x = _normalised(trace, classifier)
    scale = noise / np.asarray(classifier.config.preprocessing.std, np.float32)
    noises = np.random.default_rng(seed).standard_normal((samples, *x.shape), dtype=np.float32)
    _, gradients = differentiate_pixels(classifier, x + scale * noises, target)
    values = np.abs(gradients.mean(axis=0, dtype=np.float64)).sum(axis=-1)
    total = values.sum()
    return PixelMap(values / total if total > 0 else values, False, "smooth_grad", {})


def multiply_gradient(trace: Trace, target: int, classifier: Classifier) -> PixelMap:
    """`gradient_x_input` at the resolution of the model's pixels, signed."""
    from ..inference.gradients import differentiate_pixels

    x, black = _normalised(trace, classifier), _normalised(trace, classifier, np.zeros_like(trace.pixels))
    _, gradients = differentiate_pixels(classifier, x[None], target)
    return PixelMap(((x - black) * gradients[0].astype(np.float64)).sum(axis=-1), True, "gradient_x_input", {})


def on_tokens(trace: Trace, pixels: PixelMap, classes: str) -> Heatmaps:
    """The map over tokens: every pixel shared evenly among the tokens that see it. A class token gets nothing.

    `classes` says in the caption what is explained.
    """
    values = gather(pixels.values, trace.stages[-1])
    lost = abs(float(values.sum() - pixels.values.sum()))
    return Heatmaps(
        values[None].astype(np.float32),
        (f"{pixels.method.replace('_', ' ')} for {classes}",),
        signed=pixels.signed,
        method=pixels.method,
        checks={**pixels.checks, "tokens sum to the pixels": lost},
    )


def _normalised(trace: Trace, classifier: Classifier, pixels: np.ndarray | None = None) -> np.ndarray:
    return normalise(trace.pixels if pixels is None else pixels, classifier.config.preprocessing)
