"""The operations of `augmentation.py` in jax.numpy, for a whole batch on an accelerator.

Pixels are float32 in 0..255, whole numbers after each operation as in the uint8 images there. Every draw comes from a
JAX key, so the numbers drawn differ from NumPy's. What an operation does with a number is the same within one grey
level, except for bilinear sampling at the edges of rotation, shear and translation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from .augmentation import CROP_PADDING, OPERATIONS

_GREY = 128.0  # outside an image that is rotated, sheared or moved
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(images: Array, key: Array) -> Array:
    """Shift each image of a (n, H, W, 3) batch by up to `CROP_PADDING` pixels, with reflected edges, and mirror half of
    them."""
    n, *size = images.shape
    p = CROP_PADDING
    padded = jnp.pad(images, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    shift_key, mirror_key = jax.random.split(key)
    shifts = jax.random.randint(shift_key, (n, 2), 0, 2 * p + 1)

    def cut(image: Array, shift: Array) -> Array:
        return jax.lax.dynamic_slice(image, (shift[0], shift[1], 0), size)

    return _mirror(jax.vmap(cut)(padded, shifts), mirror_key)


def _mirror(images: Array, key: Array) -> Array:
    mirrored = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def resized_crops(
    images: Array, size: tuple[int, int], key: Array, *, smallest: float, interpolation: str = "bicubic"
) -> Array:
    """A random part of each image of a (n, H, W, 3) batch, scaled to `size` and mirrored with probability 0.5; see
    `augmentation.resized_crops`."""
    n, *sides = images.shape[:3]
    stretch_key, area_key, start_key, mirror_key = jax.random.split(key, 4)
    stretch = jnp.exp(jax.random.uniform(stretch_key, (n,), minval=jnp.log(3 / 4), maxval=jnp.log(4 / 3)))
    area = jax.random.uniform(area_key, (n,), minval=smallest)
    lengths = jnp.array(sides) * jnp.sqrt(area[:, None] * jnp.stack([stretch, 1 / stretch], axis=1))
    starts = jax.random.uniform(start_key, (n, 2)) * (jnp.array(sides) - lengths)
    margins = [min(side - 1, int(side * ((4 / 3) ** 0.5 - 1)) + 1) for side in sides]  # of the longest part
    padded = jnp.pad(images, ((0, 0), *((m, m) for m in margins), (0, 0)), mode="reflect")
    return _mirror(crop(padded, starts + jnp.array(margins), lengths, size, interpolation), mirror_key)


def crop(images: Array, starts: Array, lengths: Array, size: tuple[int, int], interpolation: str) -> Array:
    """The parts of a (n, H, W, 3) batch from `starts` (n, 2), of `lengths` (n, 2) pixels, scaled to `size`."""

    def one(image: Array, start: Array, length: Array) -> Array:
        scale = jnp.array(size) / length
        method = {"bicubic": "cubic", "bilinear": "linear"}[interpolation]
        return jax.image.scale_and_translate(image, (*size, 3), (0, 1), scale, -start * scale, method)

    return _whole(jax.vmap(one)(images.astype(jnp.float32), starts, lengths))


def _whole(pixels: Array) -> Array:
    return jnp.clip(jnp.round(pixels), 0, 255)


def jitter(images: Array, key: Array, *, strength: float) -> Array:
    """Multiply the brightness of each image by a random factor, then its contrast around its mean grey by another."""
    brightness, contrast = jax.random.uniform(key, (2, len(images), 1, 1, 1), minval=1 - strength, maxval=1 + strength)
    mean = brightness * (images.mean(axis=(1, 2)) @ jnp.array(_LUMA))[:, None, None, None]
    return _whole(mean + contrast * (brightness * images - mean))


def _equalize(image: Array) -> Array:
    levels = image.astype(jnp.int32).reshape(-1, 3)
    counts = (levels[None] == jnp.arange(256)[:, None, None]).sum(axis=1)  # (256, 3)
    highest = jnp.take_along_axis(counts, levels.max(axis=0)[None], axis=0)[0]
    step = (counts.sum(axis=0) - highest) // 255
    table = (step // 2 + counts.cumsum(axis=0) - counts) // jnp.maximum(step, 1)
    table = jnp.where(step > 0, jnp.minimum(table, 255), jnp.arange(256)[:, None])
    return jnp.take_along_axis(table, levels, axis=0).reshape(image.shape).astype(jnp.float32)


def _auto_contrast(image: Array) -> Array:
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    return jnp.where(high > low, (image - low) * 255 / jnp.maximum(high - low, 1), image)


def _smooth(image: Array) -> Array:
    """The mean of 3x3 pixels, of which the middle counts five times; the outermost pixels stay."""
    windows = sum(image[i : i + len(image) - 2, j : j + image.shape[1] - 2] for i in range(3) for j in range(3))
    return image.at[1:-1, 1:-1].set(jnp.round((windows + 4 * image[1:-1, 1:-1]) / 13))


def luminance(image: Array) -> Array:
    """(..., 1) whole numbers from (..., 3) pixels."""
    return jnp.round(image @ jnp.array(_LUMA))[..., None]


def _enhance(plain: Callable[[Array], Array | float], image: Array, s: Array) -> Array:
    base = plain(image)
    return base + (1 + 0.9 * s) * (image - base)


def _affine(matrix: Callable[[Array], Sequence[Array | float]], image: Array, s: Array) -> Array:
    """Pixel (x, y) comes from (a x + b y + c, d x + e y + f), as in `augmentation._affine`; c and f are shares of the
    sides."""
    height, width, _ = image.shape
    a, b, c, d, e, f = matrix(s)
    y, x = jnp.mgrid[:height, :width]
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    source_y = d * x + e * y + f * height + (height - 1) / 2
    source_x = a * x + b * y + c * width + (width - 1) / 2
    sample = partial(jax.scipy.ndimage.map_coordinates, order=1, mode="constant", cval=_GREY)
    return jax.vmap(lambda channel: sample(channel, [source_y, source_x]), in_axes=2, out_axes=2)(image)


def _rotation(s: Array) -> Sequence[Array | float]:
    angle = jnp.deg2rad(30.0) * s
    return jnp.cos(angle), -jnp.sin(angle), 0.0, jnp.sin(angle), jnp.cos(angle), 0.0


# As `augmentation.OPERATIONS`: an image (H, W, 3) and a strength in -1..1.
ON_DEVICE: dict[str, Callable[[Array, Array], Array]] = {
    "identity": lambda image, s: image,
    "auto_contrast": lambda image, s: _auto_contrast(image),
    "equalize": lambda image, s: _equalize(image),
    "rotate": partial(_affine, _rotation),
    "solarize": lambda image, s: jnp.where(image < jnp.round(256 * (1 - jnp.abs(s))), image, 255 - image),
    "posterize": lambda image, s: image - jnp.mod(image, 2 ** jnp.round(4 * jnp.abs(s))),
    "colour": partial(_enhance, luminance),
    "contrast": partial(_enhance, lambda image: jnp.round(luminance(image).mean())),
    "brightness": partial(_enhance, lambda image: 0.0),
    "sharpness": partial(_enhance, _smooth),
    "shear_x": partial(_affine, lambda s: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear_y": partial(_affine, lambda s: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate_x": partial(_affine, lambda s: (1, 0, 0.45 * s, 0, 1, 0)),
    "translate_y": partial(_affine, lambda s: (1, 0, 0, 0, 1, 0.45 * s)),
}


def operate(image: Array, number: Array, strength: Array) -> Array:
    """Apply the operation of this number in OPERATIONS to one (H, W, 3) image."""
    return _whole(jax.lax.switch(number, [ON_DEVICE[name] for name in OPERATIONS], image, strength))


def rand_augment(images: Array, key: Array, *, magnitude: float) -> Array:
    """Apply two random operations to each image of a (n, H, W, 3) batch; see `augmentation.rand_augment`."""
    shape = (2, len(images))
    number_key, strength_key, sign_key = jax.random.split(key, 3)
    numbers = jax.random.randint(number_key, shape, 0, len(OPERATIONS))
    strengths = jnp.clip(magnitude + 0.5 * jax.random.normal(strength_key, shape), 0, 10) / 10
    strengths *= jax.random.rademacher(sign_key, shape)
    for number, strength in zip(numbers, strengths, strict=True):
        images = jax.vmap(operate)(images, number, strength)
    return images


def _box(key: Array, size: Sequence[int], area: Array, aspect: Array | float) -> Array:
    """(h, w) bool: a random rectangle of this share of the area and this aspect relative to the image's."""
    inside = []
    for full, shape, part in zip(size, (aspect, 1 / aspect), jax.random.split(key), strict=True):
        length = jnp.clip(jnp.round(full * jnp.sqrt(area * shape)), 1, full)
        start = jnp.floor(jax.random.uniform(part) * (full - length + 1))
        at = jnp.arange(full)
        inside.append((at >= start) & (at < start + length))
    return inside[0][:, None] & inside[1]


