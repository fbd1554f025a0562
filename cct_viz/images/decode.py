"""Decode a file, bytes, a PIL image or an array to upright RGB pixels, or raise an error of one sentence.

Colour profiles are ignored, as in the decoders of deep-learning frameworks: models are trained on the stored pixels.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,  # noqa: F401  without these two Pillow loads all of its forty plugins
    Image,
    WebPImagePlugin,  # noqa: F401
)

from ..architecture.reprs import short_repr
from .headers import MAX_JPEG_PIXELS, MAX_PIXELS, DamagedError, Header, find_format, read_header, read_orientation
from .kinds import describe

MAX_BYTES = 4 * MAX_PIXELS + 2**20  # the largest uncompressed image with alpha
SHORT_SIDE = 1024  # least short side of a JPEG decoded at reduced scale: the square crop is not shown larger
ACCEPTED = "PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SENSOR_BITS = (8, 10, 12, 14)  # of cameras and scanners that store their values unscaled in 16 bits
_STRETCH = "Use stretch=True in Python or --stretch on the command line to use the whole range."


class ImageError(ValueError):
    """An image that cannot be used. The message is one sentence: what came and what is accepted."""


class ImageWarning(UserWarning):
    """An image that was read, but probably not as its owner expects."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        pixels: (H, W, 3) uint8, upright, read-only.
        note: what the viewer should know about how it was read, one sentence; empty for nearly all images.
    """

    pixels: np.ndarray
    note: str = ""

    __repr__ = short_repr


Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray | Picture


def decode(source: Source) -> np.ndarray:
    """The upright RGB pixels of an image: those of `read_picture`."""
    return read_picture(source).pixels


def read_picture(source: Source, *, stretch: bool = False) -> Picture:
    """The upright RGB pixels of an image, and what is unusual about them.

    Args:
        source: a path; the bytes of a file; a binary file-like object, as from open(path, "rb"), io.BytesIO or
            urllib.request.urlopen, read from where it stands; a PIL image; a uint8 array (H, W, 3), (H, W) grey or
            (H, W, 4) with alpha; or a `Picture`, which is returned as it is. The format follows from the content of a
            file, not from its name. Animations give their first frame, transparent pixels are blended with white,
            16-bit channels keep their upper 8 bits. A JPEG of more than `MAX_PIXELS` is decoded at 1/2, 1/4 or 1/8 of
            its size, with a short side of at least `SHORT_SIDE`.
        stretch: for 16-bit grey images that use the lower bits only, keep the upper 8 of the used bits. Otherwise
            12-bit data in a 16-bit file is nearly black, and `Picture.note` says so.

    Returns:
        A picture; its pixels may share memory with `source` if that is an array.

    Raises:
        ImageError: not a PNG, JPEG, WebP, AVIF, GIF or BMP image, damaged, too large, empty, or a missing file.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        return Picture(_decode_array(source))
    if isinstance(source, Image.Image):
        return _decode_pil(source, stretch)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode_file(bytes(source), "The data", stretch)
    if isinstance(source, (str, os.PathLike)):
        return _decode_file(_read_file(source), _name_of(source), stretch)
    if hasattr(source, "read"):
        return _decode_file(_read_stream(source), _stream_name(source), stretch)
    raise ImageError(
        f"The image is of type {type(source).__name__}; expected a path, the bytes of a file, an open binary file, a "
        "PIL image or a uint8 array"
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


def _read_stream(stream: Any) -> bytes:
    """The bytes of a file-like object, which need not know its size or be seekable."""
    name = _stream_name(stream)
    try:
        parts, size = [], 0
        while size <= MAX_BYTES and (part := stream.read(MAX_BYTES + 1 - size)):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise ImageError(f'{name} is open as text; open it with open(path, "rb")')
            parts.append(bytes(part))
            size += len(part)
    except (OSError, ValueError) as error:  # ValueError: it is closed, or text that is not UTF-8
        if isinstance(error, ImageError):
            raise
        raise ImageError(f'{name} cannot be read; open it again with open(path, "rb")') from error
    if size == 0 and _is_read(stream):
        raise ImageError(f"{name} was read to its end before; go back to its start with seek(0)")
    if size > MAX_BYTES:
        raise ImageError(f"{name} has more than {MAX_BYTES / 1e6:.0f} MB; {ACCEPTED} up to {MAX_BYTES / 1e6:.0f} MB")
    return b"".join(parts)


def _is_read(stream: Any) -> bool:
    """Whether a stream that gave nothing stands behind its start."""
    try:
        return stream.seekable() and stream.tell() > 0
    except (AttributeError, OSError, ValueError):  # not all file-like objects know
        return False


def _stream_name(stream: Any) -> str:
    name = getattr(stream, "name", None)
    return _name_of(name) if isinstance(name, str) and name else "The file"


def _decode_file(data: bytes, name: str, stretch: bool = False) -> Picture:
    image_format = find_format(data)
    if image_format is None:
        kind, advice = describe(data)
        raise ImageError(f"{name} is {kind}{advice and f': {advice}'}; {ACCEPTED}")
    # Pillow raises SyntaxError, struct.error, NotImplementedError, IndexError and more on damaged files.
    try:
        header = read_header(data, image_format)
        _check_size(name, header.size, header.max_pixels)
        image = _open(header, image_format)
        orientation = header.orientation
        if orientation is None:
            orientation = read_orientation(image.info.get("exif", b""))
        rgb, note = _to_rgb(image, name, stretch)
        del image  # copies of a large picture: NumPy makes two more below
        if orientation in _UPRIGHT:
            rgb = rgb.transpose(_UPRIGHT[orientation])
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"{name} is a {image_format} image that is damaged, incomplete or of a rare kind; other {ACCEPTED}"
        ) from error
    return Picture(np.asarray(rgb), note)


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
    image.__dict__.pop("_decoder", None)  # of WebP and AVIF, which holds the picture twice
    return image


