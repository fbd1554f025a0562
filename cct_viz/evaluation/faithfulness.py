"""Faithfulness of a map: remove tokens in the order of the map and record the probability of the class.

A removal protocol says how: "token_drop" masks the token in the encoder and needs no baseline; the others paint its
pixels "black", in the image's "mean" colour, or from a "blur" of it. Every pixel belongs to the token with the nearest
window centre, so random orders remove regions as coarse as the maps do. Scattered pixels would destroy the texture and
lower the probability faster. Limit: a good score means only that the model needs the tokens ranked first, or that they
are enough, not that the map is right.

Reference: Petsiuk et al. 2018, RISE, https://arxiv.org/abs/1806.07421 (deletion and insertion); Bluecher et al. 2024,
https://arxiv.org/abs/2401.06654 (their difference, SRG); Jain et al. 2022, https://arxiv.org/abs/2204.08945
(token drop)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..architecture.outputs import find_output
from ..architecture.reprs import short_repr
from ..inference.arguments import require_whole
from ..inference.trace import Trace
from ..methods import METHODS, NotApplicable, explain
from ..methods.ablation import BASELINES, run_painted
from ..methods.projection import nearest_token
from .controls import CONTROLS, check_permutations, random_orders

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

PROTOCOLS = ("token_drop", *BASELINES)
PERMUTATIONS = 20
# Methods with one map per head, path, depth or part of the model, so that no single map ranks the tokens.
PARTS = ("attention", "rollout_paths", "logit_lens", "direct_logit_attribution", "contribution_by_depth")
RANKINGS = tuple(method for method in METHODS if method not in PARTS)


@dataclass(frozen=True, eq=False)
class Curves:
    """The probability of one class for n orders of the tokens, under one protocol. float64.

    Attributes:
        protocol: one of PROTOCOLS.
        counts: (P,) int, rising from 0 to N: number of tokens removed or inserted.
        deletion: (n, P), the probability without the first `counts` tokens.
        insertion: (n, P), the probability with only the first `counts` tokens.
    """

    protocol: str
    counts: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    __repr__ = short_repr

    @property
    def deletion_auc(self) -> np.ndarray:
        """(n,): area under the deletion curve over the share of tokens, by trapezoid with both ends; low is good."""
        return np.trapezoid(self.deletion, self.counts / self.counts[-1], axis=1)

    @property
    def insertion_auc(self) -> np.ndarray:
        """(n,): area under the insertion curve; high is good."""
        return np.trapezoid(self.insertion, self.counts / self.counts[-1], axis=1)

    @property
    def srg(self) -> np.ndarray:
        """(n,): insertion_auc - deletion_auc, 0 in expectation for a random order; high is good."""
        return self.insertion_auc - self.deletion_auc


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """The curves of one map and of random orders of the same tokens.

    Attributes:
        curves: of the map, n = 1.
        random: of the random orders; every second order is the reverse of the one before, so their mean SRG is 0.
        percentile: share of random orders with a smaller SRG, ties counted half; 0 to 1.
    """

    curves: Curves
    random: Curves
    percentile: float

    def band(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        """The lower and upper edge, (P,) each, between which 90 % of the random orders' "deletion" or "insertion"
        curves run."""
        low, high = np.quantile(getattr(self.random, which), [0.05, 0.95], axis=0)
        return low, high


def measure(
    classifier: Classifier,
    trace: Trace,
    values: np.ndarray,
    *,
    target: int | str | None = None,
    protocol: str = "token_drop",
    points: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Faithfulness:
    """Deletion and insertion curve of one map, with a random band.

    Args:
        values: (gh, gw) or (N,), the most important token has the largest value.
        target: the class whose probability is recorded; by default the predicted class.
        protocol: one of PROTOCOLS.
        points: steps of the curve, rounded to whole tokens symmetrically, so there is one more if `points` is even and
            N is odd; by default one step per token.
        permutations: number of random orders, even.
        seed: seed of the random orders and of the order within ties.

    Raises:
        ValueError: no such protocol or class, or a value out of range.
    """
    check_settings(points=points, permutations=permutations, seed=seed)
    rng = np.random.default_rng(seed)
    n = len(trace.evidence)
    orders = np.concatenate([rank(values, rng)[None], random_orders(n, permutations, rng)])
    curves = remove(classifier, trace, orders, target=target, protocol=protocol, points=points)
    first, rest = (
        Curves(protocol, curves.counts, curves.deletion[part], curves.insertion[part])
        for part in (slice(0, 1), slice(1, None))
    )
    return Faithfulness(first, rest, percentile(float(first.srg[0]), rest.srg))


def remove(
    classifier: Classifier,
    trace: Trace,
    orders: np.ndarray,
    *,
    target: int | str | None = None,
    protocol: str = "token_drop",
    points: int | None = None,
) -> Curves:
    """The curves of many orders at once; states that several curves share are computed once.

    Inserting in an order is deleting in its reverse: I(k) = D_reversed(N - k), for all protocols.

    Args:
        orders: (n, N) int, each a permutation of the tokens, most important first.
        target, protocol, points: as in `measure`.

    Raises:
        ValueError: as in `measure`.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    target = trace.class_index(target)
    count, n = orders.shape
    steps = spread_steps(n, points)
    place = np.argsort(orders, axis=1)  # (n, N): each token's rank in the order
    away = place[:, None, :] < steps[:, None]  # (n, P, N): deletion removes the first, insertion all but the first
    states = np.concatenate([away, ~away]).reshape(-1, n)
    # Pack each state into one byte string: np.unique over rows would be slower, it sorts whole rows of flags.
    packed = np.packbits(states, axis=1)
    _, first, inverse = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    logits = _logits_without(classifier, trace, states[first], protocol).astype(np.float64)
    probability = find_output(trace.output).probabilities(logits)[:, target]
    probability = probability[inverse].reshape(2, count, len(steps))
    return Curves(protocol, steps, probability[0], probability[1])


