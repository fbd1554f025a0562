"""The API endpoints /classify and /explain, for gradio_client."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from ..checkpoints import CheckpointError
from ..evaluation.headline import DEFAULT, headline_method
from ..images.preprocessing import ImageError
from ..inference.bands import Band, find_band, read_bands
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from ..methods import METHODS, describe, takes
from ..methods import explain as make_maps
from .models import Models
from .summary import summarise
from .upload import Upload

# One thread, because Matplotlib opens and keeps its fonts per thread, and Gradio uses many short-lived threads.
_DRAWING = ThreadPoolExecutor(1, "drawing")


def add_endpoints(models: Models) -> None:
    """Add both endpoints to the page under construction, with invisible components."""
    with gr.Row(visible=False):
        image = Upload(label="image")
        method = gr.Textbox("", label="method", max_length=100)
        target = gr.Textbox("", label="target", max_length=200)
        classes = gr.JSON(label="classes")
        files = gr.File(label="PNG"), gr.File(label="JSON")
        run = gr.Button()

    def classify(image: str | None) -> dict[str, Any]:
        """The class probabilities of an image, from the app's default model.

        "label" is the most probable class, "confidences" lists every class. With "output" "softmax" the classes compete
        and the confidences sum to 1; with "sigmoid" each class has its own. "band" says what the first probability is
        worth: of 100 answers given with this much certainty, "of_100" were right on the validation images; null if
        that was not measured. It holds for pictures like those: the model cannot answer "none of these".
        "usual" is a gauge and no verdict: of 100 validation images, the picture is farther from their mean than
        "farther_than"; "auroc" says how well that tells pictures of other things apart (0.5 is chance).
        "assumptions" says what the file of the weights left open.
        """
        trace = _trace(models, image)
        best, band = trace.top(len(trace.labels)), _band(trace)
        return {
            "label": best[0][0],
            "confidences": [{"label": label, "confidence": probability} for label, probability in best],
            "band": band.record() if band else None,
            "usual": _usual(trace),
            "output": trace.output,
            "assumptions": list(_assumptions(models)),
            "note": trace.note,
        }

    def explain(image: str | None, method: str | None = "", target: str | None = "") -> tuple[str, str]:
        """A PNG with the maps of one method over the image, and a JSON file with every number and the identity checks.

        "summary" in the JSON has the most important of it: the first classes and what their probability is worth, the
        errors of the identities, and the strongest tokens of each map with their places. The headline map is the most
        faithful in the model's own score table of the maps that need no further pass of the model, or rollout.

        Args:
            method: such as rollout, attention or contribution; empty for the headline map. The answer to a wrong
                name lists them.
            target: a class by name or number; empty for the predicted class.
        """
        method = (method or "").strip()
        if method in METHODS and takes(method, "classifier"):
            raise _refuse(f"{method} runs the model again; use it in Python or on the command line.")
        trace = _trace(models, image)
        method = method or (trace.classifier and headline_method(trace.classifier)) or DEFAULT
        chosen: int | str | None = (target or "").strip() or None
        if isinstance(chosen, str) and chosen not in trace.labels and chosen.isdecimal() and len(chosen) < 10:
            chosen = int(chosen)
        try:
            heatmaps = make_maps(trace, method, target=chosen)
            index = trace.class_index(chosen)
        except ValueError as error:
            raise _refuse(error) from error
        picture, maps = _DRAWING.submit(_draw, trace, heatmaps).result()
        numbers = {
            "model": models.names()[0],
            "summary": summarise(trace, heatmaps, trace.labels[index], _band(trace)),
            "target": trace.labels[index],
            "description": describe(heatmaps.method),
            "top": [{"label": label, "probability": probability} for label, probability in trace.top(5)],
            "labels": list(trace.labels),
            "logits": trace.logits.tolist(),
            "output": trace.output,
            "assumptions": list(_assumptions(models)),
            "grid": list(trace.grid),
            "receptive_field": trace.receptive_field.tolist(),
            **maps,
        }
        # In Gradio's cache folder, so that its clean-up removes them.
        folder = files[0].GRADIO_CACHE
        return (
            save_bytes_to_cache(picture, "explanation.png", folder),
            save_bytes_to_cache(json.dumps(numbers).encode(), "explanation.json", folder),
        )

    run.click(classify, [image], [classes], api_name="classify", concurrency_id="model", concurrency_limit=2)
    # A figure takes a hundred times as long as the model, so figures have a queue of their own.
    inputs = [image, method, target]
    run.click(explain, inputs, list(files), api_name="explain", concurrency_id="figure", concurrency_limit=1)


def _draw(trace: Trace, heatmaps: Heatmaps) -> tuple[bytes, dict[str, Any]]:
    """The figure as PNG, and the maps as JSON values."""
    from ..reports.bundle import heatmaps_to_json  # loads Matplotlib, for which the page need not wait
    from ..reports.figures import figure

    picture = io.BytesIO()
    quick = {"compress_level": 1}  # takes half the time and a third more bytes
    figure(trace, heatmaps).savefig(picture, format="png", pil_kwargs=quick)
    return picture.getvalue(), heatmaps_to_json(heatmaps)


def _band(trace: Trace) -> Band | None:
    return find_band(read_bands(trace.classifier.metrics), trace.top(1)[0][1]) if trace.classifier else None


def _usual(trace: Trace) -> dict[str, Any] | None:
    gauge = trace.classifier.gauge if trace.classifier else None
    return gauge.record(trace.pooled) if gauge else None


def _assumptions(models: Models) -> tuple[str, ...]:
    return models.get(models.names()[0]).config.assumptions


def _refuse(reason: object) -> gr.Error:
    """An error for the caller, which is not printed to the server's log."""
    return gr.Error(str(reason), print_exception=False)


def _trace(models: Models, image: str | None) -> Trace:
    if image is None:
        raise _refuse("There is no image; send one PNG, JPEG, WebP, AVIF, GIF or BMP file.")
    if models.problem:
        raise _refuse(models.problem)
    try:
        return models.trace(models.names()[0], image)
    except (ImageError, CheckpointError) as error:
        raise _refuse(error) from error
