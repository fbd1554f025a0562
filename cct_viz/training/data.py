"""Images with labels: where they come from, how they are split, and how a batch is augmented. numpy only."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

CROP_PADDING = 4  # pixels of reflection on each side before the random crop, as in He et al. 2016


class DataError(ValueError):
    """Training or validation data that cannot be used; the message says what came and what is expected."""


class Images(NamedTuple):
    x: np.ndarray  # (n, H, W, 3) uint8
    y: np.ndarray  # (n,) int64


def load_images(source: str) -> Images:
    """The images of `source`: "cifar10" (the 50,000 training images, fetched by Keras) or an .npz file with x and y.

    They come ordered by the SHA-256 of each image's bytes (row-major RGB), so the same images in any order give the
    same split.

    Raises:
        DataError: no such file, not an .npz, or arrays of another shape or type.
    """
    if source == "cifar10":
        import keras

        (x, y), _ = keras.datasets.cifar10.load_data()
        images = Images(x, y.reshape(-1).astype(np.int64))
    else:
        images = _read_npz(Path(source))
    order = np.array(sorted(range(len(images.x)), key=lambda i: hashlib.sha256(images.x[i].tobytes()).digest()))
    return Images(images.x[order], images.y[order])


def _read_npz(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays") from error
    if not {"x", "y"} <= set(arrays):
        raise DataError(f"{path} holds {sorted(arrays)}; expected x (n, H, W, 3) uint8 and y (n,) integers")
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != np.uint8 or len(x) == 0:
        raise DataError(f"{path}: x is {x.dtype} {x.shape}; expected uint8 (n, H, W, 3), n > 0")
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: y is {y.dtype} {y.shape}; expected integers ({len(x)},)")
    if y.min() < 0:
        raise DataError(f"{path}: y goes down to {y.min()}; expected classes from 0")
    return Images(x, y.astype(np.int64))


def split(images: Images) -> tuple[Images, Images]:
    """(training, validation): the last tenth validates, so of CIFAR-10's 50,000 images the last 5,000."""
    count = max(1, len(images.x) // 10)
    return Images(images.x[:-count], images.y[:-count]), Images(images.x[-count:], images.y[-count:])


# SHA-256 over the ordered SHA-256 of CIFAR-10's 50,000 training images: their set, whatever file they came in.
_CIFAR10 = "6bebf6967ad9d2d12d9cf95f54164bd95a0954d3177f1285fa8dd3673671ca76"


def is_cifar10(*parts: Images) -> bool:
    """Whether these are CIFAR-10's training images, all of them, in the order of `load_images`."""
    digest = hashlib.sha256()
    for part in parts:
        for image in part.x:
            digest.update(hashlib.sha256(image.tobytes()).digest())
    return digest.hexdigest() == _CIFAR10


def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image of a (n, H, W, 3) uint8 batch moved by up to `CROP_PADDING` pixels (reflected edges) and half of them
    mirrored."""
    n, height, width, _ = batch.shape
    p = CROP_PADDING
    padded = np.pad(batch, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    rows = rng.integers(0, 2 * p + 1, n)[:, None] + np.arange(height)
    columns = rng.integers(0, 2 * p + 1, n)[:, None] + np.arange(width)
    columns = np.where(rng.random(n)[:, None] < 0.5, columns[:, ::-1], columns)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
