"""Decode a file, bytes, a PIL image or an array to upright RGB pixels, or raise an error of one sentence.

Colour profiles are ignored, as in the decoders of deep-learning frameworks: models are trained on the stored pixels.
"""

from __future__ import annotations

import os
import stat
from codecs import getincrementaldecoder
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import (
    Image,
    WebPImagePlugin,  # noqa: F401  without it Pillow loads all of its forty plugins
)

from .headers import MAX_JPEG_PIXELS, MAX_PIXELS, DamagedError, Header, find_format, read_header, read_orientation

MAX_BYTES = 4 * MAX_PIXELS + 2**20  # the largest uncompressed image with alpha
SHORT_SIDE = 1024  # least short side of a JPEG decoded at reduced scale: the square crop is not shown larger
ACCEPTED = "PNG, JPEG, WebP, GIF and BMP images are accepted"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OTHER_KINDS = {
    b"%PDF": "a PDF document",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
    b"8BPS": "a Photoshop file",
    b"PK\x03\x04": "a ZIP archive",
    b"\0\0\1\0": "a Windows icon",
}
_OTHER_BRANDS = {b"heic": "a HEIC photo", b"heix": "a HEIC photo", b"mif1": "a HEIC photo", b"avif": "an AVIF image"}
_LINE_BREAKS = dict.fromkeys(map(ord, "\t\n\r\f"))


class ImageError(ValueError):
    """An image that cannot be used. The message is one sentence: what came and what is accepted."""


def decode(source: str | os.PathLike[str] | bytes | Image.Image | np.ndarray) -> np.ndarray:
    """The upright RGB pixels of an image.

    Args:
        source: a path; the bytes of a file; a PIL image; or a uint8 array (H, W, 3), (H, W) grey or (H, W, 4) with
            alpha. The format follows from the content of a file, not from its name. Animations give their first frame,
            transparent pixels are blended with white, 16-bit channels keep their upper 8 bits. A JPEG of more than
            `MAX_PIXELS` is decoded at 1/2, 1/4 or 1/8 of its size, with a short side of at least `SHORT_SIDE`.

    Returns:
        (H, W, 3) uint8, read-only. It may share memory with `source` if that is an array.

    Raises:
        ImageError: not a PNG, JPEG, WebP, GIF or BMP image, damaged, too large, empty, or a missing file.
    """
    if isinstance(source, np.ndarray):
        return _decode_array(source)
    if isinstance(source, Image.Image):
        return _decode_pil(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode_file(bytes(source), "The data")
    if isinstance(source, (str, os.PathLike)):
        return _decode_file(_read_file(source), _name_of(source))
    raise ImageError(
        f"The image is of type {type(source).__name__}; expected a path, the bytes of a file, a PIL image or a uint8 "
        "array"
    )


def _name_of(path: str | os.PathLike[str]) -> str:
    """A file's name for a message, unprintable characters as "?" (half a surrogate pair cannot be printed)."""
    name = os.path.basename(os.fsdecode(path).rstrip(os.sep))
    if not name.isprintable():
        name = "".join(c if c.isprintable() else "?" for c in name)
    if len(name) > 80:
        name = f"{name[:40]}...{name[-37:]}"
    return name or "The path"


def _read_file(path: str | os.PathLike[str]) -> bytes:
    name = _name_of(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may block forever
            raise ImageError(f"{name} is not a file; {ACCEPTED}")
        if status.st_size > MAX_BYTES:
            raise ImageError(
                f"{name} is a file of {status.st_size / 1e6:.0f} MB; {ACCEPTED} up to {MAX_BYTES / 1e6:.0f} MB"
            )
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"There is no file named {name}; expected the path of an image") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        if isinstance(error, ImageError):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise ImageError(f"{name} cannot be read ({reason or 'not a path'}); {ACCEPTED}") from error


def _decode_file(data: bytes, name: str) -> np.ndarray:
    image_format = find_format(data)
    if image_format is None:
        raise ImageError(f"{name} is {_describe(data)}; {ACCEPTED}")
    # Pillow raises SyntaxError, struct.error, NotImplementedError, IndexError and more on damaged files.
    try:
        header = read_header(data, image_format)
        _check_size(name, header.size, header.max_pixels)
        rgb = _to_rgb(_open(header, image_format))
        if header.orientation in _UPRIGHT:
            rgb = rgb.transpose(_UPRIGHT[header.orientation])
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"{name} is a {image_format} image that is damaged, incomplete or of a rare kind; other {ACCEPTED}"
        ) from error
    return np.asarray(rgb)


