"""The configuration of a compact transformer.

`CCTConfig` holds every choice on which the CCT, CVT and ViT-Lite codebases differ, and `keras_model.py` builds exactly
that model. All records are frozen and checked when they are created, so an impossible architecture never reaches Keras.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from .activations import ACTIVATIONS
from .blocks import BLOCKS
from .messages import one_line
from .outputs import OUTPUTS
from .pools import POOLS, find_pool
from .reprs import short_repr

FORMAT_VERSION = 1
_LATER_ENTRIES = ("activation", "channels", "output", "assumptions")  # of CCTConfig, unknown to the first release
# Upper limits: a larger model runs out of memory in one attention map or in the positional embedding.
LARGEST_SIDE, MOST_TOKENS, MOST_CLASSES = 4096, 16_384, 100_000
LONGEST_JSON = 1 << 23  # bytes of a config.json with 100,000 long names; JSON takes twenty times that in memory
MASKED = -1e9  # added to a masked score: exp() of it is exactly 0 in float32 and bfloat16
CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def numbered_labels(count: int) -> tuple[str, ...]:
    """Default class names: "class 0", "class 1", ...

    Raises:
        ConfigError: `count` is above the limit.
    """
    _require_classes(count)
    return tuple(f"class {i}" for i in range(count))


Position = Literal["learnable", "sinusoidal", "none"]


class ConfigError(ValueError):
    """An invalid configuration; the message names the value and says what is allowed."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_classes(count: int) -> None:
    _require(isinstance(count, Integral), f"{count!r} classes; expected a whole number")
    _require(count <= MOST_CLASSES, f"{count:,} classes; expected {MOST_CLASSES:,} at most")


def _require_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{name} is {value!r}; expected one of {', '.join(allowed)}")


def _one_for_each(name: str, numbers: tuple[float, ...], channels: int) -> str:
    return f"{name} is {numbers}; expected one number for each input channel, {channels} in all"


