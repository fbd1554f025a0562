"""Augmentation of a batch of images, in numpy and Pillow, so that a seed gives the same images on every backend.

Keras has layers for most of this. But its RandAugment samples one pair of operations for a whole batch, computes all
operations to keep that pair, and samples differently on each backend.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

CROP_PADDING = 4  # pixels of reflection on each side before the random crop, as in He et al. 2016


def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each image of a (n, H, W, 3) uint8 batch by up to `CROP_PADDING` pixels, with reflected edges, and mirror
    each with probability 0.5."""
    n, height, width, _ = batch.shape
    p = CROP_PADDING
    padded = np.pad(batch, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    rows: np.ndarray = rng.integers(0, 2 * p + 1, (n, 1)) + np.arange(height)
    columns: np.ndarray = rng.integers(0, 2 * p + 1, (n, 1)) + np.arange(width)
    columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def resized_crops(
    batch: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    smallest: float,
    interpolation: str = "bicubic",
) -> np.ndarray:
    """A random part of each image of a (n, H, W, 3) uint8 batch, scaled to `size` = (h, w) and mirrored with
    probability 0.5: (n, h, w, 3) uint8.

    A part has `smallest` to 1 of the image's area. Its sides are stretched against each other by 3/4 to 4/3, so one may
    be longer than the image's; the edges are then reflected.

    Reference: Szegedy et al. 2015, Going Deeper with Convolutions, section 6, https://arxiv.org/abs/1409.4842
    """
    n, sides = len(batch), np.array(batch.shape[1:3])
    stretch = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), n))
    area = rng.uniform(smallest, 1, n)
    lengths = sides * np.sqrt(area[:, None] * np.stack([stretch, 1 / stretch], axis=1))  # (n, 2) height, width
    starts = rng.random((n, 2)) * (sides - lengths)  # below 0 where the part is longer than the image
    mirrored = rng.random(n) < 0.5
    margin = np.maximum(0, np.ceil(np.maximum(-starts, starts + lengths - sides).max(axis=1))).astype(int)
    result = np.empty((n, *size, 3), np.uint8)
    for i, pixels in enumerate(batch):
        m = min(margin[i], *(sides - 1))
        padded = np.pad(pixels, ((m, m), (m, m), (0, 0)), mode="reflect") if m else pixels
        (y0, x0), (y1, x1) = starts[i] + m, np.minimum(starts[i] + lengths[i] + m, padded.shape[:2])
        part = Image.fromarray(padded).resize(
            size[::-1], Image.Resampling[interpolation.upper()], box=(max(0.0, x0), max(0.0, y0), x1, y1)
        )
        result[i] = np.asarray(part)[:, :: -1 if mirrored[i] else 1]
    return result


def jitter(batch: np.ndarray, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """Multiply the brightness of each image of a (n, H, W, 3) uint8 batch by a random factor, then its contrast around
    its mean grey by another; both are in 1 - `strength` to 1 + `strength`."""
    brightness, contrast = rng.uniform(1 - strength, 1 + strength, (2, len(batch)))
    grey = batch.mean(axis=(1, 2)) @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    levels = np.arange(256.0)
    result = np.empty_like(batch)
    for i, pixels in enumerate(batch):
        mean = brightness[i] * grey[i]
        changed = mean + contrast[i] * (brightness[i] * levels - mean)
        table = np.clip(np.rint(changed), 0, 255).astype(int).tolist()
        result[i] = Image.fromarray(pixels).point(table * 3)
    return result


def _affine(image: Image.Image, a: float, b: float, c: float, d: float, e: float, f: float) -> Image.Image:
    """Pixel (x, y) comes from (a x + b y + c, d x + e y + f), both relative to the image's centre; outside is grey."""
    x, y = image.width / 2, image.height / 2  # Pillow takes pixels at their middles
    matrix = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
    )


# Each takes an image and a strength s in -1..1; operations without a direction use |s|.
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
    """Apply two random operations to each image of a (n, H, W, 3) uint8 batch; each image has its own pair.

    `magnitude` is in 0..10. The magnitude of each operation is normally distributed around it with a standard
    deviation of 0.5, and its sign is random.

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
    """A random rectangle of at least one pixel, with this share of the area and this aspect relative to the image's."""
    lengths = [
        min(full, max(1, round(full * (area * shape) ** 0.5)))
        for full, shape in zip(size, (aspect, 1 / aspect), strict=True)
    ]
    starts = [int(rng.integers(full - length + 1)) for full, length in zip(size, lengths, strict=True)]
    rows, columns = (slice(start, start + length) for start, length in zip(starts, lengths, strict=True))
    return rows, columns


def erase(x: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """Replace a random rectangle by normal noise in a `share` of a normalised (n, H, W, 3) float32 batch.

    The rectangle covers 2 % to 33 % of the image and has an aspect of 0.3 to 3.3.

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
    """Mix a batch (n, H, W, 3) and its (n, K) targets with the same batch in another order, by one share.

    mixup blends the images; cutmix replaces a rectangle. The targets are blended by the same share. For cutmix this is
    the share of the rectangle after rounding to whole pixels.

    Args:
        mixup, cutmix: alpha of the Beta distribution of the share; 0 turns it off. At least one is above 0.

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
