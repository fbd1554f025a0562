"""Models that are too large for a page: the page asks the server for the trace of its pixels.

It asks in one request (POST /gradio_api/run/trace), so that any process of the app can answer, whichever made the page.
"""

from __future__ import annotations

import base64
import binascii

import gradio as gr
import numpy as np

from ..checkpoints import CheckpointError
from ..web.payload import make_payload
from .models import Models


def add_trace(models: Models) -> None:
    """Add the endpoint to the page under construction. It is the page's own: documentation and tools do not list it."""
    with gr.Row(visible=False):
        inputs = [gr.Textbox(label="model"), gr.Textbox(label="pixels")]
        payload, run = gr.Textbox(label="payload"), gr.Button()

    def trace(model: str, pixels: str) -> str:
        try:
            return make_payload(models.trace_pixels(model, read_pixels(pixels, models.get(model).config.image_size)))
        except (CheckpointError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    run.click(
        trace,
        inputs,
        [payload],
        api_name="trace",
        api_visibility="undocumented",
        concurrency_id="model",
        concurrency_limit=2,
    )


def read_pixels(text: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 from base64.

    Raises:
        ValueError: not the pixels of a picture of `size`, (H, W).
    """
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), np.uint8).reshape(*size, 3)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"the picture does not have the {size[0]} x {size[1]} pixels that the model expects"
        ) from error
