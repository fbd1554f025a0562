"""The findings of a data set as one HTML file: no script, nothing fetched, light and dark."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..architecture.config import CCTConfig
from ..dataset.analyse import Analysis
from ..dataset.chunks import Item, read_chunk
from ..dataset.sources import digest_listing, list_chunks
from ..images.decode import ImageError, decode
from ..images.encode import data_url, jpeg
from ..images.preprocessing import crop_and_resize
from ..methods.strongest import draw_patches, write_patches
from .figures import colourise
from .findings import Findings, Shown, find

SIDE = 72  # pixels of the longer side of a thumbnail
MANY = 30  # classes; with more, tables of classes show the most frequent ones
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


def write_report(analysis: Analysis, path: Path) -> Findings:
    """Write the report of a data set to one HTML file, and beside it the sheets of the strongest patches, which the
    page shows if they are kept beside the weights. It has pictures if the source still is as it was.

    Raises:
        ValueError: no picture could be read.
        OSError: a file cannot be written.
    """
    findings = find(analysis)
    sheets = read_sheets(analysis, findings)
    page = make_page(analysis, findings, read_thumbnails(analysis, findings), sheets)
    path.write_text(page, encoding="utf-8")
    write_patches(path.parent, sheets)
    return findings


def read_thumbnails(analysis: Analysis, findings: Findings) -> dict[str, str]:
    """Name -> data: URL of the pictures that are shown; empty if the source is away or has changed."""
    shown = [*findings.typical, *findings.unusual, *(one for cell in findings.cells for one in cell.shown)]
    thumbnails = {}
    for item in _read_pictures(analysis, {(one.chunk, one.name) for one in shown}):
        try:
            thumbnails[item.name] = _thumbnail(decode(item.data or b""))
        except ImageError:
            continue
    return thumbnails


def read_sheets(analysis: Analysis, findings: Findings) -> list[np.ndarray]:
    """The sheet of the strongest patches of each conv stage; none if the source is away or has changed."""
    config = CCTConfig.from_dict(analysis.manifest["config"])
    numbers = {name: number for number, (_, name) in findings.patch_pictures.items()}

    def prepare() -> Iterator[tuple[int, np.ndarray]]:
        stretch = analysis.manifest["stretch"]
        for item in _read_pictures(analysis, set(findings.patch_pictures.values())):
            try:
                picture = crop_and_resize(item.data or b"", config.image_size, config.preprocessing, stretch=stretch)
            except ImageError:
                continue
            yield numbers[item.name], picture.pixels

    prepared = prepare()
    first = next(prepared, None)
    return [] if first is None else draw_patches(config, findings.patches, itertools.chain([first], prepared))


def _read_pictures(analysis: Analysis, wanted: Collection[tuple[int, str]]) -> Iterator[Item]:
    """The pictures of (number of the chunk, name); none if the source is away, as a network may be, or has changed."""
    names: dict[int, set[str]] = {}
    for number, name in wanted:
        names.setdefault(number, set()).add(name)
    try:
        chunks = list_chunks(analysis.manifest["source"])
        if digest_listing(chunks) == analysis.manifest["listing"]:
            for number in sorted(names):
                yield from read_chunk(chunks[number], names[number])
    except (ValueError, OSError):
        return


def make_page(
    analysis: Analysis, findings: Findings, thumbnails: Mapping[str, str], sheets: Sequence[np.ndarray]
) -> str:
    """The HTML of the report; `thumbnails` are data: URLs by the pictures' names, `sheets` of the strongest patches."""
    manifest = analysis.manifest
    title = f"{manifest['model']} on {manifest['source']}"
    sections = [
        _summary(manifest, findings),
        _position(findings),
        _heads(findings),
        _writes(manifest, findings),
        _faithful(findings),
        _confused(findings, thumbnails),
        _typical(findings, thumbnails),
        *(_patches(i + 1, sheet, len(findings.patches[i].values)) for i, sheet in enumerate(sheets)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(filter(None, sections)) + "\n</body></html>\n"
    )


def _summary(manifest: Mapping[str, Any], findings: Findings) -> str:
    text = f"{findings.pictures:,} pictures were analysed; {findings.problems:,} could not be read."
    if findings.accuracy is not None:
        known = sum(findings.confusion.values())
        text += f" Top-1 accuracy {findings.accuracy:.2%} on the {known:,} pictures with a true class of the model."
    return f'<p>{text}</p><p class="soft">SHA-256 of the model: {escape(manifest["sha256"][:12])}.</p>'


def _position(findings: Findings) -> str:
    prior = findings.position_prior
    if prior is None:
        return ""
    limit = float(prior.max())
    url = data_url(np.kron(colourise(prior, signed=False, limit=limit), np.ones((8, 8, 1), np.uint8)))
    return (
        "<h2>Position prior</h2><p>Mean pooling weight of each token: how much a place counts, whatever is there. "
        f"{findings.pool_tokens:.1f} of {prior.size} tokens in effect (equal weights would give {prior.size}).</p>"
        f'<p class="map"><img src="{url}" alt="Map of the mean pooling weights"></p>'
        f'<p class="soft">Colours from 0 (dark) to {limit:.2%} (yellow).</p>'
    )


def _heads(findings: Findings) -> str:
    layers, heads = findings.attention_distance.shape
    columns = [f"head {h + 1}" for h in range(heads)]
    rows = [f"layer {i + 1}" for i in range(layers)]
    return (
        "<h2>Attention distance</h2><p>How far each head attends, in pixels of the model's input, mean over tokens and "
        "pictures. Small: the head attends to neighbours.</p>"
        + _table("", columns, rows, findings.attention_distance, ".1f")
        + "<h2>Effective tokens</h2><p>To how many tokens each head attends: exp(entropy) of its attention, mean over "
        "tokens and pictures.</p>" + _table("", columns, rows, findings.attention_tokens, ".1f")
    )


def _writes(manifest: Mapping[str, Any], findings: Findings) -> str:
    labels = _frequent(findings.predicted)
    values = np.stack([findings.attribution[label] for label in labels])
    rows = [f"{label} ({findings.predicted[label]:,})" for label in labels]
    return (
        "<h2>Which part writes which class</h2><p>Where a class is predicted (number of pictures): what each part of "
        "the model adds to its score, in logits against the mean class, on average. The parts sum to the score.</p>"
        + _table("predicted", manifest["columns"]["attribution"]["names"], rows, values, "+.2f", signed=True)
    )


def _faithful(findings: Findings) -> str:
    if not findings.faithfulness:
        return ""
    values = np.array([[100 * one.beats_chance, one.srg] for one in findings.faithfulness.values()])
    columns = ["better than chance, % of pictures", "insertion - deletion"]
    return (
        "<h2>How often a map beats chance</h2><p>A map beats chance on a picture if removing tokens in its order "
        "changes the probability more than 95 % of random orders do.</p>"
        + _table("map", columns, list(findings.faithfulness), values, ".2f", shade=np.zeros_like(values))
    )


def _confused(findings: Findings, thumbnails: Mapping[str, str]) -> str:
    if findings.accuracy is None:
        return ""
    totals: dict[str, int] = {}
    for (label, _), count in findings.confusion.items():
        totals[label] = totals.get(label, 0) + count
    labels, columns = _frequent(totals), _frequent(findings.predicted)
    counts = np.array([[findings.confusion.get((a, b), 0) for b in columns] for a in labels])
    mistakes = np.where([[a == b for b in columns] for a in labels], 0, counts)
    cells = "".join(
        f"<p>{escape(cell.label)} taken for {escape(cell.predicted)}: {cell.count:,}. The most certain:</p>"
        + _pictures(cell.shown, thumbnails)
        for cell in findings.cells
    )
    return (
        "<h2>Classes confused</h2><p>Rows: true class. Columns: predicted class.</p>"
        + _table("true", columns, labels, counts, ",", shade=mistakes)
        + cells
    )


def _typical(findings: Findings, thumbnails: Mapping[str, str]) -> str:
    return (
        "<h2>Most and least typical pictures</h2><p>By the Mahalanobis distance of the pooled vector from the mean of "
        "this data set. The nearest:</p>"
        + _pictures(findings.typical, thumbnails)
        + "<p>The farthest:</p>"
        + _pictures(findings.unusual, thumbnails)
    )


def _patches(stage: int, sheet: np.ndarray, channels: int) -> str:
    """A strip of nine windows for each channel, all cut from one picture."""
    height, width = sheet.shape[0] // channels, sheet.shape[1]
    url = base64.b64encode(jpeg(sheet)).decode()
    style = (
        f".stage-{stage} i {{ background-image: url(data:image/jpeg;base64,{url}); aspect-ratio: {width} / {height}; "
    )
    style += f"background-size: 100% {100 * channels}%; }}"
    strips = "".join(
        f'<figure><i style="background-position:0 {100 * c / max(1, channels - 1):.4f}%"></i>'
        f"<figcaption>channel {c + 1}</figcaption></figure>"
        for c in range(channels)
    )
    return (
        f"<h2>Strongest patches, stage {stage}</h2><p>For each channel of the tokenizer the windows of pixels, from "
        f"nine pictures, where it is strongest. Grey is beyond the picture.</p><style>{style}</style>"
        f'<div class="pictures strips stage-{stage}">{strips}</div>'
    )


def _frequent(counts: Mapping[str, int]) -> list[str]:
    """The classes in their order; of many only the most frequent."""
    kept = set(sorted(counts, key=lambda label: -counts[label])[:MANY])
    return [label for label in counts if label in kept]


def _table(
    corner: str,
    columns: Sequence[str],
    rows: Sequence[str],
    values: np.ndarray,
    form: str,
    *,
    signed: bool = False,
    shade: np.ndarray | None = None,
) -> str:
    """Numbers with a background in proportion to `shade`, by default the numbers themselves."""
    shade = values if shade is None else shade
    limit = float(np.abs(shade).max()) or 1.0

    def cell(value: Any, part: float) -> str:
        kind = ("for" if part > 0 else "against") if signed else "share"
        return f'<td class="{kind}" style="--part:{abs(part) / limit:.2f}">{value:{form}}</td>'

    head = "".join(f"<th>{escape(name)}</th>" for name in (corner, *columns))
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(map(cell, line, parts))}</tr>"
        for name, line, parts in zip(rows, values, shade, strict=True)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _pictures(shown: Iterable[Shown], thumbnails: Mapping[str, str]) -> str:
    figures = ""
    for one in shown:
        url = thumbnails.get(one.name)
        image = f'<img src="{url}" alt="">' if url else ""
        figures += f"<figure>{image}<figcaption>{escape(one.name)} ({one.text})</figcaption></figure>"
    return f'<div class="pictures">{figures}</div>'


def _thumbnail(picture: np.ndarray) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE))
    return data_url(np.asarray(image))
