"""Can I trust this map? Measured on demand for the picture that is shown, by running the model some hundred times."""

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
from ...evaluation.faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, Curves, Faithfulness, measure
from ...images.encode import data_url
from ...inference.trace import Trace
from ...methods import METHODS, NotApplicable, describe, explain, takes
from ...reports.figures import colourise
from ..models import Models
from ..view import Shown, View
from ..words import NOT_SHOWN, TIMES, caption, section, signed

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

MAPS = tuple(m for m in RANKINGS if not takes(m, "classifier") or m in ("drop_token", "hide_pixels"))
WAYS = {
    "token_drop": "left out of the encoder",
    "black": "pixels painted black",
    "mean": "pixels in their mean colour",
    "blur": "pixels blurred",
}
ABLATIONS = ("ablate_in_pool", "drop_token", "hide_pixels")
OTHERS = ("contribution", "hires_cam", "grad_cam", "seqpool", "rollout")
ON_THIS_PAGE = {
    "seqpool": "Weight",
    "evidence": "Evidence",
    "contribution": "Contribution",
    "attention": "Attention",
    "rollout": "Rollout",
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "drop_token": "Never a token",
    "hide_pixels": "Its pixels painted over",
}
SHORT = {"queries and keys": "Q, K", "values and output": "V, O", "norm before attention": "norm"}
SIZE = (360, 190)  # of a plot, in its own units
PROMPT = caption(
    "Take the tokens away that a map ranks first: if the model needs them, its answer should fall faster than with "
    "tokens taken at random."
)


def build(shown: gr.State, models: Models) -> View:
    gr.HTML(PROMPT, js_on_load=None)
    with gr.Row():
        method = gr.Dropdown(list(MAPS), value="contribution", label="Map", min_width=160)
        way = gr.Dropdown([(text, name) for name, text in WAYS.items()], value=PROTOCOLS[0], label="Taken away means")
        run = gr.Button("Measure", variant="primary", min_width=120)
    result = gr.HTML(js_on_load=None, elem_id="trust")

    def answer(
        shown: Shown | None,
        method: str,
        way: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio's way
    ) -> str:
        if shown is None:
            return caption(NOT_SHOWN)
        try:
            classifier = models.get(shown.card.name)
            progress(0.1, "Deletion, insertion and 20 random orders")
            curves = measure_map(classifier, shown.trace, method, way)
            progress(0.7, "Three meanings of without")
            measured = caption(f'Measured on the picture "{shown.name}" with {shown.card.name}, for its own answer.')
            tools = compare_tools(shown.trace)
            return measured + curves + compare_ablations(classifier, shown.trace) + tools + known(shown)
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
    """Both curves of one map with the band of random orders, in a sentence and two plots.

    Raises:
        NotApplicable: the map makes no sense for this model.
    """
    heatmaps = explain(trace, method, classifier=classifier if takes(method, "classifier") else None)
    found = measure(classifier, trace, heatmaps.maps[-1], protocol=way)
    label = trace.labels[trace.class_index()]
    centred = "against the mean class" in " ".join((METHODS[method].__doc__ or "").split())
    against = ", against the mean class" if centred else ""
    sentence = (
        f"The map is {heatmaps.names[-1]}{against}. "
        f"Insertion less deletion is {signed(found.curves.srg[0], 3)}; chance gives 0. "
        f"{100 * found.percentile:.0f} % of {PERMUTATIONS} random orders do worse. {judge(found.percentile)}"
    )
    deletion = draw_curve(found, "deletion", f"Deletion: {label} as its first tokens are taken away")
    insertion = draw_curve(found, "insertion", f"Insertion: {label} with only its first tokens there")
    grey = caption("Grey: where 90 % of the random orders run.", describe(method))
    lead, plots = f'<p class="lead">{escape(sentence)}</p>', f'<div class="plots">{deletion}{insertion}</div>'
    return section("Deletion and insertion", lead, plots, grey)


def judge(percentile: float) -> str:
    """What it means that a map does better than this share, 0 to 1, of random orders; removal.js says the same."""
    if percentile >= 0.95:
        return "It points at what this model needs here better than chance."
    if percentile <= 0.5:
        return "On this picture it is no better than tokens chosen at random: do not read much into it."
    return "On this picture it is not clearly better than tokens chosen at random."


