"""From what a model itself does to pixels, and what the user says was done before it, to one normalisation."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..architecture.config import ConfigError, Preprocessing
from .given import Given

LARGEST_INPUT = 30.0  # a white pixel after any usual normalisation is below 6; left unscaled, it is 255


def normalisation(scale: np.ndarray, offset: np.ndarray, given: Given) -> tuple[Preprocessing, bool, Given]:
    """(x / 255 - mean) / std that does to pixels x in 0..255 what came before the model and the model do.

    Args:
        scale, offset: (C,), what the model itself makes of its input: scale * input + offset.
        given: the user's answers. Where the model's own scaling leaves pixels large, they were scaled before it, by
            what is given or, by assumption, by 255.

    Returns:
        The normalisation, whether the file and the user say it, and the answers that are left to apply.

    Raises:
        ConfigError: a scale that is not positive.
    """
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all()):
        raise ConfigError(f"pixels are multiplied by {scale.tolist()}; expected positive numbers")
    if 255 * scale.max() < LARGEST_INPUT:
        std = 1 / (255 * scale)
        return Preprocessing(mean=tidy(-offset * std), std=tidy(std)), True, given
    before = (given.preprocessing or Preprocessing()).for_channels(len(scale))
    mean, std = np.array(before.mean), np.array(before.std)
    combined = Preprocessing(mean=tidy(mean - offset * std / scale), std=tidy(std / scale))
    rest = dataclasses.replace(given, scale=None, mean=None, std=None)
    return combined, given.preprocessing is not None, rest


def tidy(numbers: np.ndarray) -> tuple[float, ...]:
    """Numbers as they were before they became float32: 1, not 0.99999994."""
    return tuple(float(f"{number:.6g}") + 0.0 for number in numbers)
