"""What every reader delivers, and the strict check that weights fit a configuration. Needs no framework.

Canonical names are the paths of the Keras model's weights without the model's own name, for example
"block_0/attention/query/kernel".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..config import CCTConfig

if TYPE_CHECKING:
    from ..model import CCT


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence on what came and what was expected."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A configuration and the weights that fit it.

    Attributes:
        config: the architecture, labels and preprocessing.
        weights: canonical name -> float32 array, read-only, all finite.
        format: name of the reader that made it, a key of READERS.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """

    config: CCTConfig
    weights: Mapping[str, np.ndarray]
    format: str

    def __post_init__(self) -> None:
        check(self.weights, self.config)
        for array in self.weights.values():
            array.setflags(write=False)


def expected_shapes(config: CCTConfig) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of every weight of the model that `config` describes, in the model's order."""
    dim, inner = config.embedding_dim, config.num_heads * config.key_dim
    shapes: dict[str, tuple[int, ...]] = {}

    def add_dense(name: str, inputs: int, outputs: int, *, use_bias: bool = True) -> None:
        shapes[f"{name}/kernel"] = (inputs, outputs)
        if use_bias:
            shapes[f"{name}/bias"] = (outputs,)

    def add_norm(name: str) -> None:
        shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (dim,)

    channels = 3
    for i, stage in enumerate(config.tokenizer):
        shapes[f"tokenizer/conv_{i}/kernel"] = (stage.kernel_size, stage.kernel_size, channels, stage.channels)
        if stage.use_bias:
            shapes[f"tokenizer/conv_{i}/bias"] = (stage.channels,)
        channels = stage.channels
    if config.pool == "class_token":
        shapes["sequence/class_token"] = (1, dim)
    if config.position != "none":
        shapes["sequence/position"] = (config.sequence_length, dim)
    for i in range(config.num_layers):
        add_norm(f"block_{i}/norm_1")
        for name in ("query", "key", "value"):
            add_dense(f"block_{i}/attention/{name}", dim, inner, use_bias=config.qkv_bias)
        add_dense(f"block_{i}/attention/projection", inner, dim)
        add_norm(f"block_{i}/norm_2")
        add_dense(f"block_{i}/mlp_1", dim, config.mlp_dim)
        add_dense(f"block_{i}/mlp_2", config.mlp_dim, dim)
    add_norm("norm")
    if config.pool == "seqpool":
        add_dense("pool/score", dim, 1)
    add_dense("head", dim, config.num_classes)
    return shapes


def check(weights: Mapping[str, np.ndarray], config: CCTConfig) -> None:
    """Check that `weights` are exactly those of the model that `config` describes: float32 and finite.

    Raises:
        CheckpointError: lists every missing, extra, wrongly shaped, wrongly typed and non-finite array.
    """
    if config.num_layers > len(weights):  # else a config that claims a billion layers would be listed layer by layer
        raise CheckpointError(
            f"the configuration says {config.num_layers} layers, but there are {len(weights)} arrays in all"
        )
    expected = expected_shapes(config)
    problems = [f"{name} is missing" for name in expected if name not in weights]
    problems += [f"{name} is not part of the model" for name in weights if name not in expected]
    for name, shape in expected.items():
        if name in weights:
            problems += _array_problems(name, weights[name], shape)
    if problems:
        raise CheckpointError("the weights do not fit the configuration: " + "; ".join(problems))


def _array_problems(name: str, array: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    problems = []
    if array.shape != shape:
        problems.append(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype != np.float32:
        problems.append(f"{name} is {array.dtype}, expected float32")
    elif bad := int(np.count_nonzero(~np.isfinite(array))):
        problems.append(f"{name} has {bad} values that are not finite")
    return problems


def assign(model: CCT, weights: Mapping[str, np.ndarray]) -> None:
    """Give a built model its weights, all or none.

    Raises:
        CheckpointError: as `check`; the model is then unchanged.
    """
    from ..model import named_weights  # here, so that reading checkpoints never loads Keras

    check(weights, model.config)
    for name, variable in named_weights(model).items():
        variable.assign(weights[name])
