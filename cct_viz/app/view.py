"""What a tab is to the page, and what it is given: the picture that is shown."""

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
    """The picture that a visitor looks at, and what the model made of it. Kept in a gr.State.

    Attributes:
        path: the file.
        name: what the page calls the picture.
        card: what the page says about the model.
        trace: what the model made of the file.
        example: the name of the example that the picture shows, pixel by pixel; None for any other picture.
        put_back: whether the box is about to show this picture again, because the last upload was not an image.
    """

    path: str
    name: str
    card: Card
    trace: Trace
    example: str | None = None
    put_back: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Shown:
        return self  # immutable; Gradio copies the first value for every visitor


@dataclass(frozen=True)
class View:
    """A tab's parts that follow the picture.

    Attributes:
        outputs: components that are filled again for every picture.
        draw: (what is shown, or None) -> one value for each output.
        runs: long events; another picture cancels them, so that no answer appears beside the wrong picture.
    """

    outputs: list[gr.components.Component]
    draw: Callable[[Shown | None], list[Any]]
    runs: tuple[gr.events.Dependency, ...] = ()

    def fill(self, shown: Shown | None) -> dict[gr.components.Component, Any]:
        """`draw` as {output: value}."""
        return dict(zip(self.outputs, self.draw(shown), strict=True))
