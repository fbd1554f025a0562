"""The configuration of a model, from the shapes of its arrays, the user's answers and what the file says beside them.

A state dict shows widths and counts. It does not show heads, strides, padding, pooling and the aspect of the images:
where nobody says them, they are those of the paper's code, and each one is written down as an assumption.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...architecture.config import LARGEST_SIDE, CCTConfig, ConfigError, ConvStage, Preprocessing, numbered_labels
from ...architecture.presets import DATA_SETS
from ..common import CheckpointError
from ..given import Given, complete
from .beside import Values, read_count, read_labels, read_pool, read_preprocessing, read_size
from .official import CLASS_TOKEN, FORMULA_ACCURACY, HEAD, POSITION, count_tokens, distance_from_formula
from .select import FIRST_CONV

State = Mapping[str, np.ndarray]
_SMALL = 64  # pixels; models of smaller images are trained on the likes of CIFAR, larger ones on photos
_SAY = "The file does not say "


def infer(state: State, values: Values, given: Given) -> tuple[CCTConfig, tuple[int, int] | None]:
    """The configuration of a state dict in the paper's names.

    Args:
        state: name -> array, of the model alone.
        values: plain values from beside the weights, such as num_heads; used where they fit the shapes.
        given: the user's answers, which come first.

    Returns:
        The configuration, and the grid (rows, columns) of tokens that the position was trained with; None without one.

    Raises:
        CheckpointError: arrays that no compact transformer has, or tokens that make no square image.
        ConfigError: answers that do not fit the shapes.
    """
    dim, layers = _count_dim(state), _count_layers(state)
    assumptions: list[str] = []
    heads = _choose_heads(dim, values, given, assumptions)
    tokenizer = _choose_stages(state, values, given, assumptions)
    tokens = count_tokens(state) if POSITION in state else None
    size, grid = _choose_size(tokenizer, tokens, values, given, assumptions)
    classes = given.new_head if type(given.new_head) is int else len(_array(state, f"{HEAD}.weight", 2))
    channels = _count_channels(state)
    labels = read_labels(values, classes)
    pixels = read_preprocessing(values, channels)
    config = CCTConfig(
        image_size=size,
        tokenizer=tokenizer,
        num_layers=layers,
        num_heads=heads,
        key_dim=dim // heads,
        mlp_dim=len(_array(state, "classifier.blocks.0.linear1.weight", 2)),
        labels=labels or numbered_labels(classes),
        position=_name_position(state),
        block="official",
        pool="class_token" if CLASS_TOKEN in state else "seqpool",
        qkv_bias=False,
        preprocessing=pixels or _usual_preprocessing(size, channels),
        channels=channels,
        output="softmax" if classes > 1 else "sigmoid",
        assumptions=tuple(assumptions),
    )
    return complete(config, given, says_labels=labels is not None, says_pixels=pixels is not None), grid


def find_size(tokenizer: tuple[ConvStage, ...], grid: tuple[int, int]) -> tuple[int, int] | None:
    """The most usual image size (height, width) from which `tokenizer` makes `grid`, or None."""
    sides = [_find_side(tokenizer, cells) for cells in grid]
    return (sides[0], sides[1]) if all(sides) else None


def _find_side(tokenizer: tuple[ConvStage, ...], cells: int) -> int:
    step = math.prod(stage.stride * (stage.pool_stride if stage.pool_size else 1) for stage in tokenizer)
    around = range(max(1, (cells - 2) * step), min((cells + 2) * step + 2 * tokenizer[0].kernel_size, LARGEST_SIDE) + 1)
    sides = [side for side in around if _length(tokenizer, side) == cells]
    # Several sizes give the same grid; the usual one is a round number.
    return max(sides, key=lambda side: (side == cells * step, side & -side), default=0)


def _length(tokenizer: tuple[ConvStage, ...], side: int) -> int:
    for stage in tokenizer:
        side = stage.output_length(side)
    return side


def _array(state: State, name: str, axes: int) -> np.ndarray:
    if name not in state:
        raise CheckpointError(f"{name} is missing; the file holds only a part of a compact transformer")
    if 0 in state[name].shape:
        raise CheckpointError(f"{name} has shape {state[name].shape}: it is empty; download or save the file again")
    if state[name].ndim != axes:
        kind = " (a CCT for videos has one axis more)" if axes == 4 and state[name].ndim == 5 else ""
        raise CheckpointError(f"{name} has shape {state[name].shape}; expected {axes} axes{kind}")
    return state[name]


def _count_dim(state: State) -> int:
    return len(_array(state, "classifier.norm.weight", 1))


def _count_channels(state: State) -> int:
    channels = _array(state, FIRST_CONV, 4).shape[1]
    if channels not in (1, 3):
        raise CheckpointError(f"the model reads images of {channels} channels; expected 3 for colour or 1 for grey")
    return channels


def _count_layers(state: State) -> int:
    layers = 0
    while f"classifier.blocks.{layers}.linear1.weight" in state:
        layers += 1
    if not layers:
        _array(state, "classifier.blocks.0.linear1.weight", 2)
    return layers


def _name_position(state: State) -> Any:
    if POSITION not in state:
        return "none"
    table = _array(state, POSITION, 3)[0]
    return "sinusoidal" if distance_from_formula(table) <= FORMULA_ACCURACY else "learnable"


def _choose_heads(dim: int, values: Values, given: Given, assumptions: list[str]) -> int:
    if given.heads is not None:
        if type(given.heads) is not int or dim % given.heads:
            raise ConfigError(f"{given.heads} heads do not divide the width of {dim} channels; give another --heads")
        return given.heads
    said = read_count(values, "num_heads", "n_heads", "heads", "nhead", "n_head")
    if said is not None and dim % said == 0:
        return said
    # The paper's models have heads of 64 channels, and two at least.
    divisors = [count for count in range(2, max(2, dim // 8) + 1) if dim % count == 0] or [1]
    heads = min(divisors, key=lambda count: abs(count - dim / 64))
    assumptions.append(f"{_SAY}how many attention heads the model has: {heads} are assumed.")
    return heads


def _choose_stages(state: State, values: Values, given: Given, assumptions: list[str]) -> tuple[ConvStage, ...]:
    kernels: list[np.ndarray] = []
    while (name := f"tokenizer.conv_layers.{len(kernels)}.0.weight") in state:
        kernels.append(_array(state, name, 4))
        if kernels[-1].shape[2] != kernels[-1].shape[3]:
            raise CheckpointError(f"{name} has a kernel of {kernels[-1].shape[2:]}; expected a square one")
    biased = "tokenizer.conv_layers.0.0.bias" in state
    if biased and len(kernels) == 1:
        return (_patches(kernels[0], given, assumptions),)
    return _convolutions(kernels, biased, values, given, assumptions)


def _patches(kernel: np.ndarray, given: Given, assumptions: list[str]) -> ConvStage:
    """CVT and ViT-Lite: the paper's code gives a bias to patches and to no other convolution."""
    size = kernel.shape[2]
    assumptions.append(f"{_SAY}how patches are cut: side by side, without activation, is assumed.")
    return ConvStage(len(kernel), size, given.stride or size, use_bias=True, relu=False, pool_size=0)


