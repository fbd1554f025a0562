"""Keras model -> ONNX graph in which every intermediate of a Trace is a named output. TensorFlow backend only."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

import keras
import numpy as np
import onnx

from .keras_model import CCT

IMAGES, TOKEN_MASK = "images", "token_mask"
_SMALL = 256  # values; for fewer, the Cast node takes as much room as it saves


def export_onnx(model: CCT, path: str | Path) -> None:
    """Write `model` as an ONNX graph.

    Inputs: images (B, H, W, C) float32, normalised; token_mask (B, N) float32. Outputs: those of
    `CCT.intermediates`.

    Raises:
        RuntimeError: the Keras backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"the ONNX export needs Keras on TensorFlow, not on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    config = model.config
    images = keras.Input(config.input_shape, name=IMAGES, dtype="float32")
    token_mask = keras.Input((config.num_tokens,), name=TOKEN_MASK, dtype="float32")
    functional = keras.Model([images, token_mask], model.intermediates(images, token_mask))
    functional([keras.ops.zeros((1, *config.input_shape)), keras.ops.ones((1, config.num_tokens))])
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras announces the artifact on stdout
        functional.export(str(path), format="onnx", verbose=False)


def store_halves(path: str | Path) -> None:
    """Rewrite an ONNX graph so that it stores float32 constants as float16 wherever these hold every value exactly.

    A Cast node turns each back into float32; ONNX Runtime does this once, when it loads the graph. So the outputs stay
    the same, and the graph of weights that were rounded to float16 has half the size.
    """
    model = onnx.load(str(path))
    initializers, casts = model.graph.initializer, []
    for tensor in [tensor for tensor in initializers if tensor.data_type == onnx.TensorProto.FLOAT]:
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.size < _SMALL or not np.array_equal(halves.astype(np.float32), values):
            continue
        stored = f"{tensor.name}/float16"
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], f"{tensor.name}/cast", to=tensor.data_type))
        tensor.CopyFrom(onnx.numpy_helper.from_array(halves, stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))
