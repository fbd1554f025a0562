"""Does a map point at what the model uses? Take tokens away in the order of the map and watch the probability.

A removal protocol says what "away" means: "token_drop" (the token never reaches the encoder; no baseline at all), or
its pixels painted "black", in the image's "mean" colour, or from a "blur" of it. Every pixel belongs to the token with
the nearest window, so random orders are as coarse as the maps: scattered pixels would wreck the texture and win.
It cannot show that a map is right, only that the tokens it ranks first are ones this model needs or is content with.

Reference: Petsiuk et al. 2018, RISE, https://arxiv.org/abs/1806.07421 (deletion and insertion); Bluecher et al. 2024,
https://arxiv.org/abs/2401.06654 (their difference, SRG); Jain et al. 2022, https://arxiv.org/abs/2204.08945
(token drop)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..inference.arguments import is_whole, require_whole
from ..inference.trace import Heatmaps, Trace
from ..methods import METHODS, NotApplicable, explain
from ..methods.ablation import BASELINES, paint_over, run_batches
from ..methods.projection import nearest_token

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

PROTOCOLS = ("token_drop", *BASELINES)
PERMUTATIONS = 20
# Methods whose maps are parts, one a head, path, depth or part of the model, and none of them the answer.
PARTS = ("attention", "rollout_paths", "logit_lens", "direct_logit_attribution")
RANKINGS = tuple(method for method in METHODS if method not in PARTS)


@dataclass(frozen=True, eq=False)
class Curves:
    """What n orders of the tokens do to one class's probability, under one protocol. float64.

    Attributes:
        protocol: one of PROTOCOLS.
        counts: (P,) int, rising from 0 to N: tokens taken away, or put back.
        deletion: (n, P), the probability once the first `counts` tokens are away.
        insertion: (n, P), the probability with nothing but the first `counts` tokens there.
    """

    protocol: str
    counts: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

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
    """One map measured beside random orders of the same tokens.

    Attributes:
        curves: of the map, n = 1.
        random: of the random orders; every second is the reverse of the one before, so their mean SRG is 0.
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
        values: (gh, gw) or (N,), most important first means largest first.
        target: the class whose probability is watched; the model's choice by default.
        protocol: one of PROTOCOLS.
        points: steps of the curve, rounded to whole tokens the same from both ends, so one more where it is even and N
            is odd; every token by default.
        permutations: random orders, an even number.
        seed: of the random orders and of the order within ties.

    Raises:
        ValueError: no such protocol or class, or a value out of its range.
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
    """The curves of many orders at once; what two of them share, as their ends, is computed once.

    Inserting in an order is deleting in its reverse: I(k) = D_reversed(N - k), for all protocols.

    Args:
        orders: (n, N) int, each a permutation of the tokens, most important first.
        target, protocol, points: as `measure`.

    Raises:
        ValueError: as `measure`.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    target = trace.class_index(target)
    count, n = orders.shape
    steps = spread_steps(n, points)
    place = np.argsort(orders, axis=1)  # (n, N): where in the order a token stands
    away = place[:, None, :] < steps[:, None]  # (n, P, N): deletion takes away the first, insertion all but the first
    states = np.concatenate([away, ~away]).reshape(-1, n)
    # Each state packed into one string of bytes: np.unique over rows would sort whole rows of flags.
    packed = np.packbits(states, axis=1)
    _, first, inverse = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    logits = _logits_without(classifier, trace, states[first], protocol).astype(np.float64)
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = (probability[:, target] / probability.sum(axis=1))[inverse].reshape(2, count, len(steps))
    return Curves(protocol, steps, probability[0], probability[1])


def check_settings(*, points: int | None, permutations: int, seed: int) -> None:
    """Refuse settings of a curve and its random band that mean nothing.

    Raises:
        ValueError: says which, and what was expected.
    """
    if points is not None:
        require_whole("points", points, low=2)
    _check_permutations(permutations)
    require_whole("seed", seed, low=0)


def spread_steps(n: int, points: int | None = None) -> np.ndarray:
    """(P,) int, rising from 0 to `n`: how many tokens are away at each of `points` even steps, every one by default.

    They lie the same from both ends, so that a reverse order needs no other states; where `points` is even and `n` odd
    that takes one step more.

    Raises:
        ValueError: fewer than 2 points.
    """
    if points is not None:
        require_whole("points", points, low=2)
    points = min(points or n, n)
    first = np.floor(np.arange(points // 2 + 1) * n / points + 0.5).astype(int)
    return np.unique([first, n - first])


def rank(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) int: the tokens by falling value; ties in random order, for the grid's own order is no random one."""
    values = np.asarray(values).reshape(-1)
    shuffled = rng.permutation(len(values))
    return shuffled[np.argsort(-values[shuffled], kind="stable")]


