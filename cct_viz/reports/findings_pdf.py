"""The findings of a data set as a PDF for print: A4, text as text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from .figures import colourise
from .findings_sections import Gallery, Map, Section, Strips, Table
from .palette import BLUE, ORANGE
from .paper import FONTS, NO_DATE, SAVING, Page

# Inches, and points of letters.
WIDTH, HEIGHT, MARGIN = 8.27, 11.69, 0.75
INSIDE = WIDTH - 2 * MARGIN
POINTS, LINE = 9.5, 0.19
LETTER = 0.6 / 72  # width of a letter of one point, at most on average
ROW = 0.2
NARROWEST = 0.32  # column of a table; wider tables are split
LONGEST = 28  # letters of a column's name
SHADE = 0.45  # of the colour where the shade is largest
KEPT = 1.2  # below words, so that what they are about begins on their page
AT_ONCE = 7  # pictures in a row
COLUMNS, CELL = 3, 0.3  # strips beside each other; the room of a channel's number


def write_pdf(title: str, sections: Sequence[Section], path: Path) -> None:
    """Write a report.

    Raises:
        OSError: the file cannot be written.
    """
    with SAVING, matplotlib.rc_context(FONTS), PdfPages(path, metadata=NO_DATE["pdf"]) as file:
        pages = _Pages(file)
        pages.write(title, 15)
        for section in sections:
            pages.heading(section.title)
            for part in section.body:
                if isinstance(part, str):
                    pages.write(part)
                elif isinstance(part, Table):
                    pages.table(part)
                elif isinstance(part, Map):
                    pages.map(part)
                elif isinstance(part, Gallery):
                    pages.gallery(part)
                else:
                    pages.strips(part)
        pages.close()


class _Pages:
    """Fills pages from the top. Lengths are inches; `y` is where the next thing begins, from the bottom."""

    def __init__(self, file: PdfPages):
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._page = Page(figsize=(WIDTH, HEIGHT))
        self.y = HEIGHT - MARGIN

    def close(self) -> None:
        self._file.savefig(self._page)

    @property
    def room(self) -> float:
        return self.y - MARGIN

    def _need(self, height: float) -> None:
        """Go to a new page if there is not this much room."""
        if height > self.room and self.y < HEIGHT - MARGIN:
            self.close()
            self._begin()

    def _axes(self, x: float, width: float, height: float) -> Axes:
        """Axes of this size whose upper edge is at `y`, `x` from the left margin."""
        box = ((MARGIN + x) / WIDTH, (self.y - height) / HEIGHT, width / WIDTH, height / HEIGHT)
        axes = self._page.add_axes(box)
        axes.set_axis_off()
        return axes

    def write(self, text: str, points: float = POINTS) -> None:
        lines, step = textwrap.wrap(text, int(INSIDE / (points * LETTER))), LINE * points / POINTS
        self._need(step * len(lines) + KEPT)
        for line in lines:
            self._need(step)
            self.y -= step
            place = (MARGIN / WIDTH, (self.y + 0.05) / HEIGHT)
            self._page.text(*place, line, fontsize=points, parse_math=False)
        self.y -= 0.08

    def heading(self, text: str) -> None:
        self._need(1.5 * KEPT)
        self.y -= 0.2
        self.write(text, 12.5)

    def map(self, shown: Map) -> None:
        rows, columns = shown.values.shape
        width = min(2.2, 2.2 * columns / rows)
        self._picture(colourise(shown.values, signed=False, limit=float(shown.values.max())), width)

    def _picture(self, picture: np.ndarray, width: float) -> None:
        height = width * picture.shape[0] / picture.shape[1]
        self._need(height)
        self._axes(0, width, height).imshow(picture, aspect="auto", interpolation="none")
        self.y -= height + 0.12

    def table(self, table: Table) -> None:
        """Split below a row where a page ends, and beside a column where the page is too narrow; each part has the
        names of its rows and columns."""
        first = min(1.8, max(len(name) for name in (table.corner, *table.rows)) * 8 * LETTER + 0.1)
        most = int((INSIDE - first) / NARROWEST)
        for begin in range(0, len(table.columns), most):
            part = slice(begin, begin + most)
            columns = [_shorten(name, LONGEST) for name in table.columns[part]]
            values, shade = table.values[:, part], table.shade[:, part]
            self._part(replace(table, columns=columns, values=values, shade=shade), first, np.abs(table.shade).max())

    def _part(self, table: Table, first: float, largest: float) -> None:
        """A table that fits beside names of `first` inches; `largest` is where the shade is full."""
        wide = min(max(0.55, max(map(len, table.columns)) * 8 * LETTER + 0.1), (INSIDE - first) / len(table.columns))
        cells = [[f"{value:{table.form}}" for value in line] for line in table.values]
        if max(map(len, table.columns)) * 8 * LETTER > wide:
            wide = min(wide, 0.8)  # the names are turned
        longest = max(len(cell) for line in cells for cell in line)
        points = min(8.0, wide / (longest * LETTER) * 0.95)
        turned = max(map(len, table.columns)) * points * LETTER > wide
        head = 0.15 + max(map(len, table.columns)) * points * LETTER if turned else ROW
        limit = float(largest) or 1.0
        begin = 0
        while begin < len(cells):
            self._need(head + 2 * ROW)
            count = min(len(cells) - begin, max(1, int((self.room - head) / ROW)))
            axes = self._axes(0, first + wide * len(table.columns), head + count * ROW)
            axes.set(xlim=(0, first + wide * len(table.columns)), ylim=(head + count * ROW, 0))
            axes.text(0, head - 0.06, table.corner, fontsize=points, parse_math=False)
            for c, name in enumerate(table.columns):
                middle = first + (c + 0.5) * wide
                axes.text(
                    middle,
                    head - 0.06,
                    name,
                    fontsize=points,
                    ha="center",
                    rotation=90 if turned else 0,
                    va="bottom",
                    parse_math=False,
                )
            for r in range(count):
                line = begin + r
                base = head + (r + 1) * ROW
                name = _shorten(table.rows[line], max(4, int(first / (points * LETTER))))
                axes.text(0, base - 0.06, name, fontsize=points, parse_math=False)
                for c, cell in enumerate(cells[line]):
                    part = float(table.shade[line, c]) / limit
                    colour = np.array(to_rgb(ORANGE if part > 0 and table.signed else BLUE))
                    mixed = 1 + SHADE * abs(part) * (colour - 1)
                    box = Rectangle(
                        (first + c * wide, base - ROW), wide, ROW, facecolor=mixed, edgecolor="white", lw=0.5
                    )
                    axes.add_patch(box)
                    right = first + (c + 1) * wide - 0.04
                    axes.text(right, base - 0.06, cell, fontsize=points, ha="right", parse_math=False)
            self.y -= head + count * ROW + 0.12
            begin += count

    def gallery(self, gallery: Gallery) -> None:
        side, step = 0.8, INSIDE / AT_ONCE
        for begin in range(0, len(gallery.pictures), AT_ONCE):
            row = gallery.pictures[begin : begin + AT_ONCE]
            letters = int((step - 0.06) / (5.5 * LETTER))
            words = [textwrap.wrap(_shorten(caption, 3 * letters), letters) for caption, _ in row]
            height = side + 0.1 * max(map(len, words)) + 0.08
            self._need(height)
            for i, ((_, picture), lines) in enumerate(zip(row, words, strict=True)):
                if picture is not None:
                    scale = side / max(picture.shape[:2])
                    size = picture.shape[1] * scale, picture.shape[0] * scale
                    self._axes(i * step, *size).imshow(picture, aspect="auto", interpolation="none")
                for n, line in enumerate(lines, 1):
                    place = ((MARGIN + i * step) / WIDTH, (self.y - side - 0.1 * n) / HEIGHT)
                    self._page.text(*place, line, fontsize=5.5, parse_math=False)
            self.y -= height

    def strips(self, strips: Strips) -> None:
        """Three columns of channels; those of a column are one part of the sheet."""
        tall = strips.sheet.shape[0] // strips.channels
        width = INSIDE / COLUMNS - CELL - 0.1
        high = width * tall / strips.sheet.shape[1]
        begin = 0
        while begin < strips.channels:
            self._need(high * min(4, strips.channels - begin))
            most = max(1, int(self.room / high))
            rows = min(most, -(-(strips.channels - begin) // COLUMNS))
            for column in range(COLUMNS):
                first = begin + column * rows
                count = min(rows, strips.channels - first)
                if count <= 0:
                    break
                x = column * INSIDE / COLUMNS
                part = strips.sheet[first * tall : (first + count) * tall]
                axes = self._axes(x + CELL, width, count * high)
                axes.imshow(part, aspect="auto", interpolation="none")
                for line in range(1, count):
                    axes.axhline(line * tall - 0.5, color="white", lw=1)
                for n in range(count):
                    place = ((MARGIN + x + CELL - 0.05) / WIDTH, (self.y - (n + 0.5) * high) / HEIGHT)
                    self._page.text(*place, str(first + n + 1), fontsize=6, ha="right", va="center")
            self.y -= rows * high + 0.1
            begin += rows * COLUMNS


def _shorten(text: str, letters: int) -> str:
    """At most so many letters; of a longer text the middle is left out, because ends tell names apart."""
    if len(text) <= letters:
        return text
    end = (letters - 1) // 2
    return f"{text[: letters - 1 - end]}…{text[len(text) - end :]}"
