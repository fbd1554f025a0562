"""Unusual images made in code: each format in several kinds, and a seeded function that damages them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_COARSE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
PHOTO = np.array(_COARSE.resize((80, 60), Image.Resampling.BICUBIC))


def encode(image, image_format="PNG", **options):
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
    frame = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))  # baseline or progressive
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


WHOLE = {
    "png": encode(PHOTO, "PNG"),
    "jpeg": encode(PHOTO, "JPEG", quality=92),
    "progressive": encode(PHOTO, "JPEG", quality=92, progressive=True),
    "gif": encode(PHOTO, "GIF"),
    "webp": encode(PHOTO, "WEBP", quality=92),
    "webp_lossless": encode(PHOTO, "WEBP", lossless=True),
    "bmp": encode(PHOTO, "BMP"),
    "avif": encode(PHOTO, "AVIF", quality=92),
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
        encode(PHOTO, "AVIF", exif=exif(6)),
        bmp_rle(5, 2, b"\x05\x64\x00\x00\x02\x01\x03\x02\x00\x01"),
    ]


SLOW = [
    "gif comment",
    "png chunks",
    "jpeg junk",
    "jpeg comments",
    "jpeg scans",
    "webp chunks",
    "bmp large",
    "bmp lines",
]


def make_slow_file(kind):
    """A file of some megabytes, each of which is one more step for a decoder that walks it in Python."""
    if kind == "gif comment":
        table_end = WHOLE["gif"].index(b"!" if b"!" in WHOLE["gif"][:800] else b",", 13)
        return WHOLE["gif"][:table_end] + b"!\xfe" + b"\x01a" * 3_000_000 + b"\0" + WHOLE["gif"][table_end:]
    if kind == "png chunks":
        return WHOLE["png"][:33] + chunk(b"tEXt") * 500_000 + WHOLE["png"][33:]
    if kind == "jpeg junk":
        return WHOLE["jpeg"][:2] + bytes(18_000_000) + WHOLE["jpeg"][2:]
    if kind == "jpeg comments":
        return WHOLE["jpeg"][:2] + b"\xff\xfe\0\2" * 4_000_000 + WHOLE["jpeg"][2:]
    if kind == "jpeg scans":
        jpeg = encode(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
        last = jpeg.rindex(b"\xff\xda")
        return jpeg[:-2] + jpeg[last : last + 10] * 10_000 + jpeg[-2:]
    if kind == "webp chunks":
        return WHOLE["webp"] + b"abcd\0\0\0\0" * 2_000_000
    if kind == "bmp large":
        return bmp_rle(5000, 5000, b"\0\1")
    assert kind == "bmp lines"
    return bmp_rle(1000, 1000, b"\0\0" * 8_000_000)


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