def _decode_pil(image: Image.Image, stretch: bool) -> Picture:
    _check_size("The PIL image", image.size[::-1], MAX_JPEG_PIXELS)
    try:
        image.load()
        rgb, note = _to_rgb(image, "The PIL image", stretch)
    except ImageError:
        raise
    except Exception as error:  # lazy loading fails in as many ways as decoding a file
        raise ImageError(f"The PIL image of mode {image.mode} cannot be read ({error}); {ACCEPTED}") from error
    method = _UPRIGHT.get(read_orientation(image.info.get("exif", b"")))
    return Picture(np.asarray(rgb if method is None else rgb.transpose(method)), note)


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
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 and array.ndim == 3 else array)
    return np.asarray(_to_rgb(image, "The array", stretch=False)[0])


def _to_rgb(image: Image.Image, name: str, stretch: bool) -> tuple[Image.Image, str]:
    """`image`, of any mode, as RGB: transparency blended with white, 16-bit grey as its upper 8 bits; and a note."""
    note = ""
    if image.mode == "F":
        raise ImageError("The PIL image has floats (mode F); expected 0..255, so convert its mode to L or RGB")
    if image.mode.startswith("I"):
        image, note = _reduce_depth(image, name, stretch)
    if image.has_transparency_data:
        alpha = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(alpha, mask=alpha)
    return (image if image.mode == "RGB" else image.convert("RGB")), note


def _reduce_depth(image: Image.Image, name: str, stretch: bool) -> tuple[Image.Image, str]:
    """16-bit grey (modes I;16 and I) as L, or LA if one grey is transparent; and a note if it uses few of its bits.

    convert("RGB") would make it white.
    """
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError(
            f"The PIL image of mode {image.mode} has values {values.min()}..{values.max()}; expected 0..65535"
        )
    bits = next((bits for bits in _SENSOR_BITS if values.max() < 2**bits), 16)
    note = ""
    if values.max() > 0 and bits < 16:
        used = f"{name} has 16-bit grey values but uses 1/{2 ** (16 - bits)} of their range (0 to {values.max():,})"
        note = f"{used}; it was stretched from {bits} bits." if stretch else f"{used}, so it looks dark. {_STRETCH}"
    grey = Image.fromarray((values >> ((bits if stretch else 16) - 8)).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey, note
