"""The patches of many pictures where a channel of the tokenizer is strongest: what it has learned to look for.

Of each picture counts the cell with the channel's largest value, so that nine patches come from nine pictures. A patch
is the window of pixels that the cell sees. After Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901, figure 2,
without their deconvolution.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..architecture.beside import ignore
from ..architecture.config import CCTConfig
from ..architecture.geometry import StageGeometry, stage_geometry
from ..architecture.reprs import short_repr
from ..images.encode import jpeg
from ..inference.trace import Trace

COUNT = 9  # patches of a channel
FILE = "strongest_patches_{}.jpg"  # of stage 1 and so on, beside the weights; from `evaluate --patches` or `report`
MAX_BYTES = 20_000_000
MOST_ROWS = 65_500  # of pixels in a JPEG
_NOTHING = 128  # grey, where a window leaves the picture and where there is no patch
_FIELDS = {"value": "values", "picture": "pictures", "cell": "cells"}  # in rows -> in Strongest


@dataclass(frozen=True, eq=False)
class Strongest:
    """The strongest patches of each channel of one conv stage, the strongest first; of equal ones the earlier picture.

    Attributes:
        values: (C, 9) float32; a channel that is nowhere above 0 and a set of fewer pictures leave 0.
        pictures: (C, 9) int64, the number of the picture; -1 where there is none.
        cells: (C, 9) int32, the cell's number, row by row.
    """

    values: np.ndarray
    pictures: np.ndarray
    cells: np.ndarray

    __repr__ = short_repr

    def merge(self, other: Strongest) -> Strongest:
        """The strongest of both; `other` is of later pictures."""
        better = other.values[:, 0] > self.values[:, -1]  # the other channels stay as they are
        if not better.any():
            return self
        values = np.concatenate([self.values[better], other.values[better]], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :COUNT]

        def pick(name: str) -> np.ndarray:
            merged = getattr(self, name).copy()
            both = np.concatenate([merged[better], getattr(other, name)[better]], axis=1)
            merged[better] = np.take_along_axis(both, order, axis=1)
            return merged

        return Strongest(pick("values"), pick("pictures"), pick("cells"))


def no_patches(config: CCTConfig) -> list[Strongest]:
    """Of each conv stage, before the first picture."""
    shapes = [(stage.channels, COUNT) for stage in config.tokenizer]
    return [Strongest(np.zeros(s, np.float32), np.full(s, -1, np.int64), np.zeros(s, np.int32)) for s in shapes]


def add_picture(strongest: Sequence[Strongest], trace: Trace, number: int) -> list[Strongest]:
    """The strongest patches of each conv stage after one more picture, which has this number."""
    return [stage.merge(_find_peaks(maps, number)) for stage, maps in zip(strongest, trace.feature_maps, strict=True)]


def to_rows(strongest: Sequence[Strongest]) -> dict[str, np.ndarray]:
    """Arrays (n,) of "stage", "channel" and "rank", each from 0, "value", "picture" and "cell": one entry for each
    patch that there is."""
    places = [np.nonzero(stage.pictures >= 0) for stage in strongest]
    rows = {"stage": np.repeat(np.arange(len(places), dtype=np.int32), [len(channels) for channels, _ in places])}
    for i, name in enumerate(("channel", "rank")):
        rows[name] = np.concatenate([place[i] for place in places]).astype(np.int32)
    for name, field in _FIELDS.items():
        rows[name] = np.concatenate([getattr(s, field)[place] for s, place in zip(strongest, places, strict=True)])
    return rows


def from_rows(config: CCTConfig, rows: Mapping[str, np.ndarray]) -> list[Strongest]:
    """Of each conv stage, from the arrays of `to_rows`."""
    strongest = no_patches(config)
    for number, stage in enumerate(strongest):
        here = rows["stage"] == number
        for name, field in _FIELDS.items():
            getattr(stage, field)[rows["channel"][here], rows["rank"][here]] = rows[name][here]
    return strongest


def _find_peaks(maps: np.ndarray, number: int) -> Strongest:
    """(C, 1): the largest value of each channel of the feature maps (h, w, C) of a picture."""
    cells = maps.reshape(-1, maps.shape[-1])
    places = cells.argmax(axis=0)
    values = np.maximum(np.take_along_axis(cells, places[None], axis=0)[0], 0)
    numbers = np.where(values > 0, number, -1)
    return Strongest(values[:, None], numbers[:, None], places.astype(np.int32)[:, None])


def draw_patches(
    config: CCTConfig, strongest: Sequence[Strongest], pictures: Iterable[tuple[int, np.ndarray]]
) -> list[np.ndarray]:
    """The sheet of each conv stage, (C * h, 9 * w, 3) uint8 for windows of h x w pixels: a row for each channel, grey
    where there is nothing.

    Args:
        pictures: number and (H, W, 3) uint8 model's input of each picture in `strongest`; those that are missing stay
            grey.
    """
    geometry = stage_geometry(config)
    sheets = [
        np.full((*stage.values.shape, *places.window_size, 3), _NOTHING, np.uint8)
        for stage, places in zip(strongest, geometry, strict=True)
    ]
    for number, pixels in pictures:
        for sheet, stage, places in zip(sheets, strongest, geometry, strict=True):
            for channel, rank in np.argwhere(stage.pictures == number):
                sheet[channel, rank] = cut_window(pixels, places, stage.cells[channel, rank])
    return [sheet.swapaxes(1, 2).reshape(sheet.shape[0] * sheet.shape[2], -1, 3) for sheet in sheets]


def cut_window(pixels: np.ndarray, places: StageGeometry, cell: int) -> np.ndarray:
    """(h, w, 3) uint8: the window that a cell sees of (H, W, 3) pixels, grey beyond the picture."""
    patch = np.full((*places.window_size, 3), _NOTHING, np.uint8)
    y, x = places.centres.reshape(-1, 2)[cell]
    rows, columns = (
        round(middle - size / 2) + np.arange(size) for middle, size in zip((y, x), places.window_size, strict=True)
    )
    down, right = (rows >= 0) & (rows < pixels.shape[0]), (columns >= 0) & (columns < pixels.shape[1])
    patch[np.ix_(down, right)] = pixels[np.ix_(rows[down], columns[right])]
    return patch


def write_patches(folder: Path, sheets: Sequence[np.ndarray]) -> list[Path]:
    """Write the sheet of each conv stage as a JPEG file, without one of more rows than a JPEG has; returns their paths.

    Raises:
        OSError: a file cannot be written.
    """
    paths = {folder / FILE.format(i + 1): sheet for i, sheet in enumerate(sheets) if len(sheet) <= MOST_ROWS}
    for path, sheet in paths.items():
        path.write_bytes(jpeg(sheet))
    return list(paths)


def read_patches(folder: Path | None, config: CCTConfig) -> list[bytes | None]:
    """The sheet of each conv stage, as `read_sheet`."""
    return [read_sheet(folder, config, stage) for stage in range(len(config.tokenizer))]


def read_sheet(folder: Path | None, config: CCTConfig, stage: int) -> bytes | None:
    """The JPEG file of a conv stage, from 0, in the folder of the weights, which may come from strangers; None if it is
    missing, damaged or of another model."""
    if folder is None:
        return None
    path = folder / FILE.format(stage + 1)
    height, width = stage_geometry(config)[stage].window_size
    size = COUNT * width, config.tokenizer[stage].channels * height
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as sheet:
            if sheet.size != size:
                raise ValueError("of another model")
            sheet.load()
        return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        ignore(path, "it is damaged, too large or of another model")
        return None