def erase(x: Array, key: Array, *, share: float) -> Array:
    """Replace a random rectangle by normal noise in a `share` of a normalised batch; see `augmentation.erase`."""
    n = len(x)
    chosen_key, area_key, aspect_key, box_key, noise_key = jax.random.split(key, 5)
    area = jax.random.uniform(area_key, (n,), minval=0.02, maxval=0.33)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (n,), minval=jnp.log(0.3), maxval=jnp.log(3.3)))
    boxes = jax.vmap(lambda *drawn: _box(drawn[0], x.shape[1:3], *drawn[1:]))(
        jax.random.split(box_key, n), area, aspect
    )
    boxes &= jax.random.bernoulli(chosen_key, share, (n, 1, 1))
    return jnp.where(boxes[..., None], jax.random.normal(noise_key, x.shape, x.dtype), x)


def mix(x: Array, y: Array, key: Array, *, mixup: float, cutmix: float) -> tuple[Array, Array]:
    """Mix a batch (n, H, W, 3) and its (n, K) targets with the same batch in another order; see `augmentation.mix`."""
    coin_key, order_key, share_key, box_key = jax.random.split(key, 4)
    other = jax.random.permutation(order_key, len(x))

    def cut() -> Array:
        box = _box(box_key, x.shape[1:3], jax.random.beta(share_key, cutmix, cutmix), 1.0)
        return box[None, :, :, None].astype(x.dtype)

    def blend() -> Array:
        return jnp.full((1, *x.shape[1:3], 1), jax.random.beta(share_key, mixup, mixup), x.dtype)

    if mixup and cutmix:
        shares = jnp.where(jax.random.bernoulli(coin_key, 0.5), cut(), blend())
    else:
        shares = cut() if cutmix else blend()
    share = shares.mean()
    return (1 - shares) * x + shares * x[other], (1 - share) * y + share * y[other]
