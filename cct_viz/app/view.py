"""The interface between the page and its tabs: what is shown, and a view of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..inference.trace import Trace
from .models import Card

DRAW: dict[str, Any] = {
    "concurrency_id": "draw",
    "concurrency_limit": 4,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


@dataclass(frozen=True, eq=False)
class Shown:
    """The current picture of a visitor and its trace. Stored in a gr.State.

    Attributes:
        path: the file of the picture.
        name: the name of the picture on the page.
        card: what the page says about the model.
        trace: the model's trace of the picture.
        example: the name of the example with the same pixels, or None.
        put_back: whether the box is about to restore this picture, because the last upload was not an image.
    """

    path: str
    name: str
    card: Card
    trace: Trace
    example: str | None = None
    put_back: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Shown:
        return self  # immutable; Gradio copies the initial value for every visitor


@dataclass(frozen=True)
class View:
    """The parts of a tab that depend on the picture.

    Attributes:
        outputs: components that are updated for every picture.
        draw: (what is shown, or None) -> one value for each output.
        runs: long events; a new picture cancels them, so that no result appears next to the wrong picture.
    """

    outputs: list[gr.components.Component]
    draw: Callable[[Shown | None], list[Any]]
    runs: tuple[gr.events.Dependency, ...] = ()

    def fill(self, shown: Shown | None) -> dict[gr.components.Component, Any]:
        """`draw` as {output: value}."""
        return dict(zip(self.outputs, self.draw(shown), strict=True))
