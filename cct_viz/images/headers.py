"""Format, size and orientation of an image file, read without decoding it.

Each reader also selects the parts of the file that a decoder needs: one still picture without metadata. Pillow gets
nothing else, because it parses metadata in Python: a GIF comment of 5 MB in one-byte blocks takes minutes, and a
damaged EXIF block or animation causes warnings. Every loop here has a bounded number of steps.

References: PNG, https://www.w3.org/TR/png-3; JPEG, ITU-T T.81 annex B; Exif 2.32 section 4.6; GIF89a specification;
WebP container, RFC 9649; BMP, Microsoft's BITMAPINFOHEADER; AVIF, see avif.py.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from .avif import is_avif, read_avif

# In units of 2**20, so that "64 megapixel" phones (9248x6944) and "26 megapixel" cameras (6240x4160) fit.
MAX_PIXELS = 25 * 2**20
MAX_JPEG_PIXELS = 64 * 2**20  # decoded at reduced scale, so that it needs less memory than the other formats
# A JPEG of several scans is decoded from all its coefficients, 2 bytes each: 157 MB. So a progressive one may have 50
# megapixels with halved colours, 25 with full ones and 18 in CMYK.
MAX_COEFFICIENTS = 3 * MAX_PIXELS
MAX_WEBP_PIXELS = 16 * 2**20  # Pillow holds a WebP four times while it decodes it: 270 MB
MAX_RLE_PIXELS = 2**20  # Pillow decodes run-length BMP in Python, 0.3 s per megapixel
MAX_BLOCKS = 100_000  # chunks, segments or blocks per file; the largest PNG has 10,000 chunks of 8 kB
MAX_SCANS = 50  # each scan of a progressive JPEG visits the whole picture, even without data; 10 are usual

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed zero, a restart marker or a fill byte
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}


class DamagedError(ValueError):
    """The file starts like an image of a supported format, but the rest is damaged."""


class Header(NamedTuple):
    """A file's header.

    Attributes:
        size: (height, width) as stored, before `orientation`.
        max_pixels: the largest number of pixels accepted for this format.
        orientation: 1..8 as in EXIF; 1 is upright. None if the decoder reports it.
        parts: when joined, a file of the same format with the first frame and no metadata.
    """

    size: tuple[int, int]
    max_pixels: int
    orientation: int | None
    parts: list[bytes | memoryview]


def find_format(data: bytes) -> str | None:
    """Pillow's name for the format of a file, from its first bytes; None for other files."""
    if data.startswith(_PNG_SIGNATURE):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return "AVIF" if is_avif(data) else None


def read_header(data: bytes, image_format: str) -> Header:
    """The header of a file; `image_format` as returned by `find_format`.

    Raises:
        DamagedError: the structure of the file is broken.
    """
    readers = {
        "PNG": _read_png,
        "JPEG": _read_jpeg,
        "GIF": _read_gif,
        "WEBP": _read_webp,
        "BMP": _read_bmp,
        "AVIF": _read_avif,
    }
    try:
        return readers[image_format](data)
    except (struct.error, IndexError) as error:
        raise DamagedError("the header is cut short") from error


def _read_avif(data: bytes) -> Header:
    try:
        size, parts = read_avif(data)
    except ValueError as error:
        raise DamagedError(str(error)) from error
    return Header(size, MAX_PIXELS, None, parts)


def _read_png(data: bytes) -> Header:
    view = memoryview(data)
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    parts: list[bytes | memoryview] = [_PNG_SIGNATURE]
    orientation, start, kind = 1, 8, b""
    for _ in range(MAX_BLOCKS):
        if kind == b"IEND" or start + 8 > len(data):
            return Header((height, width), MAX_PIXELS, orientation, parts)
        length, kind = struct.unpack_from(">I4s", data, start)
        if (kind == b"IHDR") != (start == 8):
            raise DamagedError("IHDR is missing or repeated")
        end = start + 12 + length
        if kind in _PNG_NEEDED:
            parts.append(view[start:end])
        elif kind == b"tRNS":
            parts.append(_png_transparency(data[start:end], depth, colour))
        elif kind == b"eXIf":
            orientation = read_orientation(data[start + 8 : end])
        start = end
    raise DamagedError("too many chunks")


