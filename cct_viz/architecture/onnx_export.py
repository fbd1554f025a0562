"""Keras model -> ONNX graph in which every intermediate of a Trace is a named output. TensorFlow backend only."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

import keras

from .keras_model import CCT

IMAGES, TOKEN_MASK = "images", "token_mask"


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
