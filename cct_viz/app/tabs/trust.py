"""Faithfulness of a map, measured on demand for the current picture by running the model some hundred times."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...architecture.presets import PRESETS
from ...checkpoints import CheckpointError
from ...evaluation.faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, Faithfulness, judge, measure
from ...images.encode import data_url
from ...inference.trace import Trace
from ...methods import METHODS, NotApplicable, describe, explain, method_title, takes
from ...reports.figures import colourise
from ..models import Models
from ..plot import draw_plot
from ..view import Shown, View
from ..words import MINUS, NOT_SHOWN, TIMES, caption, section, signed

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

MAPS = tuple(m for m in RANKINGS if not takes(m, "classifier") or m in ("drop_token", "hide_pixels"))
WAYS = {
    "token_drop": "masked in the encoder",
    "black": "pixels painted black",
    "mean": "pixels in their mean colour",
    "blur": "pixels blurred",
}
ABLATIONS = {  # how the ways to remove a token differ
    "ablate_in_pool": "the other tokens have already attended to it",
    "drop_token": "the other tokens cannot attend to it",
    "hide_pixels": "its neighbours lose pixels too, because windows overlap",
}
OTHERS = ("contribution", "hires_cam", "grad_cam", "seqpool", "rollout")
ON_THIS_PAGE = ("seqpool", "evidence", "contribution", "attention", "rollout", "grad_cam", "hires_cam", *ABLATIONS)
SHORT = {"queries and keys": "Q, K", "values and output": "V, O", "norm before attention": "norm"}
PROMPT = caption(
    "Remove the tokens that a map ranks highest. If the model needs them, the probability of its answer falls faster "
    "than with tokens removed in random order."
)


def build(shown: gr.State, models: Models) -> View:
    gr.HTML(PROMPT, js_on_load=None)
    with gr.Row():
        method = gr.Dropdown([(method_title(m), m) for m in MAPS], value="contribution", label="Map", min_width=160)
        way = gr.Dropdown([(text, name) for name, text in WAYS.items()], value=PROTOCOLS[0], label="Removed means")
        run = gr.Button("Measure", variant="primary", min_width=120)
    result = gr.HTML(js_on_load=None, elem_id="trust")

    def answer(
        shown: Shown | None,
        method: str,
        way: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio reads the default
    ) -> str:
        if shown is None:
            return caption(NOT_SHOWN)
        try:
            classifier = models.get(shown.card.name)
            progress(0.1, "Deletion, insertion and 20 random orders")
            curves = measure_map(classifier, shown.trace, method, way)
            progress(0.7, "Three ways to remove a token")
            measured = caption(f'Measured on the picture "{shown.name}" with {shown.card.name}, for its own answer.')
            tools = compare_tools(shown.trace)
            return measured + curves + compare_ablations(classifier, shown.trace) + tools + randomisation(shown)
        except NotApplicable as error:
            return caption(f"{error}. Choose another map.")
        except CheckpointError as error:
            return caption(str(error))

    measuring = run.click(
        answer,
        [shown, method, way],
        [result],
        concurrency_id="trust",
        concurrency_limit=1,
        trigger_mode="once",
        api_visibility="private",
    )
    return View([result], lambda shown: [""], (measuring,))


def measure_map(classifier: Classifier, trace: Trace, method: str, way: str) -> str:
    """Deletion and insertion of one map against random orders, as a sentence and two plots.

    Raises:
        NotApplicable: the map does not apply to this model.
    """
    heatmaps = explain(trace, method, classifier=classifier if takes(method, "classifier") else None)
    measured = measure(classifier, trace, heatmaps.maps[-1], protocol=way)
    label = trace.labels[trace.class_index()]
    centred = "against the mean class" in " ".join((METHODS[method].__doc__ or "").split())
    against = ", against the mean class" if centred and trace.exclusive else ""
    share = "all" if measured.percentile == 1 else f"{100 * measured.percentile:.0f} % of"
    sentence = (
        f"The map is {heatmaps.names[-1]}{against}. Insertion {MINUS} deletion = {signed(measured.curves.srg[0], 3)} "
        f"(chance: 0). Better than {share} {PERMUTATIONS} random orders. {judge(measured.percentile)}"
    )
    deletion = draw_curve(measured, "deletion", f"Deletion: {label} as its first tokens are removed")
    insertion = draw_curve(measured, "insertion", f"Insertion: {label} with only its first tokens")
    grey = caption("Grey: 90 % of the random orders.", describe(method))
    lead, plots = f'<p class="lead">{escape(sentence)}</p>', f'<div class="plots">{deletion}{insertion}</div>'
    return section("Deletion and insertion", lead, plots, grey)


def draw_curve(measured: Faithfulness, which: str, title: str) -> str:
    """One curve with the band of random orders: probability over the fraction of tokens."""
    counts, line = measured.curves.counts, getattr(measured.curves, which)[0]
    x = counts / counts[-1]
    return draw_plot(
        [("thick", (x, line))],
        ticks=("0 %", "50 %", "100 %"),
        ends=("0", f"{counts[-1]} {'removed' if which == 'deletion' else 'put back'}"),
        label=f"{title}: from {line[0]:.0%} to {line[-1]:.0%}",
        words=escape(title),
        band=(x, *measured.band(which)),
    )


def compare_ablations(classifier: Classifier, trace: Trace) -> str:
    """How much the score falls without each token, for three ways to remove it, on one scale."""
    maps: dict[str, np.ndarray] = {}
    missing = []
    for method in ABLATIONS:
        try:
            runner = classifier if takes(method, "classifier") else None
            maps[method] = explain(trace, method, classifier=runner).maps[-1]
        except NotApplicable as error:
            missing.append(str(error))
    label = trace.labels[trace.class_index()]
    against = " against the mean class" if trace.exclusive else ""
    text = f"How far the score of {label} falls without each token, in logits{against}. One scale for all."
    limit = max((float(np.abs(values).max()) for values in maps.values()), default=0.0)
    pictures = [_picture(method_title(m), v, ABLATIONS[m], signed_map=True, limit=limit) for m, v in maps.items()]
    notes = caption(" ".join(f"{reason[0].upper()}{reason[1:]}." for reason in missing)) if missing else ""
    return section("Three ways to remove a token", caption(text), _pictures(pictures), notes)


def compare_tools(trace: Trace) -> str:
    """The exact contributions next to maps of other tools, with the difference between each map's sum and the score."""
    target = trace.class_index()
    pictures = []
    for method in OTHERS:
        try:
            heatmaps = explain(trace, method)
        except NotApplicable:
            continue
        values = heatmaps.maps[-1]
        if method == "hires_cam":
            miss = float(values.sum() - (trace.logits[target] - trace.bias[target]))
            note = f"its sum differs from the score by {signed(miss)} logits"
        elif heatmaps.signed:
            over = " over the mean class" if trace.exclusive else ""
            note = f"exact: sums to the score{over}, error {max(heatmaps.checks.values()):.0e}"
        else:
            note = "a share: " + ("evidence against is cut off" if method == "grad_cam" else "no sign and no class")
        limit = float(np.abs(values).max())
        pictures.append(_picture(method_title(method), values, note, signed_map=heatmaps.signed, limit=limit))
    text = caption("The maps of other tools. Each map has its own scale, given below it.")
    return section("The same question, other tools", text, _pictures(pictures))


