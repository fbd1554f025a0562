"""Labelled images: how they are read and split. Only the download of CIFAR-10 needs Keras."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..images.decode import ImageError, decode
from ..images.preprocessing import Preprocessing, crop_and_resize
from ..inference.parallel import spread

Skip = Callable[[Path, str], None]  # told of a file that is no readable picture, and why, instead of an error


class DataError(ValueError):
    """Training or validation data that cannot be used; the message says what is wrong and what is expected."""


# Synset identifiers in WordNet 3.0, which name the folders of Imagenette (https://github.com/fastai/imagenette).
IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


class Images(NamedTuple):
    x: np.ndarray  # (n, H, W, 3) uint8
    y: np.ndarray  # (n,) int64, or (n, K) of 0 and 1 where an image may have several classes or no class
    labels: tuple[str, ...] | None = None  # names of the classes, if the data have them


def load_images(
    source: str,
    *,
    image_size: tuple[int, int] = (32, 32),
    preprocessing: Preprocessing | None = None,
    skip: Skip | None = None,
) -> Images:
    """Read the images of `source`: "cifar10" (the 50,000 training images, downloaded by Keras), an .npz file with x
    and y, or a folder with one subfolder of pictures for each class.

    A class is called like its folder, with spaces for underscores; the folders of Imagenette, which have synset
    identifiers, get their English names. Classes are in the order of these names.

    Images are ordered by the SHA-256 of their bytes (row-major RGB), so the split does not depend on their order in the
    source.

    Args:
        image_size: (height, width) to which the pictures of a folder are cropped and scaled; arrays are not changed.
        preprocessing: how they are cropped and scaled.
        skip: told of each file in a folder that is no readable picture, which is then left out; by default such files
            are an error.

    Raises:
        DataError: no such file, not an .npz, arrays of another shape or type, a folder without pictures, or files that
            are no readable pictures; the message names all of them.
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
        images = _read_folder(Path(source), image_size, preprocessing or Preprocessing(), skip)
    else:
        images = _read_npz(Path(source))
    order = np.array(sorted(range(len(images.x)), key=lambda i: hashlib.sha256(images.x[i].tobytes()).digest()))
    return Images(images.x[order], images.y[order], images.labels)


def load_parts(
    source: str,
    validation: str | None = None,
    *,
    image_size: tuple[int, int] = (32, 32),
    preprocessing: Preprocessing | None = None,
    margin: float = 1.0,
    skip: Skip | None = None,
) -> tuple[Images, Images]:
    """(training, validation) images of `source`, which is as in `load_images`, or a folder with `train` and `val`, each
    with a folder for each class.

    Args:
        validation: another source, whose images are all for validation; without it and without a folder `val`, the last
            tenth of `source` is.
        image_size: (height, width) of the validation images, to which the pictures of a folder are cropped and scaled.
        margin: the training pictures of a folder get `image_size` times this number, so that crops of them keep detail.
        skip: as in `load_images`.

    Raises:
        DataError: as `load_images`, or training and validation images have other classes.
    """
    if validation is None and (both := find_parts(source)):
        source, validation = map(str, both)
    height, width = (round(side * margin) for side in image_size)
    training = load_images(source, image_size=(height, width), preprocessing=preprocessing, skip=skip)
    if validation is None:
        training, held_out = split(training)
        if margin != 1 and Path(source).is_dir():
            plain = Preprocessing(interpolation=(preprocessing or Preprocessing()).interpolation)  # is cropped already
            held_out = held_out._replace(x=np.stack([crop_and_resize(x, image_size, plain).pixels for x in held_out.x]))
        return training, held_out
    held_out = load_images(validation, image_size=image_size, preprocessing=preprocessing, skip=skip)
    if training.labels != held_out.labels:
        raise DataError(
            f"{source} has the classes {_list(training.labels)}, but {validation} has {_list(held_out.labels)}: "
            "give both a folder for each class"
        )
    return training, held_out


def find_parts(source: str) -> tuple[Path, Path] | None:
    """The folders `train` and `val` in the folder `source`, if it has both and they hold the folders of classes."""
    parts = Path(source) / "train", Path(source) / "val"
    whole = all(part.is_dir() and any(folder.is_dir() for folder in part.iterdir()) for part in parts)
    return parts if whole else None


def _list(labels: tuple[str, ...] | None) -> str:
    return ", ".join(labels) if labels else "without names"


def _read_folder(path: Path, image_size: tuple[int, int], preprocessing: Preprocessing, skip: Skip | None) -> Images:
    classes = _class_folders(path)
    if len(classes) < 2:
        raise DataError(f"{path} has {len(classes)} subfolders; expected one for each class, at least two")
    files = [
        (number, file)
        for number, folder in enumerate(classes.values())
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    ]

    def read(numbered: tuple[int, Path]) -> np.ndarray | ImageError:
        try:
            return crop_and_resize(decode(numbered[1]), image_size, preprocessing).pixels
        except ImageError as error:
            return error

    x, y, bad = [], [], {}
    for (number, file), pixels in zip(files, spread(read, files), strict=True):
        if isinstance(pixels, ImageError):
            bad[file] = str(pixels)
        else:
            x.append(pixels)
            y.append(number)
    if bad:
        if skip is None:
            listed = "\n".join(f"  {file.parent.name}/{problem}" for file, problem in bad.items())
            raise DataError(f"{len(bad)} of {len(files)} files in {path} are no readable pictures:\n{listed}")
        for file, problem in bad.items():
            skip(file, problem)
    known = set(y)
    if empty := [folder.name for number, folder in enumerate(classes.values()) if number not in known]:
        raise DataError(f"{path / empty[0]} has no pictures; expected the pictures of one class")
    return Images(np.stack(x), np.array(y, np.int64), tuple(classes))


def _class_folders(path: Path) -> dict[str, Path]:
    """The subfolders by the names of their classes, in the order of these names."""
    folders: dict[str, Path] = {}
    for folder in sorted(path.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        name = class_name(folder.name)
        if name in folders:
            raise DataError(
                f"{path} has two folders of class {name}: {folders[name].name} and {folder.name}; rename one"
            )
        folders[name] = folder
    return dict(sorted(folders.items()))


def class_name(folder: str) -> str:
    """The name of the class whose pictures are in `folder`."""
    return IMAGENETTE.get(folder) or folder.replace("_", " ")


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
