"""From an image to the displayed crop and the model's input pixels, with the geometry between them.

Coordinates are continuous, (y, x), in pixels from the top left corner: pixel i covers [i, i + 1), so its centre is
i + 0.5, and the edges of a box (end exclusive) are coordinates too. Fractions of the crop run from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..architecture.config import Preprocessing
from ..architecture.reprs import short_repr
from .decode import ImageError, decode, read_picture

__all__ = ["MAX_SIDE", "Geometry", "ImageError", "Preprocessed", "crop_and_resize", "decode", "normalise"]

MAX_SIDE = 1024  # pixels of the displayed crop: twice the 512 pixels of the page, for high-resolution screens

_FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Geometry:
    """The position of the crop in the original image, and the size of the model's input.

    Attributes:
        original_size: (H, W) of the upright original image.
        box: (y0, x0, y1, x1) of the crop in pixels of that image, end exclusive.
        model_size: (H, W) of the model's input, which the crop fills.
    """

    original_size: tuple[int, int]
    box: tuple[int, int, int, int]
    model_size: tuple[int, int]

    def __post_init__(self) -> None:
        (height, width), (y0, x0, y1, x1) = self.original_size, self.box
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ValueError(f"the crop {self.box} does not lie inside the image of {height}x{width} pixels")
        if min(self.model_size) < 1:
            raise ValueError(f"model_size is {self.model_size}; expected (height, width) in pixels")

    @property
    def crop_size(self) -> tuple[int, int]:
        """(H, W) of the crop in pixels of the original image."""
        y0, x0, y1, x1 = self.box
        return y1 - y0, x1 - x0

    def model_to_fraction(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) fractions of the crop at (..., 2) coordinates in the model's pixels."""
        return np.asarray(points, np.float64) / self.model_size

    def fraction_to_model(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) coordinates in the model's pixels at (..., 2) fractions of the crop."""
        return np.asarray(points, np.float64) * self.model_size

    def model_to_original(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) coordinates in the original image at (..., 2) coordinates in the model's pixels."""
        return self.model_to_fraction(points) * self.crop_size + self.box[:2]

    def original_to_model(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) coordinates in the model's pixels at (..., 2) coordinates in the original image.

        Points outside the crop have coordinates outside the model's input.
        """
        return self.fraction_to_model((np.asarray(points, np.float64) - self.box[:2]) / self.crop_size)


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """An image ready for a model. All arrays are read-only.

    Attributes:
        image: (S, S', 3) uint8, the displayed crop, its longer side at most `MAX_SIDE`.
        pixels: (H, W, 3) uint8, the model's input before normalisation.
        geometry: the position of both in the original image.
        note: what is unusual about how the image was read, see `Picture`; mostly empty.
    """

    image: np.ndarray
    pixels: np.ndarray
    geometry: Geometry
    note: str = ""

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.pixels.shape != (*self.geometry.model_size, 3):
            raise ValueError(f"pixels are {self.pixels.shape}; expected {(*self.geometry.model_size, 3)}")
        self.image.setflags(write=False)
        self.pixels.setflags(write=False)


def centre_crop(original_size: tuple[int, int], model_size: tuple[int, int], crop: float) -> Geometry:
    """The centre crop with the model's aspect ratio: the largest that fits, times `crop`.

    Its sides are whole pixels, at least one, halves rounded up; an odd remaining pixel is at the bottom or on the
    right. Rounding changes the aspect ratio noticeably only if the crop has few pixels.
    """
    scale = crop * min(original_size[0] / model_size[0], original_size[1] / model_size[1])
    height, width = (
        min(original, max(1, math.floor(scale * model + 0.5)))
        for original, model in zip(original_size, model_size, strict=True)
    )
    y0, x0 = (original_size[0] - height) // 2, (original_size[1] - width) // 2
    return Geometry(original_size, (y0, x0, y0 + height, x0 + width), model_size)


def crop_and_resize(
    source: Any, image_size: tuple[int, int], preprocessing: Preprocessing, *, stretch: bool = False
) -> Preprocessed:
    """The crop of an image and the model's pixels.

    An image of the model's own size stays unchanged if nothing is cropped. Any other image is resized with
    antialiasing directly from the pixels of the crop. Pillow's `reducing_gap` would be faster, but would give other
    values than the resize with which checkpoints are evaluated. Pixels outside the crop are not displayed, so they
    must not influence the model. For a model of one input channel, the picture becomes grey before it is resized;
    `image` and `pixels` then have three equal channels.

    Args:
        source: anything that `read_picture` takes.
        image_size: (H, W) of the model's input.
        preprocessing: interpolation and crop; `normalise` does the rest.
        stretch: as in `read_picture`.

    Raises:
        ImageError: not an image that can be read.
    """
    picture = read_picture(source, stretch=stretch)
    image = picture.pixels
    geometry = centre_crop((image.shape[0], image.shape[1]), image_size, preprocessing.crop)
    y0, x0, y1, x1 = geometry.box
    if preprocessing.channels == 1:
        image = grey_picture(image)
    if geometry.crop_size == image_size and max(image_size) <= MAX_SIDE:
        own = np.array(image[y0:y1, x0:x1])  # a plain copy: the caller may change its array or pass a subclass
        return Preprocessed(own, own, geometry, picture.note)
    crop = Image.fromarray(image[y0:y1, x0:x1])
    pixels = crop.resize(image_size[::-1], _FILTERS[preprocessing.interpolation])
    shrink = max(1.0, max(crop.size) / MAX_SIDE)
    shown_size = max(1, round(crop.width / shrink)), max(1, round(crop.height / shrink))
    # The displayed crop is not used for computation, so the faster resize is good enough.
    display = crop.resize(shown_size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    return Preprocessed(np.array(display), np.array(pixels), geometry, picture.note)


def grey_picture(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the luminance of `picture` (H, W, 3) in all three channels."""
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def luminance(pixels: np.ndarray) -> np.ndarray:
    """(..., H, W) uint8 grey levels of (..., H, W, 3) uint8 colours, equal to those of Pillow's mode "L".

    0.299 red + 0.587 green + 0.114 blue in fixed point (ITU-R BT.601), so that a grey pixel keeps its level.
    """
    weights = np.array([19595, 38470, 7471], np.uint32)  # they sum to 2**16
    return ((pixels.astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)


def normalise(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """(pixels / 255 - mean) / std, as float32: (..., H, W, C) with one channel for each number of mean and std.

    Args:
        pixels: (..., H, W, 3) uint8. A model of one channel gets their luminance.
        preprocessing: mean and std, one per channel.

    Raises:
        ValueError: pixels of another dtype or shape; values in 0..1 would otherwise go unnoticed.
    """
    if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; expected uint8 (..., H, W, 3)")
    if preprocessing.channels == 1:
        pixels = luminance(pixels)[..., None]
    width = pixels.shape[-2]  # whole rows at a time: five times as fast as arithmetic on an axis of three colours
    mean, std = (np.tile(np.asarray(v, np.float32), width) for v in (preprocessing.mean, preprocessing.std))
    rows = pixels.reshape(*pixels.shape[:-2], -1).astype(np.float32)
    return ((rows / np.float32(255) - mean) / std).reshape(pixels.shape)
