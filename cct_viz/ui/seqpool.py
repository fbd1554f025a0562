"""The SeqPool tab: weight times evidence is contribution, and the contributions sum to the score."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
import numpy as np

from ..explain import NotApplicable, describe, explain
from ..plots import TIMES, describe_flat, format_value, legend_html, overlay, scale_limit
from ..trace import Heatmaps, Trace
from .view import View, fit_token, keep, listen_to_photo, photo, token_cell, token_slider
from .words import EMPTY, POOLS, badges, caption, grid_figure, logits, share_legend

SIDE = 448
MAPS = {"Weight": "seqpool", "Evidence": "evidence", "Contribution": "contribution"}
CHOSEN = -1  # the class that the model chose, whatever it is


def build(shown: gr.State) -> View:
    """The tab's components, inside the Tab that is open."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            picture = photo("The chosen map on the photo")
            legend = gr.HTML(js_on_load=None)
            target = gr.Dropdown([("the class the model chose", CHOSEN)], value=CHOSEN, label="Class to explain")
            which = gr.Radio(list(MAPS), value="Contribution", label="On the photo")
            token = token_slider()
            opacity = gr.Slider(0, 1, 0.8, step=0.05, label="Opacity")
        with gr.Column(scale=6, min_width=280):
            panel = gr.HTML(EMPTY, js_on_load=None)
    return View(
        controls=[target, which, token, opacity],
        outputs=[picture, legend, panel],
        fit=_fit,
        draw=_draw,
        redraw_on=[listen_to_photo(picture, token, shown, SIDE)],
    )


def _fit(trace: Trace, target: int, which: str, token: int, opacity: float) -> list[dict[str, Any]]:
    classes = [("the class the model chose", CHOSEN), *((label, i) for i, label in enumerate(trace.labels))]
    return [
        {"choices": classes, "value": keep(target, classes, CHOSEN)},
        {"value": which},
        fit_token(trace, token),
        {"value": opacity},
    ]


def _draw(trace: Trace | None, target: int, which: str, token: int, opacity: float) -> list[Any]:
    if trace is None:
        return [None, "", EMPTY]
    if trace.has_class_token:
        why = (
            "This model has no sequence pooling: it reads its answer from a class token. Image tokens reach that token "
            "through attention only, so the scores do not split into weights and contributions of image tokens. The "
            "attention tab shows what the class token looks at."
        )
        return [None, "", f'<section class="card"><h3>No SeqPool here</h3>{caption(why)}</section>']
    index = trace.class_index(None if target == CHOSEN else min(target, len(trace.labels) - 1))
    maps = {name: _explain(trace, method, index) for name, method in MAPS.items()}
    chosen = maps[which]
    if chosen is None:  # max pooling has no weights
        which, chosen = "Contribution", maps["Contribution"]
    assert chosen is not None
    limit, values = scale_limit(chosen), chosen.maps[0]
    signed = chosen.signed
    legend = legend_html(limit, signed=True, unit="logits") if signed else share_legend(trace, limit, over_photo=True)
    picture = overlay(
        trace,
        values,
        signed=signed,
        limit=limit,
        opacity=opacity,
        side=SIDE,
        cell=token_cell(trace, token),
    )
    return [
        gr.update(value=picture, alt_text=f"The photo with the map of {chosen.names[0]} over it."),
        legend + caption(describe(MAPS[which]), describe_flat(values)) + _token_line(trace, maps, token),
        _panel(trace, maps, index, which, token),
    ]


def _explain(trace: Trace, method: str, target: int) -> Heatmaps | None:
    try:
        return explain(trace, method, target=target)
    except NotApplicable:
        return None


def _token_line(trace: Trace, maps: dict[str, Heatmaps | None], token: int) -> str:
    if not token:
        return ""
    row, column = divmod(token - 1, trace.grid[1])
    y0, x0, y1, x1 = trace.receptive_field[token - 1]
    numbers = []
    for name, found in maps.items():
        if found is not None:
            value, unit = found.maps[0][row, column], "logits" if found.signed else "share"
            numbers.append(f"{name.lower()} {format_value(value, unit, sign=found.signed)}")
    return caption(
        f"Token {token} (row {row + 1}, column {column + 1}): {', '.join(numbers)}. It sees pixels {x0} to {x1 - 1} "
        f"across and {y0} to {y1 - 1} down."
    )


