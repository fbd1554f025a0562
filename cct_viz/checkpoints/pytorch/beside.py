"""What plain values beside the weights say about the model, under the names that training scripts use.

A value of a wrong type or size counts as not said; whether it fits the shapes, `infer` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...architecture.config import LARGEST_SIDE, Preprocessing

Values = Mapping[str, Any]
_LABEL_KEYS = ("class_to_idx", "label2id", "idx_to_class", "id2label", "class_names", "classes", "labels")


def read_count(values: Values, *names: str, least: int = 1) -> int | None:
    """The first of these values that is a whole number of a possible size."""
    said = (values.get(name) for name in names)
    return next((value for value in said if type(value) is int and least <= value <= LARGEST_SIDE), None)


def read_pool(values: Values) -> tuple[int, int, int] | None:
    """Size, stride and padding of the max pool, where all three are said."""
    size, stride = read_count(values, "pooling_kernel_size"), read_count(values, "pooling_stride")
    padding = read_count(values, "pooling_padding", least=0)
    return None if size is None or stride is None or padding is None else (size, stride, padding)


def read_size(values: Values) -> tuple[int, int] | None:
    """The image size beside the weights: a side, (height, width), or timm's (channels, height, width)."""
    for name in ("img_size", "image_size", "input_size", "crop_size"):
        value = values.get(name)
        sides = list(value)[-2:] if isinstance(value, (list, tuple)) else [value, value]
        height, width = sides if len(sides) == 2 else (None, None)
        if type(height) is int and type(width) is int and min(height, width) > 0 and max(sides) <= LARGEST_SIDE:
            return height, width
    return None


def read_labels(values: Values, classes: int) -> tuple[str, ...] | None:
    """The names of the classes beside the weights, if there is one for each class."""
    for key in _LABEL_KEYS:
        names = _in_order(values.get(key))
        if len(names) == classes and len(set(names)) == classes and all(n and n.isprintable() for n in names):
            return tuple(names)
    return None


def _in_order(value: Any) -> list[str]:
    """Names from a list, from name -> index or from index -> name; [] from anything else."""
    if isinstance(value, (list, tuple)):
        return list(value) if all(isinstance(name, str) for name in value) else []
    if not isinstance(value, Mapping):
        return []
    if all(type(index) is int for index in value.values()):
        value = {index: name for name, index in value.items()}
    try:
        named = {int(index): name for index, name in value.items()}
    except (TypeError, ValueError):
        return []
    if sorted(named) != list(range(len(named))) or not all(isinstance(name, str) for name in named.values()):
        return []
    return [named[index] for index in sorted(named)]


def read_preprocessing(values: Values, channels: int) -> Preprocessing | None:
    """The normalisation beside the weights, of pixels in 0..1."""
    numbers: list[Any] = [values.get(name) for name in ("mean", "std")]
    if not all(_are_numbers(n) and len(n) in (1, channels) for n in numbers):
        return None
    mean, std = (tuple(float(x) for x in n) * (channels // len(n)) for n in numbers)
    if not max(map(abs, (*mean, *std))) <= 1 or min(std) <= 0:
        return None  # of pixels in 0..255, or of something else
    return Preprocessing(mean, std)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(type(number) in (int, float) for number in value)
