"""What the page asks of the server: traces of models that are too large for it, and news of the Hub.

Each is one request (POST /gradio_api/run/NAME), so that any process of the app can answer, whichever made the page.
Documentation and tools do not list them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from typing import Any

import gradio as gr
import numpy as np

from ..checkpoints import CheckpointError
from ..web.payload import make_payload
from .models import Models


def add_page_calls(models: Models, tell_news: Callable[[Collection[str]], str]) -> None:
    """Add the endpoints /trace and /news to the page under construction.

    Args:
        tell_news: the line about the Hub and the models but those of the given names, as JSON.
    """
    with gr.Row(visible=False):
        inputs = [gr.Textbox(label="model"), gr.Textbox(label="pixels")]
        again, shown = gr.Checkbox(label="again"), gr.JSON(label="shown")
        text, run = gr.Textbox(label="text"), gr.Button()

    def trace(model: str, pixels: str) -> str:
        try:
            return make_payload(models.trace_pixels(model, read_pixels(pixels, models.get(model).config.image_size)))
        except (CheckpointError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    def news(again: bool, shown: list[str] | None) -> str:
        if again:
            models.download()
        return tell_news(shown or ())

    own: dict[str, Any] = {"api_visibility": "undocumented", "concurrency_limit": 2}
    run.click(trace, inputs, [text], api_name="trace", concurrency_id="model", **own)
    run.click(news, [again, shown], [text], api_name="news", concurrency_id="news", **own)


def read_pixels(text: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 from base64.

    Raises:
        ValueError: not the pixels of a picture of `size`, (H, W).
    """
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), np.uint8).reshape(*size, 3)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError(
            f"the picture does not have the {size[0]} x {size[1]} pixels that the model expects"
        ) from error
