"""What a paper asks of a figure: a column's width, fonts that stay text, and a caption."""

from __future__ import annotations

import inspect
import io
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from .. import __version__
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from ..methods import METHODS, describe, takes
from .fonts import give_fonts

WIDTHS = {"single": 89.0, "double": 183.0}  # mm of one and of two columns, as in Nature
NARROWEST, WIDEST = 30.0, 1000.0  # mm
FORMATS = ("png", "svg", "pdf")
STYLES = {
    "full": "photo, maps, colour bar and the method in words",
    "panels": "photo, maps and colour bar",
    "overlay": "the maps over the photo, without text",
    "bar": "the colour bar alone",
}
# TrueType fonts are embedded as such, because publishers refuse Type 3; SVG keeps text as text.
FONTS: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "cct_viz"}
NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # the same numbers give the same file
SAVING = threading.Lock()  # Matplotlib's settings belong to the process


class Page(Figure):
    """A Matplotlib figure in which every letter has a font, as far as one is installed."""

    def draw(self, renderer: Any) -> None:
        give_fonts(self)
        super().draw(renderer)


class Drawing(Page):
    """A figure that is saved as papers want it, and that a notebook shows without pyplot."""

    def savefig(self, fname: Any, *, format: str | None = None, **options: Any) -> None:
        """Save to a path or an open file; `format` is the path's suffix, or PNG. Options are Matplotlib's."""
        kind = format or (Path(fname).suffix[1:].lower() if isinstance(fname, (str, Path)) else "") or "png"
        if kind not in NO_DATE:
            return super().savefig(fname, format=kind, **options)
        with SAVING, matplotlib.rc_context(FONTS):
            super().savefig(fname, format=kind, **{"metadata": NO_DATE[kind], **options})

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def read_width(size: str | float) -> float:
    """Millimetres of a name in WIDTHS, or of a number.

    Raises:
        ValueError: neither, or outside of 30 to 1000 mm.
    """
    try:
        width = WIDTHS[size] if isinstance(size, str) and size in WIDTHS else float(size)
    except ValueError:
        width = 0.0
    if not NARROWEST <= width <= WIDEST:
        names = ", ".join(f"{name} ({mm:.0f} mm)" for name, mm in WIDTHS.items())
        raise ValueError(f"the size is {size!r}; expected {names}, or {NARROWEST:.0f} to {WIDEST:.0f} millimetres")
    return width


@dataclass(frozen=True)
class Look:
    """How figures are drawn and saved; see `figures.figure`.

    Attributes:
        format: a name in FORMATS.
        style: a name in STYLES.
        size: a name in WIDTHS, or millimetres; None: as wide as the panels need.
        dpi: pixels in an inch; None: 300 with a size, else 150.
    """

    format: str = "png"
    style: str = "full"
    size: str | float | None = None
    dpi: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("format", self.format, FORMATS), ("style", self.style, STYLES)):
            if value not in known:
                raise ValueError(f"no {name} is called {value!r}; choose one of {', '.join(known)}")
        if self.size is not None:
            read_width(self.size)
        if self.dpi is not None and not 30 <= self.dpi <= 2400:
            raise ValueError(f"dpi is {self.dpi}; expected 30 to 2400")


_SHOWN = {"overlay": "Over the photo:", "bar": "Colour bar of"}


def latex_figure(
    trace: Trace, heatmaps: Heatmaps, file: str, look: Look, *, model: str, sha256: str, target: int
) -> str:
    """A LaTeX figure of `file` with its caption: method, class, model, scale, identity errors and source.

    It needs the package hyperref or url, and svg for an SVG.

    Args:
        model: the model's name.
        sha256: of its weights.
        target: index of the explained class.
    """
    known = heatmaps.method in METHODS
    sentences = [describe(heatmaps.method) if known else heatmaps.method]
    sentences.append(f"{_SHOWN.get(look.style, 'Panels: the photo,')} {', '.join(heatmaps.names)}.")
    probability = f"{trace.labels[target]} ({trace.probabilities[target]:.1%})"
    explains = known and takes(heatmaps.method, "target")
    sentences.append(f"{'Explained' if explains else 'Predicted'} class: {probability}.")
    sentences.append(f"Values in {heatmaps.unit if heatmaps.signed else 'shares of 1'}, one scale for all panels.")
    sentences.append(f"Model: {model}{f', weights SHA-256 {sha256[:12]}' if sha256 else ''}.")
    if heatmaps.checks:
        errors = "; ".join(f"{name}, error {error:.0e}" for name, error in heatmaps.checks.items())
        sentences.append(f"Identities checked on this image: {errors}.")
    if source := known and _source(heatmaps.method):
        sentences.append(f"Method: {source}.")
    sentences.append(f"Drawn with CCT Explorer {__version__}.")
    command = "includesvg" if look.format == "svg" else "includegraphics"
    width = "\\linewidth" if look.size is None else f"{read_width(look.size):g}mm"
    return (
        "\\begin{figure}\n  \\centering\n"
        f"  \\{command}[width={width}]{{{file}}}\n"
        f"  \\caption{{{_escape(' '.join(sentences))}}}\n"
        f"  \\label{{fig:{Path(file).stem.replace('_', '-')}}}\n\\end{{figure}}\n"
    )


def _source(method: str) -> str:
    """The references in a method's docstring, on one line; an empty text without any."""
    text = " ".join((inspect.getdoc(METHODS[method]) or "").split())
    match = re.search(r"Source: (.+?)\.? (?:Limit:|Args:|Raises:)", f"{text} Limit:")
    return match[1] if match else ""


_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _escape(text: str) -> str:
    """Text for LaTeX; addresses become \\url, in which only percent and hash signs need care."""
    parts = re.split(r"(https?://[^\s,;)]*[^\s,;).])", text)
    return "".join(
        f"\\url{{{part.translate({37: chr(92) + '%', 35: chr(92) + '#'})}}}"
        if i % 2
        else "".join(_SPECIAL.get(c, c) for c in part)
        for i, part in enumerate(parts)
    )