def _png_transparency(chunk: bytes, depth: int, colour: int) -> bytes:
    """The tRNS chunk with its transparent colour scaled to the 8 bits of the decoded pixels.

    Pillow compares the two without scaling, so it misses the transparent colour of 2-, 4- and 16-bit files.
    """
    grey, rgb = 0, 2
    if (depth, colour) not in {(2, grey), (4, grey), (16, rgb)}:
        return chunk
    values = (value & 2**depth - 1 for value in struct.unpack_from(">H" if colour == grey else ">3H", chunk, 8))
    scaled = [value >> 8 if depth == 16 else value * 255 // (2**depth - 1) for value in values]
    content = b"tRNS" + struct.pack(f">{len(scaled)}H", *scaled)
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def _read_jpeg(data: bytes) -> Header:
    view = memoryview(data)
    parts: list[bytes | memoryview] = [b"\xff\xd8"]
    size, orientation, position = None, 1, 2
    scans, first_scan = 0, 0
    progressive, sampling = False, b""
    for _ in range(MAX_BLOCKS):
        match = _MARKER.search(data, position)
        if match is None or match[0] == b"\xff\xd9":  # end of image; a second picture or a video may follow
            if size is None or not scans:
                raise DamagedError("no picture before the end")
            parts.append(view[first_scan : match.end() if match else None])
            buffered = progressive or scans > 1
            return Header(size, _max_buffered(sampling) if buffered else MAX_JPEG_PIXELS, orientation, parts)
        start, marker = match.start(), data[match.start() + 1]
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        if length < 2:
            raise DamagedError("a segment without length")
        if marker in _JPEG_FRAMES:
            if size is not None:
                raise DamagedError("two frame headers")
            height, width = struct.unpack_from(">HH", data, start + 5)
            size = (height, width)
            progressive = marker & 3 == 2
            sampling = data[start + 11 : position : 3]  # one byte for each component: its samples across and down
        elif marker == 0xDA:
            first_scan = first_scan if scans else start
            scans += 1
            if scans > MAX_SCANS:
                raise DamagedError("too many scans")
        content = data[start + 4 : start + 10]
        if marker == 0xE1 and content == b"Exif\0\0" and orientation == 1:
            orientation = read_orientation(data[start + 10 : position])
        # Of the application segments the decoder needs only JFIF and Adobe, for the colour space.
        metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not scans and (not metadata or content[:5] in (b"JFIF\0", b"Adobe")):
            parts.append(view[start:position])
    raise DamagedError("too many segments")


def _max_buffered(sampling: bytes) -> int:
    """The largest number of pixels of a JPEG of several scans; `sampling` as in its frame header."""
    samples = [(byte >> 4) * (byte & 15) for byte in sampling]
    largest = max(byte >> 4 for byte in sampling) * max(byte & 15 for byte in sampling) if sampling else 0
    if not largest:
        raise DamagedError("a frame without components")
    return min(MAX_JPEG_PIXELS, MAX_COEFFICIENTS * largest // max(1, sum(samples)))


def read_orientation(exif: bytes) -> int:
    """The orientation, 1..8, in an EXIF block; 1 if it is missing or damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    orientation_tag, short = 0x0112, 3
    try:
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, offset)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, offset + 2 + 12 * entry)
            if tag == orientation_tag and kind == short and 1 <= value <= 8:
                return value
    except struct.error:
        return 1
    return 1


def _read_gif(data: bytes) -> Header:
    view = memoryview(data)
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    start = 13 + _gif_palette_bytes(flags)
    control, parts = b"", [data[:start]]
    for _ in range(MAX_BLOCKS):
        if data[start] == ord(","):
            x, y, frame_width, frame_height = struct.unpack_from("<4H", data, start + 1)
            size = max(height, y + frame_height), max(width, x + frame_width)
            return Header(size, MAX_PIXELS, 1, [*parts, control, view[start:]])
        if data[start] != ord("!"):
            raise DamagedError("no picture before the end")
        end = start + 2
        for _ in range(MAX_BLOCKS):
            length = data[end]
            end += 1 + length
            if length == 0:
                break
        else:
            raise DamagedError("too many blocks")
        if data[start + 1] == 0xF9:  # graphic control: the transparent colour
            control = data[start:end]
        start = end
    raise DamagedError("too many blocks")


def _gif_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _read_webp(data: bytes) -> Header:
    kind, orientation = data[12:16], 1
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        orientation = _webp_orientation(data)
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise DamagedError("no picture in the container")
    return Header((height, width), MAX_WEBP_PIXELS, orientation, [data])


def _webp_orientation(data: bytes) -> int:
    start = 12
    for _ in range(MAX_BLOCKS):
        if start + 8 > len(data):
            return 1
        kind, length = struct.unpack_from("<4sI", data, start)
        if kind == b"EXIF":
            return read_orientation(data[start + 8 : start + 8 + length])
        start += 8 + length + length % 2
    raise DamagedError("too many chunks")


def _read_bmp(data: bytes) -> Header:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return Header((height, width), MAX_PIXELS, 1, [data])
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in (1, 2):  # run-length: at most two bytes per pixel, so further bytes only cost time
        end = 2 * MAX_RLE_PIXELS + 2**16
        return Header((abs(height), width), MAX_RLE_PIXELS, 1, [data[:end]])
    return Header((abs(height), width), MAX_PIXELS, 1, [data])
