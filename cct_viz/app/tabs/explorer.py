"""The explorer's tab: one HTML component that draws a payload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from ...web.modules import module_sources, script
from ...web.pack import pack_model
from ...web.payload import About, make_payload
from ..links import write_link
from ..models import Models
from ..view import Shown, View
from ..words import EMPTY, facts

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

MOST_FETCHED = 4_000_000  # parameters: a file of 21 MB

# The host element is kept across pictures, because it holds the visitor's selections.
_ON_LOAD = """
const host = document.createElement('div');
const empty = document.createElement('p');
empty.className = 'empty';
empty.textContent = element.querySelector('.explorer-empty').textContent;
globalThis.loadExplorer = loadExplorer; // for the other tabs
const show = async () => {
  if (!props.value) { element.replaceChildren(empty); return; }
  const {mount, createFetched, style} = await loadExplorer();
  const payload = JSON.parse(props.value);
  mount(host, payload, style, {inside: createFetched(payload.about.modelFile, payload.pixels)});
  if (!element.contains(host)) element.replaceChildren(host);
};
watch('value', show);
show();
"""


def build(shown: gr.State, models: Models) -> View:
    """The explorer of the current picture. It makes no request to the server, except for the model's file when the
    visitor removes tokens or paints over the picture."""
    page = gr.HTML(
        html_template=f'<div class="explorer-empty">{EMPTY}</div>',
        js_on_load=script() + _ON_LOAD,
        apply_default_css=False,
        elem_id="explorer",
    )

    files: dict[str, str] = {}

    def find_model_file(classifier: Classifier) -> str | None:
        """The address of the model's file. It is written once per model and kept while the app runs."""
        if classifier.num_parameters > MOST_FETCHED:
            return None
        name = classifier.source.sha256
        if name not in files:
            path = save_bytes_to_cache(_model_file(classifier), f"{name[:16]}.json", page.GRADIO_CACHE)
            page.keep_in_cache.add(path)
            files[name] = f"gradio_api/file={path}"
        return files[name]

    def draw(shown: Shown | None) -> list[Any]:
        if shown is None:
            return [""]
        classifier = models.get(shown.card.name)
        return [explorer_payload(shown, classifier, find_model_file(classifier))]

    return View([page], draw)


def explorer_payload(shown: Shown, classifier: Classifier, model_file: str | None = None) -> str:
    """The explorer's payload for what is shown."""
    prior, link = classifier.position_prior, write_link(shown)
    return make_payload(
        shown.trace, About(shown.card.name, tuple(facts(shown.card)), shown.name, prior, link, model_file)
    )


def _model_file(classifier: Classifier) -> bytes:
    """The model with float32 weights, and the modules that run it."""
    parts = {"sources": module_sources("inside.js"), "model": pack_model(classifier, dtype="float32")}
    return json.dumps(parts, separators=(",", ":")).encode()
