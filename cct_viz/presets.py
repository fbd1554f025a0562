"""PRESETS: every model this project knows by name. The only file that lists models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .config import CIFAR10_LABELS, CCTConfig, ConfigError, ConvStage, numbered_labels, read_config

DEFAULT = "keras_cct_cifar10"  # what the app and the command line show unless told otherwise
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class Preset:
    """An architecture by name and, where this repository carries trained weights for it, their folder.

    `sha256` maps the folder's files to what they must hash to; a model.onnx that is not listed is never run.
    """

    description: str
    config: CCTConfig
    folder: Path | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


def _keras_io(channels: tuple[int, ...] = (64, 128)) -> CCTConfig:
    return CCTConfig(
        image_size=(32, 32),
        tokenizer=tuple(ConvStage(c, pool_padding="same") for c in channels),
        num_layers=2,
        num_heads=2,
        key_dim=128,
        mlp_dim=128,
        labels=CIFAR10_LABELS,
        mlp_output_activation=True,
        stochastic_depth=0.1,
    )


PRESETS: dict[str, Preset] = {
    "keras_cct_cifar10": Preset("the keras.io example's architecture, trained here on CIFAR-10", _keras_io()),
}


def configure(
    name: str, *, num_classes: int | None = None, image_size: int | tuple[int, int] | None = None
) -> CCTConfig:
    """The config of a preset's name or of a config.json, with another number of classes or image size if given.

    Raises:
        ConfigError: no such preset or file, or an impossible size.
    """
    if name in PRESETS:
        config = PRESETS[name].config
    elif Path(name).is_file():
        config = read_config(name)
    else:
        raise ConfigError(f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a config.json that exists")
    if num_classes is not None and num_classes != config.num_classes:
        config = dataclasses.replace(config, labels=numbered_labels(num_classes))
    if image_size is not None:
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        config = dataclasses.replace(config, image_size=size)
    return config
