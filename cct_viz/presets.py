"""PRESETS: every model this project knows by name. The only file that lists models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .config import CIFAR10_LABELS, CCTConfig, ConvStage

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
