"""The findings of a data set as one HTML file: no script, nothing fetched, light and dark."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from ..images.encode import data_url, jpeg
from ..methods.strongest import MOST_ROWS
from .figures import colourise
from .findings_sections import Gallery, Map, Section, Strips, Table

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#fcfbf8, #131417); --ink: light-dark(#1b1a17, #f0eee8);
  --soft: light-dark(#5b584f, #aca89d); --line: light-dark(#e3dfd5, #34363c); --high: light-dark(#262c40, #ece8dc);
  --for: light-dark(#c2410c, #ff8a55); --against: light-dark(#48657f, #92b0cc); }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 Inter, system-ui, sans-serif; margin: 32px auto;
  max-width: 960px; padding: 0 16px; }
h1 { font-size: 28px; } h2 { font-size: 20px; margin-top: 40px; } p { max-width: 70ch; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; }
th:first-child, td:first-child { text-align: left; } thead th { color: var(--soft); }
td.share { background: color-mix(in srgb, var(--high) calc(var(--part) * 35%), transparent); }
td.for { background: color-mix(in srgb, var(--for) calc(var(--part) * 35%), transparent); }
td.against { background: color-mix(in srgb, var(--against) calc(var(--part) * 35%), transparent); }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; margin: 8px 0 20px; }
figure { margin: 0; width: 132px; } figcaption { font-size: 12px; overflow-wrap: anywhere; }
.strips figure { width: 220px; } .strips i { display: block; image-rendering: pixelated; }
img { display: block; image-rendering: pixelated; } .map img { width: 240px; } figure img { height: 72px; }
"""


def make_page(title: str, sections: Sequence[Section]) -> str:
    """The HTML of a report."""
    numbers = itertools.count(1)  # of the sheets
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n"
        + "\n".join(_section(section, numbers) for section in sections)
        + "\n</body></html>\n"
    )


def _section(section: Section, numbers: Iterator[int]) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    for part in section.body:
        if isinstance(part, str):
            parts.append(f"<p>{escape(part)}</p>")
        elif isinstance(part, Table):
            parts.append(_table(part))
        elif isinstance(part, Map):
            parts.append(_map(part))
        elif isinstance(part, Gallery):
            parts.append(_gallery(part))
        else:
            parts.append(_strips(part, next(numbers)))
    return "".join(parts)


def _map(shown: Map) -> str:
    colours = colourise(shown.values, signed=False, limit=float(shown.values.max()))
    url = data_url(np.kron(colours, np.ones((8, 8, 1), np.uint8)))
    return f'<p class="map"><img src="{url}" alt="{escape(shown.name)}"></p>'


def _table(table: Table) -> str:
    limit = float(np.abs(table.shade).max()) or 1.0

    def cell(value: Any, part: float) -> str:
        kind = ("for" if part > 0 else "against") if table.signed else "share"
        return f'<td class="{kind}" style="--part:{abs(part) / limit:.2f}">{value:{table.form}}</td>'

    head = "".join(f"<th>{escape(name)}</th>" for name in (table.corner, *table.columns))
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(map(cell, line, parts))}</tr>"
        for name, line, parts in zip(table.rows, table.values, table.shade, strict=True)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _gallery(gallery: Gallery) -> str:
    figures = ""
    for caption, picture in gallery.pictures:
        image = "" if picture is None else f'<img src="{data_url(picture)}" alt="">'
        figures += f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"
    return f'<div class="pictures">{figures}</div>'


def _strips(strips: Strips, number: int) -> str:
    """A strip of nine windows for each channel, all cut from one picture."""
    channels, (rows, width, _) = strips.channels, strips.sheet.shape
    if rows <= MOST_ROWS:
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg(strips.sheet)).decode()
    else:
        url = data_url(strips.sheet)
    style = f"background-image: url({url}); aspect-ratio: {width} / {rows // channels}; "
    style += f"background-size: 100% {100 * channels}%;"
    figures = "".join(
        f'<figure><i style="background-position:0 {100 * c / max(1, channels - 1):.4f}%"></i>'
        f"<figcaption>channel {c + 1}</figcaption></figure>"
        for c in range(channels)
    )
    return f'<style>.sheet-{number} i {{ {style} }}</style><div class="pictures strips sheet-{number}">{figures}</div>'