def _pictures(figures: Sequence[str]) -> str:
    return f'<div class="small-maps">{"".join(figures)}</div>' if figures else ""


def _picture(title: str, values: np.ndarray, words: str, *, signed_map: bool, limit: float) -> str:
    """A small map with a caption; signed maps are in logits, the others are shares."""
    full = (
        f"{signed(limit)} logits" if signed_map else f"{100 * limit:.1f} % ({limit * values.size:.1f}{TIMES} uniform)"
    )
    alt = f"{title}: a map of {values.shape[0]} by {values.shape[1]} tokens, up to {full}"
    return (
        f'<figure><img alt="{escape(alt)}" src="{data_url(colourise(values, signed=signed_map, limit=limit))}">'
        f"<figcaption><b>{escape(title)}</b> {escape(words)}; full colour is {escape(full)}</figcaption></figure>"
    )


def randomisation(shown: Shown) -> str:
    """Which weights each map depends on, if the weights' folder has this table."""
    preset = PRESETS.get(shown.card.name)
    path = (preset.folder / "randomisation.json") if preset and preset.folder else Path()
    if not path.is_file():
        return ""
    table: dict[str, dict[str, bool | None]] = json.loads(path.read_text())
    rows = [m for m in next(iter(table.values())) if m.split(",")[0] in METHODS]
    names = {m: method_title(m) if m in METHODS else m for m in rows}
    text = caption(
        "Randomisation test: we randomised one part of the network at a time and compared every map. A map that does "
        "not change does not depend on that part: rollout ignores the classifier, for example. Q, K: queries and keys; "
        "V, O: values and output, with the number of the layer; norm: the norm before attention."
    )
    rest = _randomisation_table(table, {m: name for m, name in names.items() if m not in ON_THIS_PAGE})
    return section(
        "What each map depends on",
        text,
        _randomisation_table(table, {m: names[m] for m in ON_THIS_PAGE if m in names}),
        f"<details><summary>All other methods</summary>{rest}</details>",
    )


def _randomisation_table(table: Mapping[str, Mapping[str, bool | None]], names: Mapping[str, str]) -> str:
    """One row per map; only the parts that the map does not depend on are highlighted."""
    words = {True: '<td class="quiet">yes</td>', False: "<td><b>no</b></td>", None: '<td class="quiet">n/a</td>'}

    def shorten(part: str) -> str:
        for long, short in SHORT.items():
            part = part.replace(long, short)
        return part

    head = "".join(f'<th scope="col" title="{escape(part)}">{escape(shorten(part))}</th>' for part in table)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(words[row[m]] for row in table.values()) + "</tr>"
        for m, name in names.items()
    )
    html = f'<table><thead><tr><th scope="col">map</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="Randomisation table">{html}</div>'
