"""Files to download: a page that needs no network, an archive with all numbers, and a figure."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from ...checkpoints import CheckpointError
from ...methods import METHODS, NotApplicable, explain, takes
from ...reports.bundle import write_bundle
from ...reports.figures import figure
from ...web.html import page_html
from ...web.pack import pack_model
from ...web.payload import About, make_payload
from ..models import Models
from ..view import Shown, View
from ..words import NOT_SHOWN, caption, facts

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

MAPS = tuple(method for method in METHODS if not takes(method, "classifier"))
MOST_INSIDE = 10_000_000  # parameters: a page of 27 MB
TOO_LARGE = (
    "This model is too large for a page made here. Make the page with python -m cct_viz explain IMG --page --out DIR."
)
INTRO = caption(
    "The page opens from disk without a network: stations, lesson and pooling laboratory. With the model inside, you "
    "can also remove tokens and paint over pixels. The archive holds every number of this explanation and a manifest; "
    "cct_viz.read_bundle checks that the contributions sum to the scores. The figure is the map of contributions to "
    "the model's answer."
)


def build(shown: gr.State, models: Models) -> View:
    gr.HTML(INTRO, js_on_load=None)
    inside = gr.Checkbox(label="Put the model inside the page, so that it explains any photo without a network")
    make = gr.Button("Make the files", variant="primary")
    problem = gr.HTML(js_on_load=None)
    files = gr.Files(label="Files", interactive=False, visible=False)

    def answer(shown: Shown | None, inside: bool) -> tuple[str, Any]:
        if shown is None:
            return caption(NOT_SHOWN), gr.update(visible=False)
        if inside and shown.card.parameters > MOST_INSIDE:
            return caption(TOO_LARGE), gr.update(visible=False)
        try:
            contents = make_files(models.get(shown.card.name), shown, inside=inside)
        except CheckpointError as error:
            return caption(str(error)), gr.update(visible=False)
        folder = files.GRADIO_CACHE  # Gradio's clean-up removes old files there
        paths = [save_bytes_to_cache(data, name, folder) for name, data in contents.items()]
        return "", gr.update(value=paths, visible=True)

    making = make.click(
        answer,
        [shown, inside],
        [problem, files],
        concurrency_id="trust",
        concurrency_limit=1,
        trigger_mode="once",
        api_visibility="private",
    )
    return View([problem, files], lambda shown: ["", gr.update(value=None, visible=False)], (making,))


def make_files(classifier: Classifier, shown: Shown, *, inside: bool = False) -> dict[str, bytes]:
    """Name -> bytes: the page, the evidence bundle as .zip, and one figure as PNG and as SVG.

    With `inside` the page contains the model and explains any photo.

    Raises:
        CheckpointError: with `inside`, a weight is too large for float16.
    """
    name = re.sub(r"[^\w-]+", "_", shown.name)[:60] or "picture"
    title = f"{shown.trace.labels[shown.trace.class_index()]}: {shown.name}"
    about_weights = tuple(facts(shown.card))
    packed = [pack_model(classifier, about_weights)] if inside else []
    about = About(shown.card.name, about_weights, shown.name, classifier.position_prior)
    payloads = {shown.name: make_payload(shown.trace, about)}
    page = page_html(payloads, title=title, facts=", ".join([shown.card.name, *about_weights]), models=packed)
    files = {f"{name}.html": page.encode(), f"{name}_evidence.zip": _archive(classifier, shown)}
    try:
        heatmaps = explain(shown.trace, "contribution")
    except NotApplicable:
        heatmaps = explain(shown.trace, "rollout")
    picture = figure(shown.trace, heatmaps)
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        picture.savefig(buffer, format=kind)
        files[f"{name}_{heatmaps.method}.{kind}"] = buffer.getvalue()
    return files


def _archive(classifier: Classifier, shown: Shown) -> bytes:
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write_bundle(classifier, shown.trace, folder, methods=MAPS)
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()
