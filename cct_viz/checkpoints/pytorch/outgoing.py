"""A model -> a .pth that the paper's code, or vit-pytorch's CCT, loads with `strict=True`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...architecture.config import CCTConfig
from ..common import CheckpointError
from .official import check_form, from_canonical
from .state_dict import write_state

_HIDDEN = 64  # channels of every convolution of the paper's tokenizer but the last


def write(path: Path, config: CCTConfig, weights: Mapping[str, np.ndarray]) -> None:
    """Write the state dict of `describe_call(config)`.

    Args:
        weights: canonical name -> float32 array.

    Raises:
        CheckpointError: PyTorch is missing, or the paper's code cannot build such a model.
    """
    check_expressible(config)
    write_state(path, from_canonical(weights, config))


def check_expressible(config: CCTConfig) -> None:
    """Refuse a model that no call of the paper's code builds.

    Raises:
        CheckpointError: says what the paper's code has instead.
    """
    check_form(config)
    first, patch = config.tokenizer[0], not config.tokenizer[0].pool_size
    alike = {(stage.kernel_size, stage.stride, stage.padding) for stage in config.tokenizer}
    checks = {
        "square images": config.image_size[0] == config.image_size[1],
        "one kernel size, stride and padding for all convolutions": len(alike) == 1,
        f"{_HIDDEN} channels in all convolutions but the last": all(
            stage.channels == _HIDDEN for stage in config.tokenizer[:-1]
        ),
        "a class token with patches only": patch or config.pool == "seqpool",
        "one layer of patches": not patch or len(config.tokenizer) == 1,
        "images that whole patches cover": not patch or config.image_size[0] % first.kernel_size == 0,
    }
    if wrong := [what for what, fits in checks.items() if not fits]:
        raise CheckpointError(f"the paper's code cannot build this model, because it has {', '.join(wrong)}")


def describe_call(config: CCTConfig) -> str:
    """The call of the paper's code that builds the model, for example "CCT(img_size=32, ...)"."""
    stage = config.tokenizer[0]
    arguments: dict[str, object] = {
        "img_size": config.image_size[0],
        "embedding_dim": config.embedding_dim,
        "n_input_channels": config.channels,
        "kernel_size": stage.kernel_size,
    }
    if stage.pool_size:
        arguments |= {"n_conv_layers": len(config.tokenizer), "stride": stage.stride, "padding": stage.padding}
    arguments |= {
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "mlp_ratio": _ratio(config.mlp_dim, config.embedding_dim),
        "num_classes": config.num_classes,
        "positional_embedding": {"sinusoidal": "sine"}.get(config.position, config.position),
    }
    family = "ViTLite" if config.has_class_token else "CCT" if stage.pool_size else "CVT"
    return f"{family}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _ratio(inner: int, dim: int) -> float:
    """The number that, multiplied with `dim` and cut to a whole number, gives `inner`."""
    ratio = inner / dim
    return ratio if int(dim * ratio) == inner else math.nextafter(ratio, math.inf)
