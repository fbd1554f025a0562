"""The pictures of a report: thumbnails and sheets of patches, from the data set if it still is as it was."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..architecture.config import CCTConfig
from ..dataset.chunks import Chunk, Item, read_chunk
from ..dataset.sources import digest_listing, list_chunks
from ..images.decode import ImageError, decode
from ..images.preprocessing import crop_and_resize
from ..methods.strongest import draw_patches
from .findings import Findings

SIDE = 72  # pixels of the longer side of a thumbnail


def open_source(manifest: Mapping[str, Any]) -> Sequence[Chunk]:
    """The chunks that were analysed; empty if the source is away, as a network may be, or has changed."""
    try:
        chunks = list_chunks(manifest["source"])
    except (ValueError, OSError):
        return ()
    return chunks if digest_listing(chunks) == manifest["listing"] else ()


def read_thumbnails(chunks: Sequence[Chunk], findings: Findings) -> dict[str, np.ndarray]:
    """The pictures that are shown, by their names, with at most SIDE pixels, as far as they can be read."""
    shown = [*findings.typical, *findings.unusual, *(one for cell in findings.cells for one in cell.shown)]
    thumbnails = {}
    for _, item in _read_pictures(chunks, {(one.chunk, one.name) for one in shown}):
        try:
            thumbnails[item.name] = _thumbnail(decode(item.data or b""))
        except ImageError:
            continue
    return thumbnails


def read_sheets(chunks: Sequence[Chunk], manifest: Mapping[str, Any], findings: Findings) -> list[np.ndarray]:
    """The sheet of the strongest patches of each conv stage; none if no picture can be read."""
    config = CCTConfig.from_dict(manifest["config"])
    numbers = {place: number for number, place in findings.patch_pictures.items()}

    def prepare() -> Iterator[tuple[int, np.ndarray]]:
        stretch = manifest["stretch"]
        for chunk, item in _read_pictures(chunks, set(findings.patch_pictures.values())):
            try:
                picture = crop_and_resize(item.data or b"", config.image_size, config.preprocessing, stretch=stretch)
            except ImageError:
                continue
            yield numbers[chunk, item.name], picture.pixels

    prepared = prepare()
    first = next(prepared, None)
    return [] if first is None else draw_patches(config, findings.patches, itertools.chain([first], prepared))


def _read_pictures(chunks: Sequence[Chunk], places: Collection[tuple[int, str]]) -> Iterator[tuple[int, Item]]:
    """The pictures of (number of the chunk, name), with that number, until one cannot be read."""
    names: dict[int, set[str]] = {}
    for number, name in places:
        names.setdefault(number, set()).add(name)
    try:
        for number in sorted(names) if chunks else ():
            for item in read_chunk(chunks[number], names[number]):
                yield number, item
    except (ValueError, OSError):
        return


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
