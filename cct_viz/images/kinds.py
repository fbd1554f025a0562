"""What kind of file it is, if it has none of the accepted formats, and what to do with it. From its content."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

SAVE_AS = "save it as PNG or JPEG"
_PHONE = "export it as JPEG; an iPhone takes JPEG photos with Settings, Camera, Formats, Most Compatible"

# First bytes -> (kind, what to do).
_MAGIC: dict[bytes, tuple[str, str]] = {
    b"%PDF": ("a PDF document", "save the page as PNG"),
    b"II*\0": ("a TIFF image", SAVE_AS),
    b"MM\0*": ("a TIFF image", SAVE_AS),
    b"II+\0": ("a BigTIFF image", SAVE_AS),
    b"MM\0+": ("a BigTIFF image", SAVE_AS),
    b"\0\0\0\x0cjP  \r\n\x87\n": ("a JPEG 2000 image", SAVE_AS),
    b"\xff\x4f\xff\x51": ("a JPEG 2000 image", SAVE_AS),
    b"\0\0\0\x0cJXL \r\n\x87\n": ("a JPEG XL image", SAVE_AS),
    b"\xff\x0a": ("a JPEG XL image", SAVE_AS),
    b"<svg": ("an SVG drawing", "save it as PNG"),
    b"<?xml": ("an XML file", ""),
    b"8BPS": ("a Photoshop file", SAVE_AS),
    b"PK\x03\x04": ("a ZIP archive", "unpack it"),
    b"\0\0\1\0": ("a Windows icon", "save it as PNG"),
}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # brands of ISO/IEC 23008-12
_NETPBM = re.compile(rb"P[1-7]\s")
_TGA_TYPES = {1: 1, 9: 1, 2: 0, 10: 0, 3: 0, 11: 0}  # image type -> whether it has a colour map
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
_LINE_BREAKS = dict.fromkeys(map(ord, "\t\n\r\f"))


def describe(data: bytes) -> tuple[str, str]:
    """The kind of a file, with its article, and what to do to use it; the second is empty where nothing helps."""
    if not data:
        return "an empty file", ""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in start:
        return _MAGIC[b"<svg"]
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if data[4:8] == b"ftyp":
        return ("a HEIC photo", _PHONE) if data[8:12] in _HEIC else ("a video or an image of another kind", "")
    if data[128:132] == b"DICM":
        return "a DICOM file", "export the picture as PNG"
    if _NETPBM.match(data):
        return "a PPM, PGM or PBM image", SAVE_AS
    try:
        text = getincrementaldecoder("utf-8")().decode(data[:512])  # accepts a character cut at 512 bytes
    except UnicodeDecodeError:
        text = "\0"
    if text.translate(_LINE_BREAKS).isprintable():
        return "a text file", ""
    return ("a TGA image", SAVE_AS) if _is_tga(data) else ("not an image", "")


def _is_tga(data: bytes) -> bool:
    """TGA has no first bytes of its own: either its footer is there, or every field of its header makes sense."""
    if data.endswith(_TGA_FOOTER):
        return True
    if len(data) < 18 or data[1] > 1 or _TGA_TYPES.get(data[2]) != data[1]:
        return False
    width, height, depth = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little"), data[16]
    palette = int.from_bytes(data[5:7], "little") * (-(-data[7] // 8)) if data[1] else 0
    pixels = width * height * -(-depth // 8) if data[2] < 8 else 1  # run-length files may be shorter
    return depth in (8, 15, 16, 24, 32) and min(width, height) > 0 and len(data) >= 18 + data[0] + palette + pixels
