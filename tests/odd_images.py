"""Unusual images made in code: each format in several kinds, and a seeded function that damages them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_COARSE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
PHOTO = np.array(_COARSE.resize((80, 60), Image.Resampling.BICUBIC))


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind, content=b""):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *extra):
    """A PNG of raw rows, each with its filter byte."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def bmp_rle(width, height, rows):
    palette = bytes(value for grey in range(256) for value in (grey, 255 - grey, 7, 0))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


def exif(orientation, order=">"):
    mark = b"MM" if order == ">" else b"II"
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 80, 0) + struct.pack(
        order + "HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return mark + struct.pack(order + "HIH", 42, 8, 2) + entries + bytes(4)


def with_jpeg_segment(jpeg, marker, content):
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:]


def patch_jpeg_size(jpeg, width, height):
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


WHOLE = {
    "png": encode(PHOTO, "PNG"),
    "jpeg": encode(PHOTO, "JPEG", quality=92),
    "progressive": encode(PHOTO, "JPEG", quality=92, progressive=True),
    "gif": encode(PHOTO, "GIF"),
    "webp": encode(PHOTO, "WEBP", quality=92),
    "webp_lossless": encode(PHOTO, "WEBP", lossless=True),
    "bmp": encode(PHOTO, "BMP"),
}


def make_kinds():
    """Small valid files as bytes: each format, several depths and colour types, rotated, transparent and animated."""
    frames = [Image.fromarray(PHOTO).rotate(angle) for angle in (0, 90, 180)]
    return [
        *WHOLE.values(),
        png(80, 60, 16, 0, bytes(161 * 60)),
        encode(Image.fromarray(PHOTO).quantize(16), "PNG", transparency=3),
        encode(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"),
        encode(PHOTO, "JPEG", exif=b"Exif\0\0" + exif(6)),
        *(encode(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "WEBP", "PNG")),
        encode(PHOTO, "WEBP", exif=exif(6)),
        bmp_rle(5, 2, b"\x05\x64\x00\x00\x02\x01\x03\x02\x00\x01"),
    ]


def mutate(data, rng):
    """A copy of `data` with one to seven changes: flipped bits, extreme numbers, or pieces cut, doubled or random."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        start = int(rng.integers(len(data))) if rng.random() < 0.5 else int(rng.integers(min(len(data), 100)))
        kind = rng.integers(5)
        if kind == 0:
            data[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[start : start + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\0\0\xff\xff", b"\x7f\xff\xff\xff"])
        elif kind == 2:
            data[start : start + int(rng.integers(1, 50))] = b""
        elif kind == 3:
            data[start:start] = data[start : start + int(rng.integers(1, 200))]
        else:
            data[start : start + 16] = rng.bytes(16)
        data = data or bytearray(b"\0")
    return bytes(data)
