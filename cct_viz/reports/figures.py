"""Arrays -> pictures: token maps over the photo, contact sheets and figures for files.

Every colour scale has an explicit `limit` in raw units, the same for all maps that share it; a map is scaled to its own
maximum only if the legend beside it says so. Shares have perceptual colours (viridis alone, inferno over a photo);
signed values are blue, white and orange with white at 0.
"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from PIL import Image

from ..inference.heatmaps import Heatmaps
from ..inference.projection import project as project_stage
from ..inference.trace import Trace
from ..methods import METHODS, describe
from .palette import DIVERGING
from .paper import Drawing, Look, read_width

_DIVERGING = LinearSegmentedColormap.from_list("blue_white_orange", DIVERGING)
_LUMINANCE = np.array([[0.299], [0.587], [0.114]])  # of red, green and blue (ITU-R BT.601)


def colour_map(*, signed: bool, over_photo: bool = False) -> Colormap:
    """The colours of a kind of map."""
    return _DIVERGING if signed else matplotlib.colormaps["inferno" if over_photo else "viridis"]


def colourise(values: np.ndarray, *, signed: bool, limit: float, over_photo: bool = False) -> np.ndarray:
    """(..., 3) uint8 colours of `values` (...), clipped to 0 to `limit`, or -`limit` to `limit` if signed.

    A `limit` of 0 (all values are 0) gives the colour of 0.

    Raises:
        ValueError: the limit is negative or not finite.
    """
    if not (math.isfinite(limit) and limit >= 0):
        raise ValueError(f"the limit of a colour scale is {limit}; expected a finite number of 0 or more")
    share = np.clip(np.asarray(values, np.float64) / (limit or 1.0), -1.0, 1.0)
    share = (share + 1) / 2 if signed else np.maximum(share, 0.0)
    table = (colour_map(signed=signed, over_photo=over_photo)(np.linspace(0, 1, 256))[:, :3] * 255).round()
    return table.astype(np.uint8)[np.rint(share * 255).astype(np.intp)]


def scale_limit(heatmaps: Heatmaps) -> float:
    """The largest absolute value in all maps: one scale, so that they can be compared."""
    return float(np.abs(heatmaps.maps).max(initial=0.0))


def describe_flat(values: np.ndarray) -> str:
    """One sentence if a map is constant or all negative; otherwise an empty string."""
    low, high = float(values.min()), float(values.max())
    if low == high == 0:
        return "This map is 0 everywhere."
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return f"This map is constant: the value of every cell is {low:.3g}."
    return "Every value of this map is negative." if high < 0 else ""


def project(trace: Trace, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(*size) values (gh, gw) of the tokens at the pixels of the displayed crop, see `inference.projection.project`.

    Raises:
        ValueError: values that do not fit the token grid.
    """
    return project_stage(trace.stages[-1], values, size, trace.pixels.shape[:2])


def overlay(
    trace: Trace,
    values: np.ndarray,
    *,
    signed: bool,
    limit: float,
    opacity: float = 0.6,
    side: int = 512,
) -> np.ndarray:
    """The photo with a map over it, (h, w, 3) uint8, the longer side `side` pixels.

    Shares have a uniform `opacity`. A signed map is more opaque for larger absolute values, and the photo below it is
    grey, so that an orange cat does not look like evidence.

    Args:
        trace: provides the photo and the positions of the tokens.
        values: (gh, gw), one per token.
        signed: whether values may be below 0.
        limit: the value at the end of the colour scale.
        opacity: 0 to 1.
        side: pixels of the picture's longer side.
    """
    photo = enlarge(trace.image, side).astype(np.float64)
    field = project(trace, np.asarray(values, np.float64), photo.shape[:2])
    colours = colourise(field, signed=signed, limit=limit, over_photo=True)
    cover = np.full(field.shape, opacity)
    if signed:
        photo = np.repeat(photo @ _LUMINANCE, 3, axis=-1)
        cover *= np.minimum(np.abs(field) / (limit or 1.0), 1.0)
    return (photo + cover[..., None] * (colours - photo)).round().astype(np.uint8)


