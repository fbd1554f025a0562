"""The header of an AVIF file: its size, read without decoding, and a copy without EXIF.

An AVIF file is a tree of boxes, each with its length and a name of four letters. Sizes stand in "ispe" boxes at
meta/iprp/ipco; rotation and mirroring are properties too, which the decoder reports.

Reference: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (image properties), https://aomediacodec.github.io/av1-avif
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAX_BOXES = 10_000
_BRANDS = (b"avif", b"avis")
_CONTAINERS = (b"mif1", b"msf1")  # of HEIC photos too, so their list of brands decides


def is_avif(data: bytes) -> bool:
    """Whether a file starts as AVIF does."""
    if data[4:8] != b"ftyp":
        return False
    if data[8:12] in _BRANDS:
        return True
    compatible = data[16 : min(int.from_bytes(data[:4], "big"), 512)]
    brands = {compatible[i : i + 4] for i in range(0, len(compatible), 4)}
    return data[8:12] in _CONTAINERS and not brands.isdisjoint(_BRANDS)


def read_avif(data: bytes) -> tuple[tuple[int, int], list[bytes | memoryview]]:
    """(height, width) of the largest picture in the file, and the file without its EXIF block.

    Pillow parses EXIF in Python. The block's entry gets another name of the same length, so that no position changes.

    Raises:
        ValueError: no size, or more boxes than any encoder writes.
        struct.error, IndexError: the header is cut short.
    """
    start, end = _find(data, b"meta", 0, len(data))
    inner = start + 4  # its version and flags
    sizes = []
    for name, at, _ in _boxes(data, *_find(data, b"ipco", *_find(data, b"iprp", inner, end))):
        if name == b"ispe":
            width, height = struct.unpack_from(">II", data, at + 4)
            sizes.append((height, width))
    if not sizes:
        raise ValueError("no size")
    view = memoryview(data)
    meta = bytes(view[start:end]).replace(b"Exif", b"none")
    return max(sizes, key=lambda size: size[0] * size[1]), [view[:start], meta, view[end:]]


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of the content of each box between `start` and `end`."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        length, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", data, start + 8), 16
        stop = start + length if length else end  # 0 reaches to the end
        if length and length < header:
            raise ValueError("a box without length")
        yield name, start + header, min(stop, end)
        start = stop
    raise ValueError("too many boxes")


def _find(data: bytes, wanted: bytes, start: int, end: int) -> tuple[int, int]:
    """The content of the first box called `wanted`."""
    for name, at, stop in _boxes(data, start, end):
        if name == wanted:
            return at, stop
    raise ValueError(f"no {wanted.decode()} box")
