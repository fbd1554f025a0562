"""ACTIVATIONS: the functions between the two layers of an encoder block's MLP.

An activation is a function of an array and of the framework's functions (keras.ops), so that importing the table
loads no framework. It is 0 at 0, so that methods/frozen.py can read it as a gate f(u) / u times u. It may use
the functions that onnx_graph.Graph and frozen._Arrays have. ARCHITECTURE.md says what else a new one needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .lookup import look_up

Activation = Callable[[Any, Any], Any]


def _gelu(x: Any, ops: Any) -> Any:
    """Exact GELU. Written with erf because the erfc that Keras emits has no ONNX operator."""
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


def _gelu_tanh(x: Any, ops: Any) -> Any:
    """GELU's approximation with tanh, the default of keras.ops.gelu: 4.7e-4 from the exact one at most.

    Reference: Hendrycks and Gimpel 2016, Gaussian Error Linear Units, https://arxiv.org/abs/1606.08415
    """
    return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


ACTIVATIONS: dict[str, Activation] = {"gelu": _gelu, "gelu_tanh": _gelu_tanh}


def find_activation(name: str) -> Activation:
    """The activation called `name`, a function (x, ops) -> array.

    Raises:
        ValueError: no activation has this name.
    """
    return look_up(ACTIVATIONS, "activation", name)
