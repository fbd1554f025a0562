"""The page: the parts that are always visible, the tabs, and the event that runs the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ..checkpoints import CheckpointError
from ..images.preprocessing import ImageError
from ..server.settings import KEEP_SECONDS, MAX_UPLOAD_MB
from ..web.examples import EXAMPLES, name_example, read_examples
from .api import add_endpoints
from .links import read_link
from .models import Models
from .tabs import VIEWS
from .upload import Upload
from .view import DRAW, Shown, View
from .words import chip, choices, class_note, example_buttons, hub_text, notice, prediction, seen_figure

FIRST = next(path for path in EXAMPLES if path.stem == "deer")
TOP = 5
HIDE = {"__type__": "update", "visible": False}
CHOOSE = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('select', {index: Number(button.dataset.index)});
});"""

Changes = dict[Any, Any]  # component -> value or update; Gradio leaves all other components unchanged


@dataclass(frozen=True)
class Parts:
    """The components that depend on the picture: state, picture box, notice, and everything drawn from the trace."""

    shown: gr.State
    image: Upload
    problem: gr.HTML
    weights: gr.HTML
    answer: gr.HTML
    seen: gr.HTML
    views: list[View]

    @property
    def outputs(self) -> list[Any]:
        """All components, for an event's outputs."""
        rest = [output for view in self.views for output in view.outputs]
        return [self.shown, self.image, self.problem, self.weights, self.answer, self.seen, *rest]


def build_page(models: Models) -> gr.Blocks:
    """The whole app as Gradio blocks, not yet launched. It opens with an example that is already explained."""
    with gr.Blocks(title="CCT Explorer", analytics_enabled=False, delete_cache=(600, KEEP_SECONDS)) as page:
        names = models.names()
        first = _first_shown(models)
        with gr.Row(elem_classes="top"):
            with gr.Column(scale=5, min_width=260, elem_classes="name"):
                gr.HTML('<h1>CCT Explorer</h1><p class="sub">How a Compact Convolutional Transformer classifies</p>')
                weights = gr.HTML(_chip(models, names[0] if names else None), js_on_load=None)
            with gr.Column(scale=3, min_width=320):
                picker = gr.Dropdown(choices(models), value=names[0] if names else None, label="Model", elem_id="model")
        with gr.Row(elem_classes="hub-row"):
            hub = gr.HTML(hub_text(models.hub_line()), js_on_load=None, min_width=240)
            retry = gr.Button("Retry", size="sm", visible=models.hub_line().can_retry, scale=0, min_width=80)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270, elem_classes="rail"):
                image = Upload(
                    label="Your picture",
                    format="png",
                    value=str(FIRST) if first else None,
                    sources=["upload", "webcam", "clipboard"],
                    height=260,
                    elem_id="upload",
                    buttons=[],
                )
                if first is not None:  # Gradio's copy, which visitors can fetch
                    first = replace(first, path=image.value["path"])
                # Empty at first: an expired state falls back to its initial value, and no tab must answer for that.
                shown = gr.State(None, time_to_live=KEEP_SECONDS)
                problem = gr.HTML(js_on_load=None, visible=False)
                examples = gr.HTML(
                    example_buttons(read_examples()),
                    js_on_load=CHOOSE,
                    elem_id="examples",
                )
                answer = gr.HTML(_answer(first), js_on_load=None, elem_id="prediction")
                seen = gr.HTML(_below(first), js_on_load=None, elem_id="below")
            with gr.Column(scale=10, min_width=300), gr.Tabs():
                views = []
                for title, build in VIEWS.items():
                    with gr.Tab(title):
                        views.append(build(shown, models))
        gr.HTML(
            f'<p class="caption">Pictures (PNG, JPEG, WebP, AVIF, GIF or BMP, up to {MAX_UPLOAD_MB} MB) stay in this '
            f"app and are deleted after {KEEP_SECONDS // 60} minutes. The maps show what the model computed, not "
            "why.</p>",
            js_on_load=None,
            elem_classes="foot",
        )
        parts = Parts(shown, image, problem, weights, answer, seen, views)
        for view in views:  # the page opens with a complete result
            for output, value in view.fill(first).items():
                if not isinstance(value, dict):  # a dict is an update, which the initial page does not need
                    output.value = output.postprocess(value)

        def show(path: str | None, model: str | None, before: Shown | None) -> Changes:
            return _show(models, parts, path, model, before)

        def show_first(path: str | None, model: str | None, before: Shown | None) -> Changes:
            if first is not None and before is None and (path, model) == (first.path, first.card.name):
                return {shown: first}  # the page opened with it
            return show(path, model, before)

        for trigger in (image.change, picker.input):
            trigger(
                show,
                [image, picker, shown],
                parts.outputs,
                concurrency_id="model",
                concurrency_limit=2,
                show_progress="minimal",
                show_progress_on=[answer],
                trigger_mode="always_last",
                cancels=[run for view in views for run in view.runs],
                api_visibility="private",
            )
        image.clear(lambda model: _clear(models, parts, model), [picker], parts.outputs, **DRAW)
        examples.select(_read_example, None, [image], **DRAW)

        def open_link(request: gr.Request) -> tuple[Any, Any]:
            picture, model = read_link(dict(request.query_params), models.names())
            return gr.skip() if picture is None else picture, gr.skip() if model is None else model

        linked = page.load(open_link, None, [image, picker], **DRAW)
        linked.then(show_first, [image, picker, shown], parts.outputs, concurrency_id="model", api_visibility="private")
        _watch_hub(page, models, hub, retry, picker, weights)
        add_endpoints(models)
    return page