def _check_size(name: str, size: tuple[int, int], max_pixels: int) -> None:
    height, width = size
    if min(size) < 1:
        raise ImageError(f"{name} has {width}x{height} pixels; an image of one pixel or more is expected")
    if height * width > max_pixels:
        raise ImageError(
            f"{name} has {width}x{height} pixels ({height * width / 1e6:.1f} megapixels); up to {max_pixels // 2**20} "
            "megapixels are accepted for this kind of image"
        )


def _open(header: Header, image_format: str) -> Image.Image:
    """The decoded image, of the size in the header, which was checked."""
    image = Image.open(BytesIO(b"".join(header.parts)), formats=[image_format])
    if image.size != header.size[::-1]:
        raise DamagedError(f"two different sizes: {image.size[::-1]} and {header.size}")
    if image.size[0] * image.size[1] > MAX_PIXELS:
        image.draft(None, (SHORT_SIDE, SHORT_SIDE))
    image.load()
    return image


def _describe(data: bytes) -> str:
    """What kind of file it is, if it has none of the accepted formats."""
    if not data:
        return "an empty file"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in start:
        return "an SVG drawing"
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            return kind
    if data[4:8] == b"ftyp":
        return _OTHER_BRANDS.get(data[8:12], "a video or an image of another kind")
    try:
        text = getincrementaldecoder("utf-8")().decode(data[:512])  # accepts a character cut at 512 bytes
    except UnicodeDecodeError:
        return "not an image"
    return "a text file" if text.translate(_LINE_BREAKS).isprintable() else "not an image"


def _decode_pil(image: Image.Image) -> np.ndarray:
    _check_size("The PIL image", image.size[::-1], MAX_JPEG_PIXELS)
    try:
        image.load()
        rgb = _to_rgb(image)
    except ImageError:
        raise
    except Exception as error:  # lazy loading fails in as many ways as decoding a file
        raise ImageError(f"The PIL image of mode {image.mode} cannot be read ({error}); {ACCEPTED}") from error
    method = _UPRIGHT.get(read_orientation(image.info.get("exif", b"")))
    return np.asarray(rgb if method is None else rgb.transpose(method))


def _decode_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(
            f"The array has dtype {array.dtype}; expected uint8 values 0..255. Convert it; for values in 0..1 use "
            "(255 * x).round().astype('uint8')"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise ImageError(
            f"The array has shape {array.shape}; expected one image of shape (H, W, 3), (H, W) or (H, W, 4)"
        )
    _check_size("The array", array.shape[:2], MAX_JPEG_PIXELS)
    if array.ndim == 3 and array.shape[-1] == 3:
        view = array.view()
        view.setflags(write=False)
        return view
    return np.asarray(_to_rgb(Image.fromarray(array[..., 0] if array.shape[-1] == 1 and array.ndim == 3 else array)))


def _to_rgb(image: Image.Image) -> Image.Image:
    """`image`, of any mode, as RGB: transparency blended with white, 16-bit grey as its upper 8 bits."""
    if image.mode == "F":
        raise ImageError("The PIL image has floats (mode F); expected 0..255, so convert its mode to L or RGB")
    if image.mode.startswith("I"):
        image = _reduce_depth(image)
    if image.has_transparency_data:
        alpha = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(alpha, mask=alpha)
    return image if image.mode == "RGB" else image.convert("RGB")


def _reduce_depth(image: Image.Image) -> Image.Image:
    """16-bit grey (modes I;16 and I) as L, or LA if one grey is transparent. convert("RGB") would make it white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError(
            f"The PIL image of mode {image.mode} has values {values.min()}..{values.max()}; expected 0..65535"
        )
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey
