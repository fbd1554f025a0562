"""The attention tab: rollout step by step, walking back from the pool, and every head of every layer as it is."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..explain import describe, explain
from ..explain.attention import effective_tokens
from ..plots import describe_flat, overlay, scale_limit
from ..trace import Heatmaps, Trace
from .view import DRAW, View, fit_token, keep, listen_to_photo, photo, token_cell, token_slider
from .words import EMPTY, badges, caption, grid_figure, share_legend

SIDE = 448
ROLLOUT, RAW = "Rollout", "One head"


def build(shown: gr.State) -> View:
    """The tab's components, inside the Tab that is open."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            picture = photo("The chosen map on the photo")
            legend = gr.HTML(js_on_load=None)
            kind = gr.Radio([ROLLOUT, RAW], value=ROLLOUT, label="On the photo")
            with gr.Group() as of_rollout:
                step = gr.Dropdown([("", 0)], value=0, label="Step", info="The walk begins at the pool.")
                fusion = gr.Radio(["mean", "max", "min"], value="mean", label="Head fusion")
                alpha = gr.Slider(
                    0, 1, 0.5, step=0.05, label="Alpha", info="Share of attention against the residual connection."
                )
                discard = gr.Slider(0, 0.95, 0, step=0.05, label="Discard", info="Share of weak attentions set to 0.")
            with gr.Group(visible=False) as of_head:
                layer = gr.Dropdown([("Layer 1", 0)], value=0, label="Layer")
                head = gr.Dropdown([("Head 1", 0)], value=0, label="Head")
            token = token_slider()
            opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity")
        with gr.Column(scale=6, min_width=280):
            panel = gr.HTML(EMPTY, js_on_load=None)

    kind.input(
        lambda kind: (gr.update(visible=kind == ROLLOUT), gr.update(visible=kind == RAW)),
        [kind],
        [of_rollout, of_head],
        **DRAW,
    )
    return View(
        controls=[kind, step, fusion, alpha, discard, layer, head, token, opacity],
        outputs=[picture, legend, panel],
        fit=_fit,
        draw=_draw,
        redraw_on=[listen_to_photo(picture, token, shown, SIDE)],
    )


def _fit(trace: Trace, kind, step, fusion, alpha, discard, layer, head, token, opacity) -> list[dict[str, Any]]:  # type: ignore[no-untyped-def]
    names = explain(trace, "rollout").names
    steps = [(name if i < len(names) - 1 else f"{name}: the full rollout", i) for i, name in enumerate(names)]
    count_layers, count_heads = trace.attentions.shape[:2]
    layers = [(f"Layer {i + 1}", i) for i in range(count_layers)]
    heads = [(f"Head {i + 1}", i) for i in range(count_heads)]
    return [
        {"value": kind},
        {"choices": steps, "value": keep(step, steps[1:], len(steps) - 1)},
        {"value": fusion},
        {"value": alpha},
        {"value": discard},
        {"choices": layers, "value": keep(layer, layers, 0)},
        {"choices": heads, "value": keep(head, heads, 0)},
        fit_token(trace, token),
        {"value": opacity},
    ]


def _draw(trace: Trace | None, kind, step, fusion, alpha, discard, layer, head, token, opacity) -> list[Any]:  # type: ignore[no-untyped-def]
    if trace is None:
        return [None, "", EMPTY]
    rollout = explain(trace, "rollout", head_fusion=fusion, alpha=alpha, discard=discard)
    row = token - 1 if token else None
    raw = [explain(trace, "attention", layer=i, token=row) for i in range(len(trace.attentions))]
    chosen, index = (rollout, step) if kind == ROLLOUT else (raw[layer], head)
    index = min(index, len(chosen.maps) - 1)
    name, values = chosen.names[index], chosen.maps[index]
    limit = scale_limit(rollout) if kind == ROLLOUT else max(map(scale_limit, raw))
    cell = token_cell(trace, token)
    picture = overlay(trace, values, signed=False, limit=limit, opacity=opacity, side=SIDE, cell=cell)
    return [
        gr.update(value=picture, alt_text=f"The photo with {_title(kind, name)} over it."),
        share_legend(trace, limit, over_photo=True)
        + caption(f"{_title(kind, name)}.", _spread(values), describe_flat(values), _kept(chosen, index)),
        _rollout_panel(trace, rollout, index if kind == ROLLOUT else None)
        + _raw_panel(trace, raw, (layer, index) if kind == RAW else None, token),
    ]


def _title(kind: str, name: str) -> str:
    return f"Rollout, {name}" if kind == ROLLOUT else f"Attention, {name}"


def _spread(values) -> str:  # type: ignore[no-untyped-def]
    return f"Spread like {effective_tokens(values):.1f} equal tokens of {values.size}."


def _kept(maps: Heatmaps, index: int) -> str:
    assert maps.class_share is not None
    share = float(maps.class_share[index])
    return f"The class token keeps {100 * share:.3g} % of it." if share else ""


def _rollout_panel(trace: Trace, rollout: Heatmaps, current: int | None) -> str:
    limit = scale_limit(rollout)
    figures = [
        grid_figure(
            values,
            signed=False,
            limit=limit,
            title=name,
            text=f"{effective_tokens(values):.1f} effective tokens",
            current=i == current,
        )
        for i, (name, values) in enumerate(rollout)
    ]
    order = (
        "Read it from left to right: first how the model reads its answer out of the tokens, then that reading "
        "followed back through one layer after the other, the last layer first; the last picture is the full rollout. "
        "It is the same for every class, and it tends to spread out evenly with every layer."
    )
    return (
        '<section class="card"><h3>Rollout, walking back from the pool</h3>'
        + caption(describe("rollout"))
        + f'<div class="grids">{"".join(figures)}</div>{share_legend(trace, limit)}{badges(rollout.checks)}'
        + caption(order)
        + "</section>"
    )


def _raw_panel(trace: Trace, raw: list[Heatmaps], current: tuple[int, int] | None, token: int) -> str:
    limit = max(map(scale_limit, raw))
    rows = []
    for i, maps in enumerate(raw):
        figures = [
            grid_figure(values, signed=False, limit=limit, title=name, token=token, current=(i, h) == current)
            for h, (name, values) in enumerate(maps)
        ]
        rows.append(f'<div class="heads" style="--heads:{len(figures)}">{"".join(figures)}</div>')
    asked = (
        f"Shown: what token {token} looks at."
        if token
        else "Shown: what all tokens look at, each counted as much as the model reads it out. "
        "For one token alone click on the photo."
    )
    worst = {"every map sums to 1": max(max(maps.checks.values()) for maps in raw)}
    return (
        '<section class="card"><h3>Attention, layer by layer and head by head</h3>'
        + caption(describe("attention"), asked)
        + f"{''.join(rows)}{share_legend(trace, limit)}{badges(worst)}</section>"
    )
