"""The tokenizer tab: every feature map of every conv stage, strongest first, and where its cells lie on the photo."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from ..explain import rank_channels
from ..plots import GAP, TIMES, contact_sheet, describe_flat, find_tile, legend_html, overlay
from ..trace import Trace
from .view import DRAW, Shown, View, keep, photo
from .words import EMPTY, caption

SIDE, SHEET = 448, 720


def build(shown: gr.State) -> View:
    """The tab's components, inside the Tab that is open."""
    head = gr.HTML(EMPTY, js_on_load=None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            picture = photo("The chosen feature map on the photo")
            legend = gr.HTML(js_on_load=None)
            stage = gr.Radio([("Stage 1", 0)], value=0, label="Conv stage")
            channel = gr.Slider(1, 2, 1, step=1, label="Feature map", info="1 is the strongest. Or click on one.")
            opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity")
        with gr.Column(scale=6, min_width=280):
            sheet = gr.Image(
                label="All feature maps of the stage, strongest first",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],
                elem_classes="sheet",
            )
            sheet_legend = gr.HTML(js_on_load=None)

    def choose(shown: Shown | None, stage: int, event: gr.SelectData) -> Any:
        if shown is None:
            return gr.skip()
        maps = rank_channels(shown.trace, stage).maps
        columns, tile = _layout(len(maps))
        found = find_tile(*event.index, maps, columns=columns, tile=tile)
        return gr.skip() if found is None else found + 1

    picked = sheet.select(choose, [shown, stage], [channel], **DRAW)
    # A stage has its own number of channels, so the slider's end moves with it.
    resized = stage.input(
        lambda shown, stage, rank: gr.update(**_fit_channel(shown.trace, stage, rank)) if shown else gr.skip(),
        [shown, stage, channel],
        [channel],
        **DRAW,
    )
    return View(
        controls=[stage, channel, opacity],
        outputs=[head, picture, legend, sheet, sheet_legend],
        fit=_fit,
        draw=_draw,
        redraw_on=[picked.then, resized.then],
    )


def _layout(count: int) -> tuple[int, int]:
    """Columns of the contact sheet and pixels of a tile."""
    columns = 8 if count <= 64 else 16
    return columns, SHEET // columns - GAP


def _fit_channel(trace: Trace, stage: int, rank: int) -> dict[str, Any]:
    count = trace.feature_maps[stage].shape[-1]
    return {"maximum": count, "value": min(rank, count)}


def _fit(trace: Trace, stage: int, rank: int, opacity: float) -> list[dict[str, Any]]:
    stages = [(f"Stage {i + 1}", i) for i in range(len(trace.feature_maps))]
    stage = keep(stage, stages, 0)
    return [{"choices": stages, "value": stage}, _fit_channel(trace, stage, rank), {"value": opacity}]


def _draw(trace: Trace | None, stage: int, rank: int, opacity: float) -> list[Any]:
    if trace is None:
        return [EMPTY, None, "", None, ""]
    stage = min(stage, len(trace.feature_maps) - 1)
    ranking = rank_channels(trace, stage)
    count, height, width = ranking.maps.shape
    rank = min(int(rank), count)
    chosen, geometry = ranking.maps[rank - 1], trace.stages[stage]
    limit = float(np.abs(ranking.maps).max(initial=0.0))
    signed = bool(ranking.maps.min() < 0)  # a stage without a ReLU
    peak = divmod(int(np.abs(chosen).argmax()), width)
    picture = overlay(
        trace,
        chosen,
        signed=signed,
        limit=limit,
        opacity=opacity,
        side=SIDE,
        stage=stage,
        cell=peak,
    )
    columns, tile = _layout(count)
    sheet = contact_sheet(ranking.maps, columns=columns, tile=tile, limit=limit, signed=signed, chosen=rank - 1)
    name = f"feature map {rank} of {count} (channel {ranking.order[rank - 1]})"
    (window_h, window_w), step = geometry.window_size, geometry.stride[1]
    scale = {"signed": signed, "unit": "activation"}
    return [
        caption(
            f"Stage {stage + 1} turns the picture into {count} feature maps of {width}{TIMES}{height} cells, here by "
            f"falling energy (root mean square). Each cell sees a window of {window_w}{TIMES}{window_h} of the model's "
            f"pixels, and the next cell's window lies {step} pixels further, so windows "
            + ("overlap" if window_w > step else "only touch")
            + (": these cells are the tokens." if stage == len(trace.feature_maps) - 1 else ".")
        ),
        gr.update(value=picture, alt_text=f"The photo with {name} of stage {stage + 1} over it."),
        legend_html(limit, **scale, over_photo=True)
        + caption(
            f"{name[0].upper()}{name[1:]}, energy {ranking.energy[rank - 1]:.3g}.",
            describe_flat(chosen),
            f"Dashed: the window of its strongest cell, row {peak[0] + 1}, column {peak[1] + 1}, {chosen[peak]:.3g}.",
        ),
        gr.update(value=sheet, alt_text=f"{count} feature maps of stage {stage + 1} as tiles, strongest first."),
        legend_html(limit, **scale) + caption("One scale for all feature maps of the stage."),
    ]