def _convolutions(
    kernels: list[np.ndarray], biased: bool, values: Values, given: Given, assumptions: list[str]
) -> tuple[ConvStage, ...]:
    size = kernels[0].shape[2]
    said = {
        "stride": given.stride or read_count(values, "stride", "conv_stride"),
        "padding": read_count(values, "padding", "conv_padding", least=0),
    }
    usual = {"stride": max(1, size // 2 - 1), "padding": max(1, size // 2)}
    asked = [name for name in said if said[name] is None]
    assumed = [f"{name} {usual[name]}" for name in asked]
    chosen = usual | {name: number for name, number in said.items() if number is not None}
    pool = read_pool(values)
    if pool is None:
        pool = (3, 2, 1)
        assumed += ["ReLU", "a 3x3 max pool of stride 2"]
        asked.append("pooling")
    if assumed:
        assumptions.append(f"{_SAY}the {_join(asked)} of its convolutions: {_join(assumed)} are assumed.")
    stages = (
        ConvStage(len(kernel), kernel.shape[2], chosen["stride"], chosen["padding"], biased) for kernel in kernels
    )
    pool_size, pool_stride, around = pool
    return tuple(
        dataclasses.replace(stage, pool_size=pool_size, pool_stride=pool_stride, pool_zero_padding=around)
        for stage in stages
    )


def _choose_size(
    tokenizer: tuple[ConvStage, ...], tokens: int | None, values: Values, given: Given, assumptions: list[str]
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The image size and the grid that the position was trained with."""
    said = read_size(values)
    if tokens is None:
        return given.image_size or said or _assume_size(tokenizer, assumptions), None
    side = math.isqrt(tokens)
    fitting = [size for size in (given.image_size, said) if size and _count_cells(tokenizer, size) == tokens]
    if fitting:
        size = fitting[0]
        return given.image_size or size, _grid(tokenizer, size)
    square = find_size(tokenizer, (side, side)) if side * side == tokens else None
    if square is None:
        raise CheckpointError(
            f"the position is for {tokens} tokens, which are no square grid: give the size of the images that the "
            "model was trained with as --image-size HEIGHT WIDTH, and the stride as --stride if it is not the paper's"
        )
    if given.image_size is None:
        assumptions.append(
            f"{_SAY}the size of its images: {square[0]}x{square[1]} pixels are assumed, a square of {tokens} tokens."
        )
    return given.image_size or square, (side, side)


def _grid(tokenizer: tuple[ConvStage, ...], size: tuple[int, int]) -> tuple[int, int]:
    return _length(tokenizer, size[0]), _length(tokenizer, size[1])


def _count_cells(tokenizer: tuple[ConvStage, ...], size: tuple[int, int]) -> int:
    return math.prod(max(0, cells) for cells in _grid(tokenizer, size))


def _assume_size(tokenizer: tuple[ConvStage, ...], assumptions: list[str]) -> tuple[int, int]:
    """Without a position, nothing in the file depends on the size."""
    kernel = tokenizer[0].kernel_size
    side = 224 if kernel >= 7 else 32
    if not tokenizer[0].pool_size:
        side = kernel * max(1, round(side / kernel))
    assumptions.append(f"{_SAY}the size of its images: {side}x{side} pixels are assumed.")
    return side, side


def _usual_preprocessing(size: tuple[int, int], channels: int) -> Preprocessing:
    if channels == 1:
        return Preprocessing((0.5,), (0.5,))
    usual = DATA_SETS["cifar10" if max(size) <= _SMALL else "imagenet1k"].preprocessing
    return dataclasses.replace(usual, crop=1.0)


def _join(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
