"""What a tab is to the page, and what it is given: the picture that is shown and how to redraw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.processing_utils import move_files_to_cache
from pydantic import BaseModel

from ..trace import Trace

DRAW = {
    "concurrency_id": "draw",
    "concurrency_limit": 4,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


@dataclass(frozen=True, eq=False)
class Shown:
    """What a visitor is looking at: the file, the model's name and what it made of the file. Kept in a gr.State."""

    path: str
    model: str
    trace: Trace

    def __deepcopy__(self, memo: dict[int, Any]) -> Shown:
        return self  # immutable; Gradio copies the first value for every visitor


@dataclass(frozen=True)
class View:
    """A tab's parts. The page calls `fit` and `draw` when there is a new trace, the tab itself `draw` on every control.

    Attributes:
        controls: what the visitor sets.
        outputs: pictures and words that `draw` makes.
        fit: (trace, *control values) -> one dict of properties a control, always with its "value": choices and ranges
            as the model has them, values kept where they still exist.
        draw: (trace or None, *control values) -> one value an output.
        redraw_on: the `then` of listeners that set a control themselves.
    """

    controls: list[gr.components.Component]
    outputs: list[gr.components.Component]
    fit: Callable[..., list[dict[str, Any]]]
    draw: Callable[..., list[Any]]
    redraw_on: list[Callable[..., Any]] = field(default_factory=list)

    def listen(self, shown: gr.State) -> None:
        """Redraw when the visitor moves a control; the model is not run again."""

        def redraw(shown: Shown | None, *values: Any) -> Any:
            return unpack(self.draw(shown.trace if shown else None, *values))

        inputs = [shown, *self.controls]
        gr.on([control.input for control in self.controls], redraw, inputs, self.outputs, **DRAW)
        for then in self.redraw_on:
            then(redraw, inputs, self.outputs, **DRAW)


def set_first_value(component: gr.components.Component, value: Any) -> None:
    """What a component shows at first paint, set after it was made as its constructor would; files are kept."""
    if isinstance(value, dict):  # a gr.update
        value = {name: entry for name, entry in value.items() if name != "__type__"}
        for name, entry in value.items():
            if name != "value":
                setattr(component, name, entry)
                component.constructor_args[name] = entry  # from which Gradio makes it anew at every update
        value = value["value"]
    ready = component.postprocess(value)
    if isinstance(ready, BaseModel):
        ready = ready.model_dump()
    component.value = move_files_to_cache(ready, component, postprocess=True, keep_in_cache=True)
    if isinstance(component.value, dict) and "path" in component.value:
        component.keep_in_cache.add(component.value["path"])


def unpack(values: list[Any]) -> Any:
    """What a Gradio listener returns for these outputs: one value alone is not a list."""
    return values[0] if len(values) == 1 else tuple(values)


def keep(value: Any, choices: list[Any], default: Any) -> Any:
    """`value` if it is still one of the choices, given as values or as (text, value), else `default`."""
    known = [choice[1] if isinstance(choice, tuple) else choice for choice in choices]
    return value if value in known else default


def photo(label: str) -> gr.Image:
    """The box for the photo with a map over it. PNG, because webp would blur the map."""
    return gr.Image(
        label=label, format="png", interactive=False, buttons=["download", "fullscreen"], elem_classes="photo"
    )


def pick_token(trace: Trace, index: tuple[int, int] | list[int], side: int) -> int:
    """The image token whose centre is nearest to pixel (x, y) of a photo with its longer side `side` pixels."""
    height, width = trace.pixels.shape[:2]
    scale = max(trace.image.shape[:2]) / side
    shown_height, shown_width = trace.image.shape[0] / scale, trace.image.shape[1] / scale
    y, x = index[1] / shown_height * height, index[0] / shown_width * width
    centres = trace.stages[-1].centres.reshape(-1, 2)
    return int(((centres - (y, x)) ** 2).sum(axis=1).argmin())


def token_slider() -> gr.Slider:
    return gr.Slider(0, 1, 0, step=1, label="Token", info="0 is none. Or click on the photo.")


def fit_token(trace: Trace, value: int) -> dict[str, Any]:
    count = trace.grid[0] * trace.grid[1]
    return {"maximum": count, "value": value if 0 <= value <= count else 0}


def token_cell(trace: Trace, token: int) -> tuple[int, int] | None:
    """(row, column) of token number `token`, counted from 1; None for 0."""
    return divmod(token - 1, trace.grid[1]) if token else None


def listen_to_photo(image: gr.Image, slider: gr.Slider, shown: gr.State, side: int) -> Callable[..., Any]:
    """Let a click on the photo set the token slider; gives the event after which to redraw."""

    def choose(shown: Shown | None, event: gr.SelectData) -> Any:
        return gr.skip() if shown is None else pick_token(shown.trace, event.index, side) + 1

    return image.select(choose, [shown], [slider], **DRAW).then
