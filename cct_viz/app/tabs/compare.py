"""Two linked explorers: one picture with two models, or two pictures with one model."""

from __future__ import annotations

import json
from dataclasses import replace

import gradio as gr

from ...checkpoints import CheckpointError
from ...images.preprocessing import ImageError
from ...web.examples import EXAMPLES
from ..models import Models
from ..view import Shown, View
from ..words import NOT_SHOWN, caption, choices
from .explorer import explorer_payload

SAME = "the same picture"
INTRO = caption("Left: the current picture. Choose another model or picture for the right side. Selections are linked.")
IDENTICAL = "Both sides show the same picture and model: choose another model or picture."
# The explorer's tab has loaded the modules; this one only mounts two explorers side by side.
_ON_LOAD = """
let sides = [];
const show = async () => {
  for (const {explorer} of sides) explorer.lifetime.abort();
  sides = [];
  if (!props.value) { element.replaceChildren(); return; }
  const {mount, linkExplorers, style} = await globalThis.loadExplorer();
  sides = JSON.parse(props.value).map(([title, payload]) => {
    const side = document.createElement('section'), head = document.createElement('h3');
    const host = document.createElement('div');
    head.textContent = title;
    side.append(head, host);
    return {side, explorer: mount(host, payload, style, {alone: false})};
  });
  const row = document.createElement('div');
  row.className = 'pair';
  row.append(...sides.map(({side}) => side));
  element.replaceChildren(row);
  linkExplorers(sides.map(({explorer}) => explorer));
};
watch('value', show);
show();
"""


def build(shown: gr.State, models: Models) -> View:
    gr.HTML(INTRO, js_on_load=None)
    names = models.names()
    with gr.Row():
        model = gr.Dropdown(
            choices(models),
            value=names[min(1, len(names) - 1)] if names else None,
            label="Model on the right",
            min_width=180,
        )
        picture = gr.Dropdown(
            [SAME, *(path.stem for path in EXAMPLES)],
            value=SAME if len(names) > 1 else EXAMPLES[0].stem,
            label="Picture on the right",
            min_width=180,
        )
        run = gr.Button("Compare", variant="primary", min_width=120)
    problem = gr.HTML(js_on_load=None)
    pair = gr.HTML(html_template="<div></div>", js_on_load=_ON_LOAD, apply_default_css=False, elem_id="pair")

    def answer(shown: Shown | None, model: str | None, picture: str) -> tuple[str, str]:
        if shown is None or model is None:
            return caption(NOT_SHOWN), ""
        identical = model == shown.card.name and picture in (SAME, shown.name)
        try:
            return caption(IDENTICAL) if identical else "", compare(models, shown, model, picture)
        except (CheckpointError, ImageError) as error:  # the picture's file may be deleted by now
            return caption(str(error)), ""

    comparing = run.click(
        answer,
        [shown, model, picture],
        [problem, pair],
        concurrency_id="model",
        trigger_mode="once",
        api_visibility="private",
    )
    return View([model, problem, pair], lambda shown: [gr.update(choices=choices(models)), "", ""], (comparing,))


def compare(models: Models, shown: Shown, model: str, picture: str = SAME) -> str:
    """Two (title, payload) pairs as JSON: what is shown, and `picture` (an example's name, or SAME) with `model`.

    Raises:
        CheckpointError: no model has this name.
        ImageError: the picture's file cannot be read.
    """
    paths = {path.stem: path for path in EXAMPLES}
    other = shown
    if picture in paths:
        other = replace(shown, path=str(paths[picture]), name=picture, example=picture)
    other = replace(other, card=models.card(model), trace=models.trace(model, other.path))
    sides = [
        (f"{side.name}, {side.card.name}", json.loads(explorer_payload(side, models.get(side.card.name))))
        for side in (shown, other)
    ]
    return json.dumps(sides, separators=(",", ":"))
