"""Leave with files: a page that needs no network, an archive whose numbers can be checked, and a picture."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from ..bundle import write_bundle
from ..checkpoints import CheckpointError
from ..explain import METHODS, NotApplicable, describe, explain, takes
from ..plots import figure
from ..serving import Models
from .explorer.export import page_html
from .explorer.tab import explorer_payload
from .view import Shown, View
from .words import caption, facts

if TYPE_CHECKING:
    from ..classifier import Classifier

MAPS = tuple(method for method in METHODS if not takes(method, "classifier"))
INTRO = caption(
    "The page opens from disk with no network, and everything in it can be touched as here. The archive holds every "
    "number of this explanation with a list of what they were made with; `cct_viz.bundle.read_bundle` adds them up to "
    "the scores again."
)


def build(shown: gr.State, models: Models) -> View:
    gr.HTML(INTRO, js_on_load=None)
    make = gr.Button("Make the files", variant="primary")
    problem = gr.HTML(js_on_load=None)
    files = gr.Files(label="Files", interactive=False, visible=False)

    def answer(shown: Shown | None) -> tuple[str, Any]:
        if shown is None:
            return caption("Upload a picture or choose an example first."), gr.update(visible=False)
        try:
            classifier = models.get(shown.card.name)
        except CheckpointError as error:
            return caption(str(error)), gr.update(visible=False)
        folder = files.GRADIO_CACHE  # Gradio removes what lies there in time
        paths = [save_bytes_to_cache(data, name, folder) for name, data in make_files(classifier, shown).items()]
        return "", gr.update(value=paths, visible=True)

    make.click(
        answer,
        [shown],
        [problem, files],
        concurrency_id="trust",
        concurrency_limit=1,
        trigger_mode="once",
        api_visibility="private",
    )
    return View([problem, files], lambda shown: ["", gr.update(value=None, visible=False)])


def make_files(classifier: Classifier, shown: Shown) -> dict[str, bytes]:
    """Name -> bytes: the page, the evidence bundle as .zip, and one figure as PNG and as SVG."""
    name = re.sub(r"[^\w-]+", "_", shown.name)[:60] or "picture"
    title = f"{shown.trace.labels[shown.trace.class_index()]}: {shown.name}"
    words = ", ".join([shown.card.name, *facts(shown.card)])
    page = page_html({shown.name: explorer_payload(shown, classifier)}, title=title, facts=words)
    made = {f"{name}.html": page.encode(), f"{name}_evidence.zip": _archive(classifier, shown)}
    try:
        heatmaps = explain(shown.trace, "contribution")
    except NotApplicable:
        heatmaps = explain(shown.trace, "rollout")
    drawn = figure(shown.trace, heatmaps, caption=describe(heatmaps.method))
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=kind)
        made[f"{name}_{heatmaps.method}.{kind}"] = buffer.getvalue()
    return made


def _archive(classifier: Classifier, shown: Shown) -> bytes:
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write_bundle(classifier, shown.trace, folder, methods=MAPS)
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()
