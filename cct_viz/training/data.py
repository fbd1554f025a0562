"""Labelled images: how they are read and split. Only the download of CIFAR-10 needs Keras."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..images.decode import ImageError, decode
from ..images.preprocessing import Preprocessing, crop_and_resize


class DataError(ValueError):
    """Training or validation data that cannot be used; the message says what is wrong and what is expected."""


class Images(NamedTuple):
    x: np.ndarray  # (n, H, W, 3) uint8
    y: np.ndarray  # (n,) int64, or (n, K) of 0 and 1 where an image may have several classes or no class
    labels: tuple[str, ...] | None = None  # names of the classes, if the data have them


def load_images(
    source: str, *, image_size: tuple[int, int] = (32, 32), preprocessing: Preprocessing | None = None
) -> Images:
    """Read the images of `source`: "cifar10" (the 50,000 training images, downloaded by Keras), an .npz file with x
    and y, or a folder with one subfolder of pictures for each class. Classes are in the order of the folders' names.

    Images are ordered by the SHA-256 of their bytes (row-major RGB), so the split does not depend on their order in the
    source.

    Args:
        image_size: (height, width) to which the pictures of a folder are cropped and scaled; arrays are not changed.
        preprocessing: how they are cropped and scaled.

    Raises:
        DataError: no such file, not an .npz, arrays of another shape or type, or a folder without pictures.
    """
    if source == "cifar10":
        import keras

        try:
            (x, y), _ = keras.datasets.cifar10.load_data()
        except Exception as error:  # Keras raises a plain Exception if the download fails
            raise DataError(
                f"CIFAR-10 cannot be downloaded; give an .npz file with x and y instead: {error}"
            ) from error
        images = Images(x, y.reshape(-1).astype(np.int64))
    elif Path(source).is_dir():
        images = _read_folder(Path(source), image_size, preprocessing or Preprocessing())
    else:
        images = _read_npz(Path(source))
    order = np.array(sorted(range(len(images.x)), key=lambda i: hashlib.sha256(images.x[i].tobytes()).digest()))
    return Images(images.x[order], images.y[order], images.labels)


def _read_folder(path: Path, image_size: tuple[int, int], preprocessing: Preprocessing) -> Images:
    classes = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if len(classes) < 2:
        raise DataError(f"{path} has {len(classes)} subfolders; expected one for each class, at least two")
    x, y = [], []
    for number, folder in enumerate(classes):
        files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
        if not files:
            raise DataError(f"{folder} has no pictures; expected the pictures of class {folder.name}")
        for file in files:
            try:
                x.append(crop_and_resize(decode(file), image_size, preprocessing).pixels)
            except ImageError as error:
                raise DataError(f"{folder}: {error}") from error
            y.append(number)
    return Images(np.stack(x), np.array(y, np.int64), tuple(folder.name for folder in classes))


def _read_npz(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, AttributeError) as error:  # TypeError: an .npy file
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays") from error
    if not {"x", "y"} <= set(arrays):
        raise DataError(f"{path} has {sorted(arrays)}; expected x (n, H, W, 3) uint8 and y (n,) integers")
    x, y = arrays["x"], arrays["y"]
    if x.ndim == 3 or (x.ndim == 4 and x.shape[-1] == 1):  # grey images
        x = np.repeat(x.reshape(*x.shape[:3], 1), 3, axis=-1)
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != np.uint8 or len(x) == 0:
        raise DataError(f"{path}: x is {x.dtype} {x.shape}; expected uint8 (n, H, W, 3) or grey (n, H, W), n > 0")
    if y.ndim not in (1, 2) or len(y) != len(x) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: y is {y.dtype} {y.shape}; expected integers ({len(x)},), or ({len(x)}, classes)")
    if y.min() < 0:
        raise DataError(f"{path}: the smallest y is {y.min()}; expected classes from 0")
    if y.ndim == 2 and y.max() > 1:
        raise DataError(f"{path}: the largest y is {y.max()}; a table of images and classes has 0 and 1 only")
    return Images(x, y.astype(np.int64))


def count_classes(y: np.ndarray) -> int:
    """The number of classes in (n,) class numbers, or in an (n, K) table."""
    return y.shape[1] if y.ndim == 2 else int(y.max()) + 1


def check_classes(y: np.ndarray, count: int) -> None:
    """Check that a model of `count` classes can be compared with `y`.

    Raises:
        DataError: classes that the model does not have.
    """
    if y.ndim == 2 and y.shape[1] != count:
        raise DataError(f"the table y has {y.shape[1]} classes; the model has {count}")
    if y.ndim == 1 and (y.min() < 0 or y.max() >= max(count, 2)):
        expected = "one class: expected 1 for it and 0 for the rest" if count == 1 else f"classes 0 to {count - 1}"
        raise DataError(f"the labels are {y.min()} to {y.max()}; the model has {expected}")


def make_targets(y: np.ndarray, count: int) -> np.ndarray:
    """(n, K) float32 targets of 0 and 1 for a model of `count` classes; for one class, `y` itself says yes or no."""
    if y.ndim == 2:
        return y.astype(np.float32)
    return y[:, None].astype(np.float32) if count == 1 else np.eye(count, dtype=np.float32)[y]


def split(images: Images) -> tuple[Images, Images]:
    """(training, validation): the last tenth is for validation, of CIFAR-10's 50,000 images the last 5,000."""
    count = max(1, len(images.x) // 10)
    x, y, labels = images
    return Images(x[:-count], y[:-count], labels), Images(x[-count:], y[-count:], labels)


def digest(*parts: Images) -> str:
    """SHA-256 of the images, classes and class names of each part."""
    total = hashlib.sha256()
    for part in parts:
        total.update(repr((part.x.shape, part.labels)).encode())
        total.update(part.x.tobytes())
        total.update(part.y.tobytes())
    return total.hexdigest()


# SHA-256 over the ordered SHA-256 of CIFAR-10's 50,000 training images; it does not depend on the file format.
_CIFAR10 = "6bebf6967ad9d2d12d9cf95f54164bd95a0954d3177f1285fa8dd3673671ca76"


def is_cifar10(*parts: Images) -> bool:
    """Whether these are all of CIFAR-10's training images, in the order of `load_images`."""
    digest = hashlib.sha256()
    for part in parts:
        for image in part.x:
            digest.update(hashlib.sha256(image.tobytes()).digest())
    return digest.hexdigest() == _CIFAR10
