"""What every reader returns, and the strict check that weights fit a configuration. Needs no framework.

Canonical names are the paths of the Keras model's weights without the model's own name, for example
"block_0/attention/query/kernel".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..architecture.config import CCTConfig
from ..architecture.messages import one_line
from ..architecture.reprs import short_repr
from ..architecture.weights import expected_shapes

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says in one sentence what is wrong and what was expected."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class CheckpointWarning(UserWarning):
    """A checkpoint that can be used, but was changed; the message says how."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A configuration and the weights that fit it.

    Attributes:
        config: the architecture, labels and preprocessing.
        weights: canonical name -> float32 array, read-only, all finite.
        format: the reader that read it, a key of READERS.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """

    config: CCTConfig
    weights: Mapping[str, np.ndarray]
    format: str

    __repr__ = short_repr

    def __post_init__(self) -> None:
        check(self.weights, self.config)
        for array in self.weights.values():
            array.setflags(write=False)


def check(weights: Mapping[str, np.ndarray], config: CCTConfig) -> None:
    """Check that `weights` are exactly those of the model that `config` describes: float32 and finite.

    Raises:
        CheckpointError: lists every missing, extra, wrongly shaped, wrongly typed and non-finite array.
    """
    if config.num_layers > len(weights):  # otherwise a config of a billion layers is listed layer by layer
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
    """Set the weights of a built model, all of them or none.

    Raises:
        CheckpointError: as `check`; the model is then unchanged.
    """
    from ..architecture.keras_model import named_weights  # here, so that reading checkpoints does not import Keras

    check(weights, model.config)
    for name, variable in named_weights(model).items():
        variable.assign(weights[name])
