"""How usual is a picture for a model? The distance of its pooled vector from those of the validation images.

The Mahalanobis distance of what the head reads, as a percentile among validation images. It is a gauge and no verdict:
pictures of other things are farther away on average, but many are not. `auroc` says how well it tells them apart.

Reference: Lee et al. 2018, https://arxiv.org/abs/1807.03888, here with one mean for all classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..architecture.beside import ignore
from ..architecture.reprs import short_repr

FILE = "gauge.safetensors"  # in the folder of the weights, written by `evaluate --gauge`
MAX_BYTES = 20_000_000
SHRINKAGE = 1e-3  # of the mean variance, added to each, so that directions that hardly vary do not decide


@dataclass(frozen=True, eq=False)
class Gauge:
    """What the distance of a pooled vector is compared with.

    Attributes:
        mean: (D,) float32, of the pooled vectors of one half of the validation images.
        root: (D, D) float16: |(v - mean) @ root| is the distance of v.
        distances: (101,) float32, rising: the percentiles 0 to 100 of the distance over the other half.
        auroc: the probability that a picture of something unknown is farther away than one of that other half, 0.5 is
            chance; None if it was not measured.
    """

    mean: np.ndarray
    root: np.ndarray
    distances: np.ndarray
    auroc: float | None = None

    __repr__ = short_repr

    def distance(self, pooled: np.ndarray) -> np.ndarray:
        """(B,) float64: the distance of (B, D) pooled vectors."""
        return np.linalg.norm((pooled.astype(np.float64) - self.mean) @ self.root.astype(np.float64), axis=-1)

    def record(self, pooled: np.ndarray) -> dict[str, Any]:
        """Of one pooled vector (D,), ready for JSON: {"farther_than": of 100 validation images, "auroc"}."""
        place = np.searchsorted(self.distances, self.distance(pooled[None])[0], side="right")
        return {"farther_than": int(np.clip(place - 1, 0, 100)), "auroc": self.auroc}


def fit_gauge(pooled: np.ndarray, unknown: np.ndarray | None = None) -> Gauge:
    """The gauge of (n, D) pooled vectors of validation images, and of (m, D) of pictures of none of the classes.

    Mean and covariance come from every second vector, the percentiles and the AUROC from the others.

    Raises:
        ValueError: fewer than 202 vectors.
    """
    check_count(len(pooled))
    fitted, rest = pooled[::2].astype(np.float64), pooled[1::2]
    mean = fitted.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(fitted, rowvar=False))
    root = directions / np.sqrt(np.maximum(variances, 0) + SHRINKAGE * variances.mean())
    gauge = Gauge(mean.astype(np.float32), root.astype(np.float16), np.zeros(101, np.float32))
    known = gauge.distance(rest)
    quantiles = np.quantile(known, np.linspace(0, 1, 101)).astype(np.float32)
    auroc = None if unknown is None else measure_auroc(known, gauge.distance(unknown))
    return replace(gauge, distances=quantiles, auroc=auroc)


def check_count(images: int) -> None:
    """Check the number of validation images.

    Raises:
        ValueError: fewer than 202.
    """
    if images < 202:
        raise ValueError(f"{images} validation images; a gauge of percentiles needs 202 or more")


def measure_auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The share of pairs of (n,) known and (m,) unknown values in which the unknown one is larger; ties count half."""
    known = np.sort(known)
    below = np.searchsorted(known, unknown, side="left") + np.searchsorted(known, unknown, side="right")
    return float(below.mean() / (2 * len(known)))


def write_gauge(path: Path, gauge: Gauge) -> None:
    """Write a gauge, 2 bytes for each number of its matrix.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {"mean": gauge.mean, "root": gauge.root, "distances": gauge.distances}
    if gauge.auroc is not None:
        arrays["auroc"] = np.array([gauge.auroc], np.float32)
    path.write_bytes(save(arrays))  # with the rights that files get here; save_file hides them from others


def read_gauge(folder: Path, dim: int) -> Gauge | None:
    """The gauge of a model with embeddings of size `dim`, in the folder of its weights, which may come from strangers.

    None if it is missing or damaged.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        return _check(load_file(path), dim)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError):
        ignore(path, "it is damaged, too large or of another model")
        return None


def _check(arrays: dict[str, np.ndarray], dim: int) -> Gauge:
    """The gauge in the arrays of a file.

    Raises:
        ValueError, KeyError, IndexError, TypeError: they are not one.
    """
    auroc = float(arrays["auroc"][0]) if "auroc" in arrays else None
    gauge = Gauge(arrays["mean"], arrays["root"], arrays["distances"], auroc)
    shapes = gauge.mean.shape, gauge.root.shape, gauge.distances.shape
    numbers = all(np.issubdtype(a.dtype, np.floating) and np.isfinite(a).all() for a in arrays.values())
    if shapes != ((dim,), (dim, dim), (101,)) or not numbers or (np.diff(gauge.distances) < 0).any():
        raise ValueError("no gauge of this model")
    if auroc is not None and not 0 <= auroc <= 1:
        raise ValueError("no probability")
    return gauge
