"""What the tables of a data set say of a model: sums over the parts, so that memory does not grow with the pictures."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..architecture.config import CCTConfig
from ..dataset.analyse import Analysis
from ..inference.gauge import SHRINKAGE
from ..methods.attention import effective_tokens
from ..methods.strongest import Strongest, from_rows, no_patches

CHANCE = 0.95  # of random orders: a map that is better than these beats chance, as `faithfulness.judge` has it
SHOWN = 6  # pictures of a cell, and of the most and least typical
CELLS = 12  # of the confusion matrix, the largest off its diagonal


@dataclass(frozen=True)
class Shown:
    """A picture to show: the number of its chunk, its name in the data set, and what is said of it."""

    chunk: int
    name: str
    text: str


@dataclass(frozen=True)
class Cell:
    """Pictures of one class that the model takes for another one; `shown` has the most certain of them."""

    label: str
    predicted: str
    count: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Faithful:
    """One map over all pictures: the share of them, 0 to 1, on which it beats chance, and its mean SRG."""

    beats_chance: float
    srg: float


@dataclass(frozen=True, eq=False)
class Findings:
    """Means over all pictures that could be read.

    Attributes:
        pictures, problems: how many.
        accuracy: top-1, 0 to 1, over the pictures with a true class of the model; None without such.
        position_prior: (gh, gw) mean pooling weights, which sum to 1; None without the column `seqpool`.
        attention_distance: (L, A) pixels of the model's input.
        attention_tokens: (L, A).
        pool_tokens: the effective number of tokens of the mean pooling weights; None without them.
        predicted: class -> number of pictures, those with any, in the order of the model.
        attribution: class -> (P,) logits, what each part adds to the score on average where this class is predicted.
        faithfulness: map -> how often it beats chance; empty without the columns of `--faithfulness`.
        confusion: (true, predicted) -> number of pictures.
        cells: the largest cells off the diagonal, the largest first.
        typical, unusual: by the distance of the pooled vector from the mean, nearest and farthest first.
        patches: of each conv stage, where each channel is strongest.
        patch_pictures: number of a picture in `patches` -> the number of its chunk, its name in the data set.
    """

    pictures: int
    problems: int
    accuracy: float | None
    position_prior: np.ndarray | None
    attention_distance: np.ndarray
    attention_tokens: np.ndarray
    pool_tokens: float | None
    predicted: Mapping[str, int]
    attribution: Mapping[str, np.ndarray]
    faithfulness: Mapping[str, Faithful]
    confusion: Mapping[tuple[str, str], int]
    cells: tuple[Cell, ...]
    typical: tuple[Shown, ...]
    unusual: tuple[Shown, ...]
    patches: tuple[Strongest, ...]
    patch_pictures: Mapping[int, tuple[int, str]]


def find(analysis: Analysis) -> Findings:
    """Add up the tables; reads them twice, the second time for what is typical.

    Raises:
        ValueError: no picture could be read.
    """
    columns = analysis.manifest["columns"]
    means = [name for name in ("seqpool", "attention_distance", "attention_tokens", "pooled") if name in columns]
    sums: dict[str, Any] = dict.fromkeys(means, 0.0)
    square: Any = 0.0
    predicted: dict[str, int] = defaultdict(int)
    attribution: dict[str, Any] = defaultdict(float)
    confusion: dict[tuple[str, str], int] = defaultdict(int)
    wrong: dict[tuple[str, str], list[tuple[float, int, str]]] = defaultdict(list)
    texts = ["image", "label", "predicted", "probability"]
    for number, table in analysis.parts([*texts, *means, "attribution"]):
        for name in means:
            sums[name] = sums[name] + analysis.numbers(table, name).sum(axis=0, dtype=np.float64)
        pooled = analysis.numbers(table, "pooled").astype(np.float64)
        square = square + pooled.T @ pooled
        rows = zip(*(table.column(name).to_pylist() for name in texts), strict=True)
        for parts, (image, label, answer, probability) in zip(
            analysis.numbers(table, "attribution"), rows, strict=True
        ):
            predicted[answer] += 1
            attribution[answer] = attribution[answer] + parts.astype(np.float64)
            if label is not None:
                confusion[label, answer] += 1
                if label != answer:
                    best = wrong[label, answer]
                    (heapq.heappushpop if len(best) == SHOWN else heapq.heappush)(best, (probability, number, image))
    count = sum(predicted.values())
    if not count:
        raise ValueError(f"{analysis.folder} has no picture that could be read, so there is nothing to report")
    labelled = sum(confusion.values())
    mean = {name: total / count for name, total in sums.items()}
    typical, unusual = _find_extremes(analysis, mean["pooled"], square / count)
    patches, pictures = _find_patches(analysis)
    order = [label for label in columns["logits"]["names"] if label in predicted]
    prior = mean.get("seqpool")
    return Findings(
        pictures=count,
        problems=analysis.problems().num_rows,
        accuracy=sum(n for (a, b), n in confusion.items() if a == b) / labelled if labelled else None,
        position_prior=prior,
        attention_distance=mean["attention_distance"],
        attention_tokens=mean["attention_tokens"],
        pool_tokens=None if prior is None else effective_tokens(prior),
        predicted={label: predicted[label] for label in order},
        attribution={label: attribution[label] / predicted[label] for label in order},
        faithfulness=_read_faithfulness(analysis),
        confusion=dict(confusion),
        cells=_largest(confusion, wrong),
        typical=typical,
        unusual=unusual,
        patches=patches,
        patch_pictures=pictures,
    )


def _find_patches(analysis: Analysis) -> tuple[tuple[Strongest, ...], dict[int, tuple[int, str]]]:
    """The strongest patches of all chunks, and chunk and name of the pictures that they are from."""
    config = CCTConfig.from_dict(analysis.manifest["config"])
    strongest = no_patches(config)
    pictures: dict[int, tuple[int, str]] = {}
    count = 0
    for chunk, table in analysis.patches():
        names = sorted(set(images := table.column("image").to_pylist()))
        numbers = {name: count + i for i, name in enumerate(names)}
        count += len(names)
        rows = {name: table.column(name).to_numpy() for name in ("stage", "channel", "rank", "value", "cell")}
        rows["picture"] = np.array([numbers[image] for image in images], np.int64)
        strongest = [one.merge(other) for one, other in zip(strongest, from_rows(config, rows), strict=True)]
        needed = {int(number) for one in strongest for number in np.unique(one.pictures)}
        pictures |= {number: (chunk, name) for name, number in numbers.items()}
        pictures = {number: place for number, place in pictures.items() if number in needed}
    return tuple(strongest), pictures


def _read_faithfulness(analysis: Analysis) -> dict[str, Faithful]:
    if not analysis.manifest["faithfulness"]:
        return {}
    faithful = {}
    for method in analysis.manifest["methods"]:
        above = analysis.array(f"{method}_percentile") >= CHANCE
        faithful[method] = Faithful(float(above.mean()), float(analysis.array(f"{method}_srg").mean()))
    return faithful


def _largest(
    confusion: Mapping[tuple[str, str], int], wrong: Mapping[tuple[str, str], list[tuple[float, int, str]]]
) -> tuple[Cell, ...]:
    best = sorted(wrong, key=lambda pair: (-confusion[pair], pair))[:CELLS]
    return tuple(
        Cell(*pair, confusion[pair], tuple(Shown(n, name, f"{p:.0%}") for p, n, name in sorted(wrong[pair])[::-1]))
        for pair in best
    )


def _find_extremes(
    analysis: Analysis, mean: np.ndarray, square: np.ndarray
) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """The pictures nearest to and farthest from the mean pooled vector, by the Mahalanobis distance of `gauge`."""
    covariance = square - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    root = directions / np.sqrt(np.maximum(variances, 0) + SHRINKAGE * max(variances.mean(), np.finfo(float).tiny))
    near: list[tuple[float, int, str]] = []
    far: list[tuple[float, int, str]] = []
    for number, table in analysis.parts(["image", "pooled"]):
        distances = np.linalg.norm((analysis.numbers(table, "pooled") - mean) @ root, axis=-1)
        rows = [(float(d), number, name) for d, name in zip(distances, table.column("image").to_pylist(), strict=True)]
        near = heapq.nsmallest(SHOWN, [*near, *rows])
        far = heapq.nlargest(SHOWN, [*far, *rows])
    return tuple(tuple(Shown(n, name, f"{d:.1f}") for d, n, name in rows) for rows in (near, far))  # type: ignore[return-value]
