"""What a notebook shows of a Trace: the photo, the answer and the model in a few numbers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..architecture.pools import find_pool
from ..images.encode import data_url

if TYPE_CHECKING:
    from .trace import Trace

SIDE = 160  # pixels of the photo's longer side
BAR = 120  # pixels of a bar of 100 %


def trace_card(trace: Trace) -> str:
    """HTML of a trace: photo, top classes with bars, and shapes. It has no script and asks for no file."""
    photo = Image.fromarray(trace.image)
    photo.thumbnail((SIDE, SIDE))
    height, width = trace.image.shape[:2]
    scale = SIDE / max(height, width)
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(label)}</td><td style="text-align:right">{p:.1%}</td>'
        f'<td><div style="background:#4338ca;height:10px;width:{max(1, round(BAR * p))}px"></div></td></tr>'
        for label, p in trace.top(min(5, len(trace.labels)))
    )
    (layers, heads), (gh, gw) = trace.attentions.shape[:2], trace.grid
    text = f"{gh}\N{MULTIPLICATION SIGN}{gw} tokens \N{MIDDLE DOT} {layers} layers \N{MIDDLE DOT} {heads} heads"
    return (
        '<div style="display:flex;gap:16px;align-items:center">'
        f'<img alt="the photo as the model sees it, cropped" src="{data_url(np.asarray(photo))}" '
        f'width="{round(width * scale)}" height="{round(height * scale)}">'
        f"<div><table>{rows}</table>"
        f"<div>{text} \N{MIDDLE DOT} {escape(find_pool(trace.pool).name)}</div>"
        f"{f'<div>{escape(trace.note)}</div>' if trace.note else ''}</div></div>"
    )
