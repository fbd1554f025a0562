"""The explorer's tab: one HTML component that is given a payload and draws the rest itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from ...serving import Models
from ..links import write_link
from ..view import Shown, View
from ..words import EMPTY, facts
from . import script
from .payload import About, make_payload

if TYPE_CHECKING:
    from ...classifier import Classifier

# The host is kept across pictures, for in it lives what the visitor has chosen.
_ON_LOAD = """
const host = document.createElement('div');
const empty = document.createElement('p');
empty.className = 'empty';
empty.textContent = element.querySelector('.explorer-empty').textContent;
globalThis.loadExplorer = loadExplorer; // for the other tabs
const show = async () => {
  if (!props.value) { element.replaceChildren(empty); return; }
  const {mount, style} = await loadExplorer();
  mount(host, props.value, style);
  if (!element.contains(host)) element.replaceChildren(host);
};
watch('value', show);
show();
"""


def build(shown: gr.State, models: Models) -> View:
    """The explorer follows whatever picture is shown; nothing that is done in it asks the server."""
    page = gr.HTML(
        html_template=f'<div class="explorer-empty">{EMPTY}</div>',
        js_on_load=script() + _ON_LOAD,
        apply_default_css=False,
        elem_id="explorer",
    )

    def draw(shown: Shown | None) -> list[Any]:
        return ["" if shown is None else explorer_payload(shown, models.get(shown.card.name))]

    return View([page], draw)


def explorer_payload(shown: Shown, classifier: Classifier) -> str:
    """What the explorer draws from, for a picture as the page shows it."""
    about = About(shown.card.name, tuple(facts(shown.card)), shown.name, classifier.position_prior, write_link(shown))
    return make_payload(shown.trace, about)
