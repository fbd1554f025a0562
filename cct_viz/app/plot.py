"""Line plots from 0 upwards as SVG figures, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 360, 190  # of a plot, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, WIDTH - 12, 8, HEIGHT - 32  # the plot area

Line = tuple[np.ndarray, np.ndarray]  # (P,) shares of the width and (P,) shares of the height, 0 to 1


def draw_plot(
    lines: Sequence[tuple[str, Line]],
    *,
    ticks: Sequence[str],
    ends: tuple[str, str],
    label: str,
    words: str,
    band: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> str:
    """A figure with lines over a grid.

    Args:
        lines: (CSS class, line) pairs; the last one is drawn on top.
        ticks: labels of the evenly spaced grid lines, from lowest to highest.
        ends: labels below the left and the right end.
        label: a description of the plot for screen readers.
        words: the caption, as HTML.
        band: x and the lower and upper edge of a shaded band, as shares.
    """
    drawing = ""
    for y, text in zip(_height(np.linspace(0, 1, len(ticks))), ticks, strict=True):
        drawing += f'<text x="34" y="{y + 4:.0f}" text-anchor="end">{escape(text)}</text>'
        drawing += f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    if band is not None:
        x, low, high = band
        edge = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
        drawing += f'<polygon points="{_points(edge)}"/>'
    for kind, line in lines:
        drawing += f'<polyline class="{kind}" points="{_points(line)}"/>'
    left, right = ends
    drawing += f'<text x="{_LEFT}" y="{HEIGHT - 8}">{escape(left)}</text>'
    drawing += f'<text x="{_RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(right)}</text>'
    return (
        f'<figure class="plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{drawing}'
        f"</svg><figcaption>{words}</figcaption></figure>"
    )


def _height(share: np.ndarray) -> np.ndarray:
    return _TOP + (1 - share) * (_BOTTOM - _TOP)


def _points(line: Line) -> str:
    x, y = _LEFT + line[0] * (_RIGHT - _LEFT), _height(line[1])
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