def _panel(trace: Trace, maps: dict[str, Heatmaps | None], target: int, which: str, token: int) -> str:
    label = trace.labels[target]
    texts = {
        "Weight": "how much each token counts, the same for every class",
        "Evidence": f"what each token says about {label}, in logits",
        "Contribution": "what it adds to the score, in logits",
    }
    cells = []
    for name, found in maps.items():
        if found is None:
            cells.append('<figure class="grid"><figcaption>Max pooling has no weights.</figcaption></figure>')
            continue
        figure = grid_figure(
            found.maps[0],
            signed=found.signed,
            limit=scale_limit(found),
            title=name,
            text=texts[name],
            token=token,
            current=name == which,
        )
        scale = legend_html(scale_limit(found), signed=found.signed, unit="activation" if found.signed else "share")
        cells.append(f'<div class="factor">{figure}{scale}</div>')
    product = f'{cells[0]}<span class="op">{TIMES}</span>{cells[1]}<span class="op">=</span>{cells[2]}'
    contribution = maps["Contribution"]
    assert contribution is not None
    checks = {name: error for found in maps.values() if found is not None for name, error in found.checks.items()}
    return (
        f'<section class="card"><h3>Who speaks for {escape(label)}</h3>'
        + _sentence(trace, contribution.maps[0], target)
        + f'<div class="product">{product}</div></section>'
        + '<section class="card"><h3>Running sum, largest first, landing on the score</h3>'
        + _running_sum(trace, contribution.maps[0].ravel(), target)
        + badges(checks)
        + caption(
            f"The model reads the tokens out by {POOLS[trace.pool]}. Scores are logits against the mean class, the "
            "part that decides between classes. The split is exact, not an estimate."
        )
        + "</section>"
    )


def _sentence(trace: Trace, parts: np.ndarray, target: int) -> str:
    """Who speaks for the class and who against, in words and logits."""
    speaking, against = parts[parts > 0], parts[parts < 0]
    label = escape(trace.labels[target])
    loudest = np.sort(np.abs(parts.ravel()))[::-1]
    share = loudest[:5].sum() / (loudest.sum() or 1.0)
    opposed = (
        f'<b class="against">{against.size}</b> against it ({logits(against.sum())})'
        if against.size
        else "none speaks against it"
    )
    return (
        f'<p class="lead"><b class="for">{speaking.size} tokens</b> speak for {label} ({logits(speaking.sum())} '
        f"logits), {opposed}. The five loudest make up {100 * share:.0f} % of all that is said.</p>"
    )


def _running_sum(trace: Trace, parts: np.ndarray, target: int) -> str:
    """Bars from the class bias up and down to the score, as SVG that stretches; the words around it stay readable."""
    bias = float(trace.bias[target] - trace.bias.mean())
    score = float(trace.logits[target] - trace.logits.mean())
    ordered = np.sort(parts)[::-1]
    levels = bias + np.concatenate([[0.0], np.cumsum(ordered, dtype=np.float64)])
    low, high = min(0.0, levels.min()), max(0.0, levels.max())
    scale = 100.0 / ((high - low) or 1.0)
    step = 100.0 / len(ordered)
    bars = []
    for i, part in enumerate(ordered):
        top, bottom = max(levels[i], levels[i + 1]), min(levels[i], levels[i + 1])
        bars.append(
            f'<rect class="{"for" if part > 0 else "against"}" x="{(i + 0.1) * step:.3f}" width="{0.8 * step:.3f}" '
            f'y="{(high - top) * scale:.3f}" height="{max((top - bottom) * scale, 0.6):.3f}"/>'
        )
    zero, end = (high - 0.0) * scale, (high - score) * scale
    label = escape(trace.labels[target])
    start, landing = logits(bias), f"{logits(score)} logits"
    alt = f"From the bias {start} the {len(ordered)} contributions lead to the score {landing}."
    return (
        f'<div class="sum"><svg viewBox="0 -2 100 104" preserveAspectRatio="none" role="img" aria-label="{alt}">'
        f'<line class="zero" x1="0" x2="100" y1="{zero:.3f}" y2="{zero:.3f}"/>'
        f'<line class="end" x1="0" x2="100" y1="{end:.3f}" y2="{end:.3f}"/>{"".join(bars)}</svg>'
        f'<div class="sum-words"><span>bias {start}</span><span>{len(ordered)} tokens, sorted</span>'
        f"<span><b>{label} {landing}</b></span></div></div>"
    )