def draw_curve(found: Faithfulness, which: str, title: str) -> str:
    """One curve over its random band, as an SVG: probability over the share of tokens."""
    width, height = SIZE
    curves: Curves = found.curves
    x = 40 + curves.counts / curves.counts[-1] * (width - 52)
    low, high = np.quantile(getattr(found.random, which), [0.05, 0.95], axis=0)
    line = getattr(curves, which)[0]

    def place(values: np.ndarray) -> np.ndarray:
        return 8 + (1 - values) * (height - 40)

    band = [*zip(x, place(high), strict=True), *reversed(list(zip(x, place(low), strict=True)))]
    ticks = "".join(
        f'<text x="34" y="{place(np.array(v)) + 4:.0f}" text-anchor="end">{100 * v:.0f} %</text>'
        f'<line x1="40" x2="{width - 12}" y1="{place(np.array(v)):.1f}" y2="{place(np.array(v)):.1f}"/>'
        for v in (0.0, 0.5, 1.0)
    )
    end = f"{curves.counts[-1]} {'taken away' if which == 'deletion' else 'put back'}"
    return (
        f'<figure class="plot"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}: from '
        f'{line[0]:.0%} to {line[-1]:.0%}">{ticks}<polygon points="{_points(band)}"/>'
        f'<polyline points="{_points(list(zip(x, place(line), strict=True)))}"/>'
        f'<text x="40" y="{height - 8}">0</text><text x="{width - 12}" y="{height - 8}" text-anchor="end">{end}</text>'
        f"</svg><figcaption>{escape(title)}</figcaption></figure>"
    )


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def compare_ablations(classifier: Classifier, trace: Trace) -> str:
    """What the score loses without a token, in three meanings, side by side on one scale."""
    words = {
        "ablate_in_pool": ("Left out of the pool", "the others have already seen it"),
        "drop_token": ("Never a token", "the others cannot see it"),
        "hide_pixels": ("Its pixels painted over", "its neighbours lose pixels too, for windows overlap"),
    }
    maps: dict[str, np.ndarray] = {}
    missing = []
    for method in ABLATIONS:
        try:
            given = classifier if takes(method, "classifier") else None
            maps[method] = explain(trace, method, classifier=given).maps[-1]
        except NotApplicable as error:
            missing.append(str(error))
    label = trace.labels[trace.class_index()]
    text = f"By how much the score of {label} falls, in logits against the mean class. One scale for all."
    limit = max((float(np.abs(values).max()) for values in maps.values()), default=0.0)
    pictures = _pictures(
        [_picture(words[m][0], values, words[m][1], signed_map=True, limit=limit) for m, values in maps.items()]
    )
    notes = caption(" ".join(f"{reason[0].upper()}{reason[1:]}." for reason in missing)) if missing else ""
    return section("Three meanings of without", caption(text), pictures, notes)


def compare_tools(trace: Trace) -> str:
    """The exact contributions beside what other tools draw, with what each one's sum misses of the score."""
    target = trace.class_index()
    names = {
        "contribution": "Contribution (exact)",
        "hires_cam": "HiResCAM",
        "grad_cam": "Grad-CAM",
        "seqpool": "Weights alone",
        "rollout": "Rollout",
    }
    drawn = []
    for method in OTHERS:
        try:
            heatmaps = explain(trace, method)
        except NotApplicable:
            continue
        values = heatmaps.maps[-1]
        if method == "hires_cam":
            miss = float(values.sum() - (trace.logits[target] - trace.bias[target]))
            note = f"its sum misses the score by {signed(miss)} logits"
        elif heatmaps.signed:
            note = f"sums to the score over the mean class, error {max(heatmaps.checks.values()):.0e}"
        else:
            note = "a share: " + ("what speaks against is cut off" if method == "grad_cam" else "no sign and no class")
        limit = float(np.abs(values).max())
        drawn.append(_picture(names[method], values, note, signed_map=heatmaps.signed, limit=limit))
    text = caption("What other tools would draw. Each picture has its own scale, which stands below it.")
    return section("The same question, other tools", text, _pictures(drawn))


def _pictures(made: Sequence[str]) -> str:
    return f'<div class="small-maps">{"".join(made)}</div>' if made else ""


def _picture(title: str, values: np.ndarray, words: str, *, signed_map: bool, limit: float) -> str:
    """A small map over its title and words; signed maps are in logits, the others are shares."""
    full = (
        f"{signed(limit)} logits" if signed_map else f"{100 * limit:.1f} % ({limit * values.size:.1f}{TIMES} uniform)"
    )
    alt = f"{title}: a map of {values.shape[0]} by {values.shape[1]} tokens, up to {full}"
    return (
        f'<figure><img alt="{escape(alt)}" src="{data_url(colourise(values, signed=signed_map, limit=limit))}">'
        f"<figcaption><b>{escape(title)}</b> {escape(words)}; full colour is {escape(full)}</figcaption></figure>"
    )


def known(shown: Shown) -> str:
    """Which weights each map can know about, where the weights' folder carries that table."""
    preset = PRESETS.get(shown.card.name)
    path = (preset.folder / "randomisation.json") if preset and preset.folder else Path()
    if not path.is_file():
        return ""
    table: dict[str, dict[str, bool | None]] = json.loads(path.read_text())
    methods = [m for m in table[next(iter(table))] if m in METHODS or m.split(",")[0] in METHODS]
    here = [m for m in ON_THIS_PAGE if m in methods]
    text = caption(
        "Each part of the network was drawn anew at random and every map compared. A map that does not "
        "change cannot know about that part: rollout cannot know the classifier, whatever it seems to show. Q, K are "
        "queries and keys, V, O values and output, with the number of their layer; norm is the one before attention."
    )
    rest = _randomisation_table(table, {m: m for m in methods if m not in here})
    return section(
        "What each map can know about",
        text,
        _randomisation_table(table, {m: ON_THIS_PAGE[m] for m in here}),
        f"<details><summary>All other methods</summary>{rest}</details>",
    )


def _randomisation_table(table: Mapping[str, Mapping[str, bool | None]], names: Mapping[str, str]) -> str:
    """One row a map, under the name it is given; only what it cannot know stands out."""
    words = {True: '<td class="quiet">yes</td>', False: "<td><b>no</b></td>", None: '<td class="quiet">n/a</td>'}

    def shorten(part: str) -> str:
        for long, short in SHORT.items():
            part = part.replace(long, short)
        return part

    head = "".join(f'<th scope="col" title="{escape(part)}">{escape(shorten(part))}</th>' for part in table)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(words[found[m]] for found in table.values()) + "</tr>"
        for m, name in names.items()
    )
    made = f'<table><thead><tr><th scope="col">map</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="Dependence table">{made}</div>'