def _read_example(event: gr.EventData) -> Any:
    index = event._data.get("index")
    pictures = list(read_examples().values())
    return pictures[index] if isinstance(index, int) and 0 <= index < len(pictures) else gr.skip()


def _first_shown(models: Models) -> Shown | None:
    names = models.names()
    return _look(models, names[0], str(FIRST)) if names else None


def _look(models: Models, model: str, path: str) -> Shown:
    trace = models.trace(model, path)
    example = name_example(trace.image)
    return Shown(path, example or Path(path).stem, models.card(model), trace, example)


def _show(models: Models, parts: Parts, path: str | None, model: str | None, before: Shown | None) -> Changes:
    """What changes on the page: a new trace in all views, or a notice while the previous picture stays."""
    if path is None:  # cleared by the visitor, which `_clear` handles, or by Gradio before an SVG
        return gr.skip() if before else {parts.weights: _chip(models, model)}
    if before is not None and (before.path, before.card.name) == (path, model):
        # Restored after a bad upload: keep the notice. Uploaded again by the visitor: hide the notice.
        again: Changes = {parts.shown: replace(before, put_back=False)}
        return again if before.put_back else again | {parts.problem: HIDE}
    try:
        if model is None:
            raise CheckpointError(models.problem or "Choose a model first.")
        shown = _look(models, model, path)
    except (ImageError, CheckpointError) as error:
        refusal = {parts.problem: gr.update(value=notice(str(error)), visible=True)}
        if before is None:
            return refusal | {parts.image: gr.update(value=None)}
        if not Path(before.path).is_file():  # the previous picture cannot be restored
            return refusal | {parts.image: gr.update(value=None)} | _fill(models, parts, model, None)
        if before.path == path:
            return refusal
        return refusal | {parts.shown: replace(before, put_back=True), parts.image: gr.update(value=before.path)}
    return {parts.problem: HIDE} | _fill(models, parts, model, shown)


def _clear(models: Models, parts: Parts, model: str | None) -> Changes:
    return {parts.problem: HIDE} | _fill(models, parts, model, None)


def _fill(models: Models, parts: Parts, model: str | None, shown: Shown | None) -> Changes:
    """Update everything that depends on the picture, except the box and the notice."""
    changes: Changes = {
        parts.shown: shown,
        parts.weights: _chip(models, model),
        parts.answer: _answer(shown),
        parts.seen: _below(shown),
    }
    for view in parts.views:
        changes |= view.fill(shown)
    return changes


def _chip(models: Models, name: str | None) -> str:
    return chip(models.card(name)) if name in models.names() else chip(None, models.problem or "No model chosen.")


def _below(shown: Shown | None) -> str:
    return "" if shown is None else class_note(shown.trace) + seen_figure(shown.trace)


def _answer(shown: Shown | None) -> str:
    return "" if shown is None else prediction(shown.trace, TOP, shown.example, shown.card.assumptions)


def _watch_hub(
    page: gr.Blocks, models: Models, hub: gr.HTML, retry: gr.Button, picker: gr.Dropdown, weights: gr.HTML
) -> None:
    """Update the line about the Hub and the picker while a download runs."""
    timer = gr.Timer(2, active=models.hub_line().busy)

    def refresh(model: str | None) -> Changes:
        line, names = models.hub_line(), models.names()
        menu: dict[str, Any] = {"choices": choices(models)}
        changes: Changes = {}
        if model not in names:  # else leave it: the visitor may have chosen another one since this was asked
            menu["value"] = names[0] if names else None
            changes[weights] = _chip(models, menu["value"])
        return changes | {
            hub: hub_text(line),
            retry: gr.update(visible=line.can_retry),
            picker: gr.update(**menu),
            timer: gr.update(active=line.busy),
        }

    def again(model: str | None) -> Changes:
        models.retry()
        return refresh(model)

    outputs = [hub, retry, picker, weights, timer]
    page.load(refresh, [picker], outputs, **DRAW)
    timer.tick(refresh, [picker], outputs, **DRAW)
    retry.click(again, [picker], outputs, **DRAW)
