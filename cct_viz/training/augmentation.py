"""What happens to a batch of images before the model sees it. numpy and Pillow, so a seed means the same everywhere.

Keras has layers for most of this, but its RandAugment draws one pair of operations for a whole batch, computes all of
them to keep that pair, and draws otherwise on each backend.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

CROP_PADDING = 4  # pixels of reflection on each side before the random crop, as in He et al. 2016


def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image of a (n, H, W, 3) uint8 batch moved by up to `CROP_PADDING` pixels (reflected edges) and half of them
    mirrored."""
    n, height, width, _ = batch.shape
    p = CROP_PADDING
    padded = np.pad(batch, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    rows: np.ndarray = rng.integers(0, 2 * p + 1, (n, 1)) + np.arange(height)
    columns: np.ndarray = rng.integers(0, 2 * p + 1, (n, 1)) + np.arange(width)
    columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _affine(image: Image.Image, a: float, b: float, c: float, d: float, e: float, f: float) -> Image.Image:
    """Pixel (x, y) from (a x + b y + c, d x + e y + f), both counted from the image's centre; grey from outside."""
    x, y = (image.width - 1) / 2, (image.height - 1) / 2
    matrix = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
    )


# Each takes an image and a strength s of -1 to 1; those that know no direction take its absolute value.
OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, s: image,
    "auto_contrast": lambda image, s: ImageOps.autocontrast(image),
    "equalize": lambda image, s: ImageOps.equalize(image),
    "rotate": lambda image, s: image.rotate(30 * s, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)),
    "solarize": lambda image, s: ImageOps.solarize(image, round(256 * (1 - abs(s)))),
    "posterize": lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    "colour": lambda image, s: ImageEnhance.Color(image).enhance(1 + 0.9 * s),
    "contrast": lambda image, s: ImageEnhance.Contrast(image).enhance(1 + 0.9 * s),
    "brightness": lambda image, s: ImageEnhance.Brightness(image).enhance(1 + 0.9 * s),
    "sharpness": lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * s),
    "shear_x": lambda image, s: _affine(image, 1, 0.3 * s, 0, 0, 1, 0),
    "shear_y": lambda image, s: _affine(image, 1, 0, 0, 0.3 * s, 1, 0),
    "translate_x": lambda image, s: _affine(image, 1, 0, 0.45 * s * image.width, 0, 1, 0),
    "translate_y": lambda image, s: _affine(image, 1, 0, 0, 0, 1, 0.45 * s * image.height),
}


def rand_augment(batch: np.ndarray, rng: np.random.Generator, *, magnitude: float) -> np.ndarray:
    """Two operations on each image of a (n, H, W, 3) uint8 batch, drawn for each image anew.

    `magnitude` is in 0..10; each operation's own is drawn round it with a deviation of 0.5, its direction by a coin.

    Reference: Cubuk et al. 2020, RandAugment, https://arxiv.org/abs/1909.13719
    """
    names = list(OPERATIONS)
    chosen = rng.integers(len(names), size=(len(batch), 2))
    strengths = np.clip(rng.normal(magnitude, 0.5, chosen.shape), 0, 10) / 10 * rng.choice((-1, 1), chosen.shape)
    result = np.empty_like(batch)
    for i, pixels in enumerate(batch):
        image = Image.fromarray(pixels)
        for operation, strength in zip(chosen[i], strengths[i], strict=True):
            image = OPERATIONS[names[operation]](image, float(strength))
        result[i] = image
    return result


def _box(size: tuple[int, int], area: float, aspect: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A rectangle of a share of the area and of an aspect relative to the image's, anywhere in it, at least a pixel."""
    lengths = [
        min(full, max(1, round(full * (area * shape) ** 0.5)))
        for full, shape in zip(size, (aspect, 1 / aspect), strict=True)
    ]
    starts = [int(rng.integers(full - length + 1)) for full, length in zip(size, lengths, strict=True)]
    rows, columns = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
    return rows, columns


def erase(x: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """A `share` of the images of a normalised (n, H, W, 3) float32 batch, each with a rectangle of normal noise.

    The rectangle covers 2 % to 33 % of the image, its aspect 0.3 to 3.3.

    Reference: Zhong et al. 2020, Random Erasing Data Augmentation, https://arxiv.org/abs/1708.04896
    """
    x = x.copy()
    for i in np.flatnonzero(rng.random(len(x)) < share):
        area, aspect = rng.uniform(0.02, 0.33), float(np.exp(rng.uniform(np.log(0.3), np.log(3.3))))
        rows, columns = _box(x.shape[1:3], area, aspect, rng)
        x[i, rows, columns] = rng.standard_normal(x[i, rows, columns].shape, np.float32)
    return x


def mix(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, *, mixup: float, cutmix: float
) -> tuple[np.ndarray, np.ndarray]:
    """A batch (n, H, W, 3) and its (n, K) targets mixed with itself in another order; one share for the whole batch.

    mixup blends the images; cutmix replaces a rectangle. The targets are blended by the same share, in cutmix by that
    of the rectangle as it fell on whole pixels.

    Args:
        mixup, cutmix: alpha of the Beta distribution of the share, 0 for not at all; at least one is more.

    Reference: Zhang et al. 2018, mixup, https://arxiv.org/abs/1710.09412; Yun et al. 2019, CutMix,
        https://arxiv.org/abs/1905.04899
    """
    cut = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    other = rng.permutation(len(x))
    share = float(rng.beta(alpha, alpha))
    if cut:
        rows, columns = _box(x.shape[1:3], share, 1.0, rng)
        mixed = x.copy()
        mixed[:, rows, columns] = x[other, rows, columns]
        share = (rows.stop - rows.start) * (columns.stop - columns.start) / (x.shape[1] * x.shape[2])
    else:
        mixed = (1 - np.float32(share)) * x + np.float32(share) * x[other]
    return mixed, (1 - np.float32(share)) * y + np.float32(share) * y[other]
