"""Outlier exposure: can a model learn to say "none of these" from pictures of other things?

    python benchmarks/unknown.py --data DATA --outliers DATA --others DATA --known DATA [--model NAME_OR_FOLDER]

A logistic regression on the pooled vector, which the head reads, tells training images from outliers; the model itself
stays as it is. Prints the AUROC of the validation images against `--others`, which show things of no class, and how
many are refused at the mark that refuses 5 % of the validation images: of `--others`, and of `--known`, pictures from
another collection that do show the model's classes. A detector that refuses these too has learned where pictures come
from.

Each DATA is as for `train`; what the classes are called does not matter. `--known-outliers DATA` trains with pictures
from the outliers' collection that show the model's classes. After Hendrycks et al. 2019,
https://arxiv.org/abs/1812.04606, on a frozen model.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from cct_viz.architecture.outputs import find_output
from cct_viz.architecture.presets import DEFAULT
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.gauge import measure_auroc
from cct_viz.inference.load import load
from cct_viz.training.data import load_images, load_parts
from cct_viz.training.evaluate import pool_images

STEPS = 25  # of Newton's method
REFUSED = 0.05  # of the validation images


def fit(known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (D,), deviation (D,) and coefficients (D + 1,) of a logistic regression of 1 for unknown; both sides weigh
    the same."""
    mean, deviation = known.mean(axis=0), known.std(axis=0) + 1e-6
    x = extend((np.concatenate([known, unknown]) - mean) / deviation)
    y = np.repeat([0.0, 1.0], [len(known), len(unknown)])
    weight = np.where(y, 0.5 / len(unknown), 0.5 / len(known)) * len(y)
    w = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-x @ w))
        curvature = (x * (weight * (p * (1 - p) + 1e-6))[:, None]).T @ x + 0.1 * np.eye(len(w))
        w += np.linalg.solve(curvature, x.T @ (weight * (y - p)) - 0.1 * w)
    return mean, deviation, w


def extend(x: np.ndarray) -> np.ndarray:
    """(n, D + 1): with a column of ones."""
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def certainty(classifier: Classifier, pooled: np.ndarray) -> np.ndarray:
    """(n,): the largest probability of each image."""
    logits = pooled @ classifier.weights["head/kernel"] + classifier.weights["head/bias"]
    return find_output(classifier.config.output).probabilities(logits).max(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("data", "outliers", "others", "known"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--known-outliers")
    parser.add_argument("--model", default=DEFAULT)
    options = parser.parse_args()
    classifier = load(options.model)
    config = classifier.config

    def pool(source: str) -> np.ndarray:
        images = load_images(source, image_size=config.image_size, preprocessing=config.preprocessing)
        return pool_images(classifier, images.x)

    training, validation = load_parts(options.data, image_size=config.image_size, preprocessing=config.preprocessing)
    known, held_out = pool_images(classifier, training.x), pool_images(classifier, validation.x)
    if options.known_outliers:
        known = np.concatenate([known, pool(options.known_outliers)])
    unknown, others, elsewhere = pool(options.outliers), pool(options.others), pool(options.known)
    mean, deviation, w = fit(known, unknown)

    def score(pooled: np.ndarray) -> np.ndarray:
        return extend((pooled - mean) / deviation) @ w

    print(f"{classifier.source.name}: {len(known):,} known and {len(unknown):,} outliers in training")
    for name, measure in (
        ("one minus the largest probability", lambda pooled: -certainty(classifier, pooled)),
        ("the learned detector", score),
    ):
        a, b, c = measure(held_out), measure(others), measure(elsewhere)
        mark = np.quantile(a, 1 - REFUSED)
        print(f"  {name}")
        print(f"    AUROC, {len(a):,} validation images against {len(b):,} others {measure_auroc(a, b):.3f}")
        print(f"    AUROC, {len(c):,} known from elsewhere against the others     {measure_auroc(c, b):.3f}")
        print(
            f"    refused at {REFUSED:.0%} of validation: others {np.mean(b > mark):.1%}, known {np.mean(c > mark):.1%}"
        )


if __name__ == "__main__":
    main()