def check_settings(*, points: int | None, permutations: int, seed: int) -> None:
    """Check the settings of a curve and its random band.

    Raises:
        ValueError: a setting out of range; the message names it and what was expected.
    """
    if points is not None:
        require_whole("points", points, low=2)
    check_permutations(permutations)
    require_whole("seed", seed, low=0)


def spread_steps(n: int, points: int | None = None) -> np.ndarray:
    """(P,) int, rising from 0 to `n`: number of tokens removed at each of `points` even steps, by default every token.

    The steps are symmetric, so that a reversed order has the same states; if `points` is even and `n` is odd, that
    needs one more step.

    Raises:
        ValueError: fewer than 2 points.
    """
    if points is not None:
        require_whole("points", points, low=2)
    points = min(points or n, n)
    first = np.floor(np.arange(points // 2 + 1) * n / points + 0.5).astype(int)
    return np.unique([first, n - first])


def rank(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) int: the tokens, largest value first; ties in random order, because the grid's order is not random."""
    values = np.asarray(values).reshape(-1)
    shuffled = rng.permutation(len(values))
    return shuffled[np.argsort(-values[shuffled], kind="stable")]


def percentile(value: float, among: np.ndarray) -> float:
    """Share of `among` below `value`, ties counted half; 0.5 if `among` is empty."""
    if not among.size:
        return 0.5
    return float(((among < value) + 0.5 * (among == value)).mean())


def judge(percentile: float) -> str:
    """What it means that a map does better than this share, 0 to 1, of random orders; the page says the same."""
    if percentile >= 0.95:
        return "It points at what this model needs here better than chance."
    if percentile <= 0.5:
        return "On this picture it is no better than tokens chosen at random: do not read much into it."
    return "On this picture it is not clearly better than tokens chosen at random."


def score_image(
    classifier: Classifier,
    trace: Trace,
    *,
    methods: Sequence[str] = RANKINGS,
    protocols: Sequence[str] = PROTOCOLS,
    points: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, float]]]:
    """{protocol: {method: {"deletion", "insertion", "srg", "percentile"}}} of one image, for the predicted class.

    It uses the last map of each method, and omits methods that do not apply to this model. The CONTROLS come after the
    methods.

    Raises:
        ValueError: as in `measure`, or no method applies.
    """
    check_settings(points=points, permutations=permutations, seed=seed)
    maps = ranking_maps(classifier, trace, methods, seed)
    return score_maps(classifier, trace, maps, protocols=protocols, points=points, permutations=permutations, seed=seed)


def score_maps(
    classifier: Classifier,
    trace: Trace,
    maps: Mapping[str, np.ndarray],
    *,
    protocols: Sequence[str] = PROTOCOLS,
    points: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, float]]]:
    """As `score_image`, of maps that are there: (N,) values by name, which all compete with the same random orders.

    Raises:
        ValueError: as in `measure`.
    """
    check_settings(points=points, permutations=permutations, seed=seed)
    rng = np.random.default_rng(seed)
    orders = [rank(values, rng) for values in maps.values()]
    others = random_orders(len(trace.evidence), permutations, rng)
    together = np.concatenate([*(order[None] for order in orders), others])
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for protocol in protocols:
        curves = remove(classifier, trace, together, protocol=protocol, points=points)
        deletion, insertion, srg = curves.deletion_auc, curves.insertion_auc, curves.srg
        scores[protocol] = {
            method: {
                "deletion": float(deletion[i]),
                "insertion": float(insertion[i]),
                "srg": float(srg[i]),
                "percentile": percentile(float(srg[i]), srg[len(maps) :]),
            }
            for i, method in enumerate(maps)
        }
    return scores


def ranking_maps(classifier: Classifier, trace: Trace, methods: Sequence[str], seed: int = 0) -> dict[str, np.ndarray]:
    """The last map of each method that applies to this model, then the CONTROLS: (N,) values by name.

    Raises:
        ValueError: no method applies.
    """
    maps: dict[str, np.ndarray] = {}
    for method in methods:
        try:
            maps[method] = explain(trace, method, classifier=classifier).maps[-1].reshape(-1)
        except NotApplicable:
            continue
    if not maps:
        raise ValueError(f"no requested method applies to this model ({', '.join(methods)}); choose others")
    for name, control in CONTROLS.items():
        maps[name] = control(classifier, trace, np.random.default_rng((seed, *name.encode())))
    return maps


def _logits_without(classifier: Classifier, trace: Trace, away: np.ndarray, protocol: str) -> np.ndarray:
    """(B, K) logits with the tokens where `away` (B, N) is True removed."""
    if protocol == "token_drop":
        return classifier.forward_masked(trace, ~away)
    owner = nearest_token(trace.stages[-1], trace.pixels.shape[:2])
    return run_painted(classifier, trace, away[:, owner], protocol)
