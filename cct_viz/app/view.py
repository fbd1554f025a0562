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
    """What a visitor is looking at: the file, what is known of the model, and what it made of the file. Kept in a
    gr.State. `put_back`: the box is about to show this picture again, for what was uploaded since is none."""

    path: str
    name: str
    card: Card
    trace: Trace
    put_back: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Shown:
        return self  # immutable; Gradio copies the first value for every visitor


@dataclass(frozen=True)
class View:
    """A tab's parts that follow the picture.

    Attributes:
        outputs: components that are filled anew for every picture.
        draw: (what is shown, or None) -> one value an output.
        runs: events that take their time; another picture ends them, so that no answer lands beside it.
    """

    outputs: list[gr.components.Component]
    draw: Callable[[Shown | None], list[Any]]
    runs: tuple[gr.events.Dependency, ...] = ()
