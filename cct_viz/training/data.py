"""Images with labels: where they come from and how they are split. No framework, but to fetch CIFAR-10."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..images.decode import ImageError, decode
from ..images.preprocessing import Preprocessing, crop_and_resize


class DataError(ValueError):
    """Training or validation data that cannot be used; the message says what came and what is expected."""


class Images(NamedTuple):
    x: np.ndarray  # (n, H, W, 3) uint8
    y: np.ndarray  # (n,) int64
    labels: tuple[str, ...] | None = None  # what the classes are called, where the data say so


def load_images(
    source: str, *, image_size: tuple[int, int] = (32, 32), preprocessing: Preprocessing | None = None
) -> Images:
    """The images of `source`: "cifar10" (the 50,000 training images, fetched by Keras), an .npz file with x and y, or a
    folder with a folder of pictures for each class, in the order of their names.

    They come ordered by the SHA-256 of each image's bytes (row-major RGB), so the same images in any order give the
    same split.

    Args:
        image_size, preprocessing: (height, width) to which, and how, the pictures of a folder are cropped and scaled;
            arrays stay as they are.

    Raises:
        DataError: no such file, not an .npz, arrays of another shape or type, or a folder without pictures.
    """
    if source == "cifar10":
        import keras

        try:
            (x, y), _ = keras.datasets.cifar10.load_data()
        except Exception as error:  # Keras raises nothing more special where its host cannot be reached
            raise DataError(f"CIFAR-10 could not be fetched, an .npz with x and y will do as well: {error}") from error
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
        raise DataError(f"{path} holds {len(classes)} folders; expected one for each class, at least two")
    x, y = [], []
    for number, folder in enumerate(classes):
        files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
        if not files:
            raise DataError(f"{folder} holds no pictures; expected the pictures of the class {folder.name}")
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
    x, y, labels = images
    return Images(x[:-count], y[:-count], labels), Images(x[-count:], y[-count:], labels)


def digest(*parts: Images) -> str:
    """SHA-256 of images, classes and their names, as they are parted."""
    total = hashlib.sha256()
    for part in parts:
        total.update(repr((part.x.shape, part.labels)).encode())
        total.update(part.x.tobytes())
        total.update(part.y.tobytes())
    return total.hexdigest()


# SHA-256 over the ordered SHA-256 of CIFAR-10's 50,000 training images: their set, whatever file they came in.
_CIFAR10 = "6bebf6967ad9d2d12d9cf95f54164bd95a0954d3177f1285fa8dd3673671ca76"


def is_cifar10(*parts: Images) -> bool:
    """Whether these are CIFAR-10's training images, all of them, in the order of `load_images`."""
    digest = hashlib.sha256()
    for part in parts:
        for image in part.x:
            digest.update(hashlib.sha256(image.tobytes()).digest())
    return digest.hexdigest() == _CIFAR10
