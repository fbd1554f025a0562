"""The box for a visitor's picture. Only our own decoder ever opens the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from gradio.events import Dependency

class Upload(gr.Image):
    """A picture box that hands the path of the file to its listeners, or None when it is empty.

    Gradio's own decodes the file with every Pillow plugin before any of our code runs. It must be a class: Gradio makes
    a component anew, from its class, whenever a listener updates it. (Of each such class Gradio writes a .pyi file
    beside the source; git ignores it.)
    """

    def preprocess(self, payload: Any) -> str | None:
        if payload is None:
            return None
        if not payload.path:
            raise gr.Error("The picture did not come as a file; upload it as a PNG, JPEG, WebP, GIF or BMP file.")
        return str(payload.path)

    def postprocess(self, value: Any) -> Any:
        if isinstance(value, (str, Path)):  # Gradio's own would read a file named .svg as text
            return ImageData(path=str(value), orig_name=Path(value).name)
        return super().postprocess(value)

    def get_block_name(self) -> str:
        return "image"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component  # the part of Gradio's front end that draws it