def slide(length: int, size: int, stride: int, padding: int, rule: str) -> tuple[int, int]:
    """Slide a window along `length` cells with `padding` zeros at both ends, plus the zeros that `rule` adds.

    Returns:
        The number of window positions, and the number of zeros before the first cell.
    """
    padded = length + 2 * padding
    if rule == "same":
        places = -(-padded // stride)
        return places, padding + max(0, (places - 1) * stride + size - padded) // 2
    return (padded - size) // stride + 1, padding


@dataclass(frozen=True)
class ConvStage:
    """One stage of the convolutional tokenizer: convolution, optional ReLU, optional zero padding and max pool.

    `padding` is the number of zeros around the input of the convolution, `pool_zero_padding` that around the input of
    the pool, both in pixels of the stage. `pool_padding` and `conv_padding` are the padding rules that apply on top
    ("same" pads as TensorFlow does: an odd number puts one more zero at the end). `pool_size` 0 means no pool.
    """

    channels: int
    kernel_size: int = 3
    stride: int = 1
    padding: int = 0
    use_bias: bool = False
    relu: bool = True
    pool_size: int = 3
    pool_stride: int = 2
    pool_zero_padding: int = 1
    pool_padding: Literal["valid", "same"] = "valid"
    conv_padding: Literal["valid", "same"] = "valid"

    def __post_init__(self) -> None:
        for name in ("channels", "kernel_size", "stride", "pool_stride"):
            _require(getattr(self, name) >= 1, f"conv stage: {name} is {getattr(self, name)}; expected 1 or more")
        for name in ("padding", "pool_size", "pool_zero_padding"):
            _require(getattr(self, name) >= 0, f"conv stage: {name} is {getattr(self, name)}; expected 0 or more")
        for name in ("pool_padding", "conv_padding"):
            _require_choice(f"conv stage: {name}", getattr(self, name), ("valid", "same"))

    def convolved_length(self, length: int) -> int:
        """Cells along one axis after the convolution of `length` cells, before the pool."""
        return slide(length, self.kernel_size, self.stride, self.padding, self.conv_padding)[0]

    def output_length(self, length: int) -> int:
        """Cells along one axis after this stage, from `length` cells; 0 or negative where the kernel does not fit."""
        length = self.convolved_length(length)
        if self.pool_size and length >= 1:  # padding around an empty axis makes no cell
            length, _ = slide(length, self.pool_size, self.pool_stride, self.pool_zero_padding, self.pool_padding)
        return length


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared for the model: centre crop, resize, then (x / 255 - mean) / std.

    `mean` and `std` have one number for each input channel: three, or one for grey images, which are the luminance
    of colour pictures (ITU-R 601-2, as in Pillow's mode "L"). `crop` is the fraction of the shorter side that the
    centre crop keeps, 0 < crop <= 1.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    interpolation: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop: float = 1.0

    def __post_init__(self) -> None:
        _require(
            len(self.mean) in (1, 3) and all(map(math.isfinite, self.mean)),
            f"mean is {self.mean}; expected 3 numbers, or 1 for grey images",
        )
        _require(
            len(self.std) == len(self.mean) and all(math.isfinite(s) and s > 0 for s in self.std),
            f"std is {self.std}; expected as many positive numbers as mean has",
        )
        _require_choice("interpolation", self.interpolation, ("box", "bilinear", "bicubic", "lanczos"))
        _require(0 < self.crop <= 1, f"crop is {self.crop}; expected more than 0 and at most 1")

    @property
    def channels(self) -> int:
        """The number of input channels: 3, or 1 for grey images."""
        return len(self.mean)

    def for_channels(self, channels: int) -> Preprocessing:
        """The same preprocessing for a model of `channels` input channels, if each number is the same for all colours.

        Raises:
            ConfigError: the numbers differ between the colours.
        """
        if channels == self.channels:
            return self
        for name in ("mean", "std"):
            _require(len(set(getattr(self, name))) == 1, _one_for_each(name, getattr(self, name), channels))
        return dataclasses.replace(self, mean=self.mean[:1] * channels, std=self.std[:1] * channels)


@dataclass(frozen=True)
class CCTConfig:
    """One compact transformer: its architecture, its class names and its preprocessing.

    `block` "pre_norm" is the keras.io form x += attention(norm(x)); x += mlp(norm(x)). "official" is the paper's code:
    x += attention(norm(x)); x = norm(x); x += mlp(x). `block`, `pool` and `activation` are names in BLOCKS, POOLS and
    ACTIVATIONS. `stochastic_depth` is the drop rate of the last layer; the rates rise linearly from 0 at the first.
    `channels` is 3 for colour images or 1 for grey ones. `output` is a name in OUTPUTS: "softmax", where the classes
    compete, or "sigmoid", where each class has a probability of its own and one class is enough.
    `assumptions` are sentences: what the file of the weights did not say, and what was taken for it.
    """

    image_size: tuple[int, int]
    tokenizer: tuple[ConvStage, ...]
    num_layers: int
    num_heads: int
    key_dim: int
    mlp_dim: int
    labels: tuple[str, ...]
    position: Position = "learnable"
    block: str = "pre_norm"
    pool: str = "seqpool"
    qkv_bias: bool = True
    mlp_output_activation: bool = False
    activation: str = "gelu"
    layer_norm_epsilon: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    channels: int = 3
    output: str = "softmax"
    assumptions: tuple[str, ...] = ()

    __repr__ = short_repr  # a thousand labels stay out of it

    def __post_init__(self) -> None:
        _require(
            isinstance(self.image_size, (tuple, list))
            and len(self.image_size) == 2
            and all(type(s) is int and 1 <= s <= LARGEST_SIDE for s in self.image_size),
            f"image_size is {self.image_size!r}; expected (height, width), 1 to {LARGEST_SIDE} pixels each",
        )
        _require(len(self.tokenizer) >= 1, "tokenizer is empty; expected one conv stage or more")
        for name in ("num_layers", "num_heads", "key_dim", "mlp_dim"):
            _require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; expected 1 or more")
        _require_choice("output", self.output, tuple(OUTPUTS))
        _require(
            len(self.labels) >= (2 if OUTPUTS[self.output].exclusive else 1),
            f"{len(self.labels)} labels; expected two classes or more, or one with the output sigmoid",
        )
        _require_classes(len(self.labels))
        _require(all(isinstance(label, str) and label for label in self.labels), "labels must be non-empty texts")
        _require(
            all(label.isprintable() for label in self.labels), "labels must be printable: no line breaks, no controls"
        )
        _require(
            all(isinstance(text, str) and text.isprintable() for text in self.assumptions), "assumptions must be texts"
        )
        _require(len(set(self.labels)) == len(self.labels), "labels repeat; expected a name of its own for each class")
        _require_choice("position", self.position, ("learnable", "sinusoidal", "none"))
        _require_choice("block", self.block, tuple(BLOCKS))
        _require_choice("pool", self.pool, tuple(POOLS))
        _require_choice("activation", self.activation, tuple(ACTIVATIONS))
        _require(self.channels in (1, 3), f"channels is {self.channels}; expected 3, or 1 for grey images")
        _require(
            self.preprocessing.channels == self.channels,
            _one_for_each("mean", self.preprocessing.mean, self.channels),
        )
        for name in ("dropout", "attention_dropout", "stochastic_depth"):
            _require(0 <= getattr(self, name) < 1, f"{name} is {getattr(self, name)}; expected 0 <= rate < 1")
        _require(
            0 < self.layer_norm_epsilon < 1, f"layer_norm_epsilon is {self.layer_norm_epsilon}; expected 0 < eps < 1"
        )
        _require(
            min(min(shape) for shape in self.stage_shapes) >= 1,
            f"images of {self.image_size[0]}x{self.image_size[1]} pixels leave no token after the conv stages",
        )
        _require(
            self.num_tokens <= MOST_TOKENS,
            f"images of {self.image_size[0]}x{self.image_size[1]} pixels make {self.num_tokens:,} tokens; expected at "
            f"most {MOST_TOKENS:,}",
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the model's input."""
        return *self.image_size, self.channels

    @property
    def embedding_dim(self) -> int:
        return self.tokenizer[-1].channels

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    @property
    def stage_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) in cells of the feature map after each conv stage."""
        shapes, (height, width) = [], self.image_size
        for stage in self.tokenizer:
            height, width = stage.output_length(height), stage.output_length(width)
            shapes.append((height, width))
        return tuple(shapes)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the token grid, which is that of the last feature map."""
        return self.stage_shapes[-1]

    @property
    def num_tokens(self) -> int:
        """Number of image tokens N, without the class token."""
        return self.grid[0] * self.grid[1]

    @property
    def has_class_token(self) -> bool:
        return find_pool(self.pool).class_token

    @property
    def sequence_length(self) -> int:
        """Number of tokens M in the encoder: N, or N + 1 with a class token."""
        return self.num_tokens + self.has_class_token

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_dict` reads it back to an equal config.

        Entries that the first release does not know are left out while they have their default, so that it can read
        the file: it refuses unknown entries.
        """
        data = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        for name in _LATER_ENTRIES:
            if data[name] == getattr(CCTConfig, name):
                del data[name]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CCTConfig:
        """Read a config from the dict that `to_dict` returns.

        Raises:
            ConfigError: an unknown, missing or impossible entry; all unknown and missing ones are listed at once.
        """
        data = dict(data)
        version = data.pop("format_version", None)
        _require(version == FORMAT_VERSION, f"format_version is {version!r}; this release reads {FORMAT_VERSION}")
        try:
            data["tokenizer"] = tuple(_record(ConvStage, stage) for stage in data.get("tokenizer", ()))
            data["preprocessing"] = _record(Preprocessing, data.get("preprocessing", {}))
            return _record(cls, data)
        except (TypeError, OverflowError) as error:
            raise ConfigError(f"the configuration has a value of the wrong type or size: {error}") from error


# Annotation of a field -> the types allowed in JSON for its value or, if True, for each item of a list.
_KINDS: dict[str, tuple[tuple[type, ...], bool]] = {
    "int": ((int,), False),
    "bool": ((bool,), False),
    "float": ((int, float), False),
    "tuple[int, int]": ((int,), True),
    "tuple[float, ...]": ((int, float), True),
    "tuple[str, ...]": ((str,), True),
}


def _is_of(value: object, types: tuple[type, ...], listed: bool) -> bool:
    if listed:
        return isinstance(value, (list, tuple)) and all(type(item) in types for item in value)
    return type(value) in types


def _record(kind: type, data: Mapping[str, Any]) -> Any:
    """Create a `kind` from `data`, with lists as tuples; the error lists every unknown and missing entry."""
    _require(isinstance(data, Mapping), f"{kind.__name__} is {type(data).__name__}; expected an object")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(data) - set(fields))
    missing = sorted(
        name
        for name, f in fields.items()
        if name not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    problems = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
    _require(not problems, f"{kind.__name__}: {'; '.join(problems)}")
    for name, value in data.items():
        kinds = _KINDS.get(str(fields[name].type))
        _require(
            kinds is None or _is_of(value, *kinds),
            f"{kind.__name__}: {name} is {value!r}; expected {fields[name].type}",
        )
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})


def read_json(path: Path, *, most: int = LONGEST_JSON) -> Any:
    """The content of a JSON file that describes a model.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read, is no JSON, or is longer than `most` bytes.
    """
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def read_config(path: str | Path) -> CCTConfig:
    """Read a config.json.

    Raises:
        ConfigError: the file is not JSON, or not a configuration of this project.
    """
    try:
        data = read_json(Path(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{Path(path).name} cannot be read as JSON: {error}") from error
    _require(isinstance(data, dict), f"{Path(path).name} holds {type(data).__name__}; expected an object")
    return CCTConfig.from_dict(data)


def write_config(path: str | Path, config: CCTConfig) -> None:
    """Write a config.json from which `read_config` reads an equal config."""
    Path(path).write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
