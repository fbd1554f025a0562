"""The picture box. Only our own decoder opens the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from ..server.janitor import holds

META = {"_type": "gradio.FileData"}
PATH = (
    "A picture: the path that /gradio_api/upload answers for it (gradio_client uploads a file with handle_file). In a "
    "POST to /gradio_api/run/ a data: URL of the picture works too. No other URL is read."
)
NOT_STORED = "The app does not have this picture, or no longer: upload it and use the path that the app answers."


class Upload(gr.Image):
    """A picture box that passes the path of the file to its listeners, or None when it is empty.

    gr.Image decodes the file with every Pillow plugin before any of our code runs. This must be a class, because Gradio
    creates a component again from its class whenever a listener updates it. (For each such class Gradio writes a .pyi
    file next to the source; git ignores it.)
    """

    def api_info_as_input(self) -> dict[str, Any]:
        """What /gradio_api/info says about the input: Gradio would ask for a URL, which the app refuses."""
        path = {"type": "string", "description": PATH}
        meta = {"type": "object", "default": META}
        properties = {"path": path, "meta": meta}
        return {"title": "Picture", "type": "object", "properties": properties, "additional_description": PATH}

    def example_payload(self) -> dict[str, Any]:
        # Gradio's examples of code read "url" as a file of the caller, which they upload.
        return {"path": "the path that /gradio_api/upload answers", "meta": META, "url": "photo.jpg"}

    def preprocess(self, payload: Any) -> str | None:
        if payload is None:
            return None
        if not payload.path:
            raise gr.Error("The picture did not arrive as a file; upload a PNG, JPEG, WebP, AVIF, GIF or BMP file.")
        if not holds(self.GRADIO_CACHE, payload.path):  # Gradio does not check a path that comes without "meta"
            raise gr.Error(NOT_STORED)
        return str(payload.path)

    def postprocess(self, value: Any) -> Any:
        if isinstance(value, (str, Path)):  # gr.Image would read a file named .svg as text
            return ImageData(path=str(value), orig_name=Path(value).name)
        return super().postprocess(value)

    def get_block_name(self) -> str:
        return "image"  # the component of Gradio's front end that draws it