def random_orders(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, n) int: random orders, every second the reverse of the one before.

    Each is as random as any; in pairs they cost half, since the insertion of one is the deletion of the other.

    Raises:
        ValueError: an odd or negative count.
    """
    _check_permutations(count)
    drawn = np.array([rng.permutation(n) for _ in range(count // 2)], int).reshape(-1, n)
    return np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(-1, n)


def _check_permutations(count: int) -> None:
    if not is_whole(count) or count < 0 or count % 2:
        raise ValueError(f"permutations is {count!r}; expected an even number, as they come in pairs")


def percentile(value: float, among: np.ndarray) -> float:
    """Share of `among` below `value`, ties counted half; one half for nothing to compare with."""
    if not among.size:
        return 0.5
    return float(((among < value) + 0.5 * (among == value)).mean())


def judge(percentile: float) -> str:
    """What it means that a map does better than this share, 0 to 1, of random orders; removal.js says the same."""
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
    """{protocol: {method: {"deletion", "insertion", "srg", "percentile"}}} of one image, for the class the model chose.

    A method's last map counts; methods that do not apply to this model are left out.

    Raises:
        ValueError: as `measure`, or none of the methods applies.
    """
    check_settings(points=points, permutations=permutations, seed=seed)
    rng = np.random.default_rng(seed)
    maps: dict[str, Heatmaps] = {}
    for method in methods:
        try:
            maps[method] = explain(trace, method, classifier=classifier)
        except NotApplicable:
            continue
    if not maps:
        raise ValueError(f"none of the methods asked for ({', '.join(methods)}) applies to this model")
    orders = [rank(heat.maps[-1], rng) for heat in maps.values()]
    drawn = random_orders(len(trace.evidence), permutations, rng)
    together = np.concatenate([*(order[None] for order in orders), drawn])
    found: dict[str, dict[str, dict[str, float]]] = {}
    for protocol in protocols:
        curves = remove(classifier, trace, together, protocol=protocol, points=points)
        deletion, insertion, srg = curves.deletion_auc, curves.insertion_auc, curves.srg
        found[protocol] = {
            method: {
                "deletion": float(deletion[i]),
                "insertion": float(insertion[i]),
                "srg": float(srg[i]),
                "percentile": percentile(float(srg[i]), srg[len(maps) :]),
            }
            for i, method in enumerate(maps)
        }
    return found


def summarise(rows: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]]) -> list[dict[str, object]]:
    """The table of many images' `score_image`: one entry a method, the best mean SRG first.

    Each has "method", "srg" and "interval" over all protocols, and for each protocol the mean "srg", "deletion",
    "insertion", "percentile" and the "interval" of the SRG: half the width of a normal 95 % interval of the mean over
    images, which are drawn alike and independent.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("there are no scored images to summarise")
    table: list[dict[str, object]] = []
    protocols = list(rows[0])
    for method in rows[0][protocols[0]]:
        by_protocol: dict[str, dict[str, float | None]] = {}
        srg: list[np.ndarray] = []
        for protocol in protocols:
            columns = {key: np.array([row[protocol][method][key] for row in rows]) for key in _MEASURES}
            srg.append(columns["srg"])
            means = {key: float(values.mean()) for key, values in columns.items()}
            by_protocol[protocol] = {**means, "interval": _half_interval(columns["srg"])}
        mean = np.mean(srg, axis=0)
        table.append(
            {"method": method, "srg": float(mean.mean()), "interval": _half_interval(mean), "protocols": by_protocol}
        )
    return sorted(table, key=lambda entry: -float(entry["srg"]))  # type: ignore[arg-type]


_MEASURES = ("srg", "deletion", "insertion", "percentile")


def _half_interval(values: np.ndarray) -> float | None:
    if len(values) < 2:
        return None
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))


def _logits_without(classifier: Classifier, trace: Trace, away: np.ndarray, protocol: str) -> np.ndarray:
    """(B, K) logits with the tokens of (B, N) bool away."""
    if protocol == "token_drop":
        images = np.broadcast_to(trace.pixels, (len(away), *trace.pixels.shape))
        return run_batches(classifier, images, (~away).astype(np.float32))
    paint = paint_over(trace.pixels, protocol)
    owner = nearest_token(trace.stages[-1], trace.pixels.shape[:2])
    return run_batches(classifier, np.where(away[:, owner][..., None], paint, trace.pixels))
