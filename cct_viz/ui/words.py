"""Pieces of HTML: chips, badges, captions and the small pictures of token grids.

Texts of users, files and models go through `escape` and stand in values, never in a component's template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ..plots import MINUS, TIMES, colourise, data_url, describe_flat, legend_html
from ..serving import Card, HubLine
from ..trace import Trace

EMPTY = '<p class="empty">Upload a picture or choose an example, and this page shows what the model made of it.</p>'
LISTED = 12  # so many class names are still read
SOURCES = {"bundled": "bundled", "folder": "from a folder", "hub": "from the Hub"}
POOLS = {
    "seqpool": "sequence pooling (SeqPool): weights that it makes for each image",
    "mean": "the mean of all tokens",
    "max": "the largest value of each channel over all tokens",
    "class_token": "a class token",
}


def describe_number(count: int) -> str:
    """A number of parameters as people say it."""
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count / 1e3:.1f} k"


def chip(card: Card | None, problem: str = "") -> str:
    """The weights in use, as a row of facts."""
    if card is None:
        return f'<div class="chip chip-empty">{escape(problem)}</div>'
    parts = [f"<b>{escape(card.name)}</b>", f"{describe_number(card.parameters)} parameters"]
    if card.accuracy is not None:
        parts.append(f"{100 * card.accuracy:.1f} % validation accuracy")
    parts.append(f"{SOURCES[card.source]}, revision {escape(card.revision)}")
    return '<div class="chip">' + " ".join(f"<span>{part}</span>" for part in parts) + "</div>"


def choice(card: Card) -> str:
    """A model as the picker lists it: name, size and, where it was measured, accuracy."""
    accuracy = "" if card.accuracy is None else f" · {100 * card.accuracy:.1f} %"
    return f"{card.name} · {describe_number(card.parameters)}{accuracy}"


def hub_text(line: HubLine) -> str:
    kind = "busy" if line.busy else "away" if line.can_retry else "quiet"
    return f'<p class="hub hub-{kind}" role="status">{escape(line.text)}</p>' if line.text else ""


def notice(text: str) -> str:
    """A sentence on what went wrong, read out by screen readers."""
    return f'<p class="notice" role="alert">{escape(text.rstrip("."))}.</p>' if text else ""


def known_classes(labels: Sequence[str]) -> str:
    """Why a lion may be called a frog, below the prediction."""
    known = f"these {len(labels)} classes: {', '.join(labels)}" if len(labels) <= LISTED else f"{len(labels)} classes"
    return caption(f"This model knows only {known}. Whatever a picture shows, it names the nearest of them.")


def example_buttons(names: Sequence[str], pictures: Sequence[np.ndarray]) -> str:
    """A button for each example picture (h, w, 3) uint8."""
    made = [
        f'<button type="button" data-index="{i}" title="{escape(name)}" aria-label="Example: {escape(name)}">'
        f'<img src="{data_url(picture)}" alt=""></button>'
        for i, (name, picture) in enumerate(zip(names, pictures, strict=True))
    ]
    return f'<p class="caption">Or one of ten CIFAR-10 pictures</p><div class="examples">{"".join(made)}</div>'


def logits(value: float) -> str:
    """A sum of logits with two decimals and a true minus, which stays before a sum that rounds to 0."""
    return f"{value:+.2f}".replace("-", MINUS)


def caption(*sentences: str) -> str:
    return f'<p class="caption">{escape(" ".join(filter(None, sentences)))}</p>'


def format_error(error: float) -> str:
    """1.2e-07 -> 1e-7."""
    if error == 0:
        return "0"
    mantissa, exponent = f"{error:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def badges(checks: Mapping[str, float]) -> str:
    """One badge an identity: what holds, and by how much it misses on this very image."""
    made = []
    for name, error in checks.items():
        good = error < 1e-3
        mark, kind = ("✓", "badge") if good else ("!", "badge badge-bad")
        made.append(f'<span class="{kind}">{mark} {escape(name)}, error {format_error(error)}</span>')
    return '<div class="badges">' + "".join(made) + "</div>"


def grid_figure(
    values: np.ndarray, *, signed: bool, limit: float, title: str, text: str = "", token: int = 0, current: bool = False
) -> str:
    """A map (gh, gw) as a small picture, one square a token, with its caption; `token` (from 1) is framed."""
    height, width = values.shape
    frame = ""
    if token:
        row, column = divmod(token - 1, width)
        frame = (
            f'<i class="frame" style="left:{100 * column / width:.3f}%;top:{100 * row / height:.3f}%;'
            f'width:{100 / width:.3f}%;height:{100 / height:.3f}%"></i>'
        )
    flat = describe_flat(values)
    alt = f"{title}: map of {height} by {width} tokens, {values.min():.3g} to {values.max():.3g}."
    note = f'<span class="flat">{escape(flat)}</span>' if flat else ""
    return (
        f'<figure class="grid{" current" if current else ""}"><div class="cells" style="aspect-ratio:{width}/{height}">'
        f'<img src="{data_url(colourise(values, signed=signed, limit=limit))}" alt="{escape(alt)}">{frame}</div>'
        f"<figcaption><b>{escape(title)}</b> <span>{escape(text)}</span>{note}</figcaption></figure>"
    )


def share_legend(trace: Trace, limit: float, *, over_photo: bool = False) -> str:
    """The scale of a map of shares, in percent and in multiples of what each token had if all had the same."""
    return legend_html(limit, signed=False, unit="share", uniform=1 / len(trace.readout), over_photo=over_photo)


def seen_figure(trace: Trace) -> str:
    """The model's own pixels, enlarged without smoothing."""
    height, width = trace.pixels.shape[:2]
    whole, crop = trace.geometry.original_size, trace.geometry.crop_size
    came = f"{whole[1]}{TIMES}{whole[0]}"
    text = f"{width}{TIMES}{height} pixels"
    if whole != (height, width):
        text += (
            f", made from the middle {crop[1]}{TIMES}{crop[0]} of {came}" if crop != whole else f", made from {came}"
        )
    return (
        f'<figure class="seen"><img src="{data_url(trace.pixels)}" alt="The picture at the {width} by {height} pixels '
        f'that the model was given." style="aspect-ratio:{width}/{height}">'
        f"<figcaption><b>What the model saw</b> <span>{text}</span></figcaption></figure>"
    )
