"""CONTROLS: rankings of the tokens that no map should lose to. They are rows of every score table.

Each takes (classifier, trace, rng) and gives (N,) float64 values, the most important token largest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..architecture.outputs import find_output
from ..inference.arguments import is_whole
from ..inference.trace import Trace

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

SHAPLEY_ORDERS = 8


def random_order(classifier: Classifier, trace: Trace, rng: np.random.Generator) -> np.ndarray:
    """Chance: one random order for each image, so its mean SRG is 0 but for sampling."""
    return rng.random(len(trace.evidence))


def centre_distance(classifier: Classifier, trace: Trace, rng: np.random.Generator) -> np.ndarray:
    """Nearness to the centre, in pixels: a blob in the middle, the same for every image and class.

    The largest distance minus the distance of each token's receptive-field centre from the centre of the image.
    """
    middle = np.array(trace.pixels.shape[:2]) / 2
    distance = np.hypot(*(trace.stages[-1].centres.reshape(-1, 2) - middle).T)
    return distance.max() - distance


def sampled_shapley(
    classifier: Classifier, trace: Trace, rng: np.random.Generator, *, orders: int = SHAPLEY_ORDERS
) -> np.ndarray:
    """Shapley values of the tokens for the probability of the predicted class, estimated from few random orders.

    The mean over the orders of the rise of the probability when a token joins those before it in the order; the other
    tokens are masked in the encoder. Every second order is the reverse of the one before. The values sum to the
    probability with all tokens minus that with none, whatever the number of orders.

    Reference: Castro et al. 2009, https://doi.org/10.1016/j.cor.2008.04.004 (sampling); Covert et al. 2023,
    https://arxiv.org/abs/2206.05282 (masked tokens).

    Raises:
        ValueError: an odd or negative number of orders.
    """
    n, target = len(trace.evidence), trace.class_index()
    chosen = random_orders(n, orders, rng)
    places = np.argsort(chosen, axis=1)  # (orders, N): when each token joins
    present = places[:, None, :] < np.arange(n + 1)[:, None]  # (orders, N + 1, N)
    masks, inverse = np.unique(present.reshape(-1, n), axis=0, return_inverse=True)
    logits = classifier.forward_masked(trace, masks).astype(np.float64)
    probability = find_output(trace.output).probabilities(logits)[:, target][inverse.ravel()].reshape(len(chosen), -1)
    rises = np.diff(probability, axis=1)  # (orders, N): of the token at each place
    return np.take_along_axis(rises, places, axis=1).mean(axis=0)


def random_orders(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, n) int: random orders, every second order the reverse of the one before.

    Every order is uniformly random. A pair costs half, because the insertion of one is the deletion of the other.

    Raises:
        ValueError: an odd or negative count.
    """
    check_permutations(count)
    orders = np.array([rng.permutation(n) for _ in range(count // 2)], int).reshape(-1, n)
    return np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, n)


def check_permutations(count: int) -> None:
    """Check a number of random orders.

    Raises:
        ValueError: it is odd or negative.
    """
    if not is_whole(count) or count < 0 or count % 2:
        raise ValueError(f"permutations is {count!r}; expected an even number, because random orders come in pairs")


CONTROLS: dict[str, Callable[[Classifier, Trace, np.random.Generator], np.ndarray]] = {
    "random_order": random_order,
    "centre_distance": centre_distance,
    "sampled_shapley": sampled_shapley,
}