def enlarge(image: np.ndarray, side: int) -> np.ndarray:
    """`image` (h, w, 3) uint8 with its longer side `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


GAP = 2  # pixels between the tiles of a contact sheet


def contact_sheet(maps: np.ndarray, *, columns: int, tile: int, limit: float, signed: bool = False) -> np.ndarray:
    """(n, h, w) maps in rows of `columns`, each `tile` pixels wide: (H, W, 3) uint8.

    All tiles share one scale, 0 to `limit`, or -`limit` to `limit` if signed.
    """
    count, height, width = maps.shape
    columns = min(columns, count)
    tile_height = max(1, round(tile * height / width))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (tile_height + GAP) + GAP, columns * (tile + GAP) + GAP, 3), 128, np.uint8)
    pictures = colourise(maps, signed=signed, limit=limit)
    for i, picture in enumerate(pictures):
        y, x = GAP + i // columns * (tile_height + GAP), GAP + i % columns * (tile + GAP)
        resized = Image.fromarray(picture).resize((tile, tile_height), Image.Resampling.NEAREST)
        sheet[y : y + tile_height, x : x + tile] = np.asarray(resized)
    return sheet


def figure(
    trace: Trace,
    heatmaps: Heatmaps,
    *,
    style: str = "full",
    size: str | float | None = None,
    dpi: int | None = None,
) -> Drawing:
    """The photo, then every map laid over it on one scale, with colour bar, the method in words, and its identity with
    the error on this image, if it has one.

    Save it with `figure(...).savefig("map.pdf")`, "map.svg" or "map.png"; fonts are embedded as TrueType, and SVG keeps
    text as text. It does not use pyplot, so it has no global state and threads can make figures at the same time.

    Args:
        style: a name in `paper.STYLES`: "full", "panels" (without words), "overlay" (the maps alone, without text) or
            "bar" (the colour bar alone).
        size: width of the figure: "single" (89 mm), "double" (183 mm) or millimetres; by default 66 mm for each panel.
        dpi: pixels in an inch, also of the photos inside SVG and PDF; by default 300 with a size, else 150.

    Raises:
        ValueError: no such style, or a size or resolution out of range.
    """
    Look(style=style, size=size, dpi=dpi)  # refuses what does not exist
    dpi = dpi or (150 if size is None else 300)
    limit = scale_limit(heatmaps)
    scale = ScalarMappable(
        Normalize(-limit if heatmaps.signed else 0.0, limit or 1.0),
        colour_map(signed=heatmaps.signed, over_photo=True),
    )
    unit = "logits" if heatmaps.signed else "share of 1"
    width = None if size is None else read_width(size) / 25.4  # inches
    if style == "bar":
        return _draw_bar(scale, unit, width or 3.5, dpi)
    count = len(heatmaps.maps) + (style != "overlay")
    most = 4 if width is None else max(1, round(width * 25.4 / 30))  # panels of about 30 mm
    columns = math.ceil(count / math.ceil(count / most))  # no row is nearly empty
    bar = 0.0 if style == "overlay" else 1.0 if width is None else 0.55  # inches for the colour bar
    panel = 2.6 if width is None else (width - bar) / columns
    side = max(320, math.ceil(panel * dpi))
    pictures = [overlay(trace, values, signed=heatmaps.signed, limit=limit, side=side) for values in heatmaps.maps]
    if style == "overlay":
        return _draw_overlays(pictures, columns, panel, dpi)
    notes = map(describe_flat, heatmaps.maps)
    names = [
        f"{name}\n({note.rstrip('.')})" if note else name for name, note in zip(heatmaps.names, notes, strict=True)
    ]
    named = list(zip(["photo", *names], [enlarge(trace.image, side), *pictures], strict=True))
    points = (9, 8) if width is None else (7, 6)
    height, rows = panel * pictures[0].shape[0] / pictures[0].shape[1], math.ceil(count / columns)
    words = _words(heatmaps) if style == "full" else ""
    titles = 0.15 if width is None else 0.16 * (1 + max(name.count("\n") for name, _ in named))
    drawing = Drawing(
        figsize=(panel * columns + bar, (height + titles) * rows + (0.7 if words else 0.05)),
        dpi=dpi,
        layout="constrained",
    )
    axes = drawing.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (name, picture) in zip(axes.flat, named, strict=False):
        ax.imshow(picture)
        ax.set_title(name, fontsize=points[0], parse_math=False)
    legend = drawing.colorbar(scale, ax=axes, shrink=0.7, aspect=24)
    legend.set_label(unit, fontsize=points[1])
    legend.ax.tick_params(labelsize=points[1])
    drawing.supxlabel(words, fontsize=points[1], wrap=True, parse_math=False)
    return drawing


def _words(heatmaps: Heatmaps) -> str:
    """The method in a sentence, and its identity checks."""
    checks = "; ".join(f"{name}, error {error:.0e}" for name, error in heatmaps.checks.items())
    caption = describe(heatmaps.method) if heatmaps.method in METHODS else heatmaps.method
    checked = f"Checked on this image: {checks}." if checks else "This map has no identity to check."
    return "\n".join(filter(None, [caption, heatmaps.note, checked]))


def _draw_overlays(pictures: list[np.ndarray], columns: int, panel: float, dpi: int) -> Drawing:
    """The pictures edge to edge, `panel` inches wide each, with 1 mm between them."""
    gap, rows = 1 / 25.4, math.ceil(len(pictures) / columns)
    wide = panel - gap * (columns - 1) / columns
    tall = wide * pictures[0].shape[0] / pictures[0].shape[1]
    width, height = panel * columns, tall * rows + gap * (rows - 1)
    drawing = Drawing(figsize=(width, height), dpi=dpi)
    for i, picture in enumerate(pictures):
        left, top = i % columns * (wide + gap), i // columns * (tall + gap)
        box = (left / width, 1 - (top + tall) / height, wide / width, tall / height)
        ax = drawing.add_axes(box)
        ax.set_axis_off()
        ax.imshow(picture, aspect="auto")
    return drawing


def _draw_bar(scale: ScalarMappable, unit: str, width: float, dpi: int) -> Drawing:
    drawing = Drawing(figsize=(width, 0.5), dpi=dpi, layout="constrained")
    legend = drawing.colorbar(scale, cax=drawing.add_subplot(), orientation="horizontal")
    legend.set_label(unit, fontsize=7)
    legend.ax.tick_params(labelsize=6)
    return drawing
