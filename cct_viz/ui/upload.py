"""The box for a visitor's picture. Only our own decoder ever opens the file."""

from __future__ import annotations

from typing import Any

import gradio as gr


def upload_box(label: str, **properties: Any) -> gr.Image:
    """A picture box that hands the path of the file to its listeners, or None when it is empty.

    `preprocess` is replaced on the instance: Gradio's own decodes the file with every Pillow plugin before any of our
    code runs, and of each subclass of a component Gradio writes a .pyi file beside its source.
    """
    image = gr.Image(label=label, type="filepath", format="png", **properties)
    image.preprocess = _path  # type: ignore[method-assign]
    return image


def _path(payload: Any) -> str | None:
    if payload is None:
        return None
    if not payload.path:
        raise gr.Error("The picture did not come as a file; upload it as a PNG, JPEG, WebP, GIF or BMP file.")
    return str(payload.path)
