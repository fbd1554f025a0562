"""A link that opens the app with the same picture and model: an example's name, or the pixels of the model's input."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import numpy as np

from ..images.decode import ImageError, decode
from ..images.encode import png
from ..images.headers import find_format, read_header
from ..web.examples import read_examples
from .view import Shown

LONGEST = 8000  # characters of an address that servers and chat programs accept
MOST_PIXELS = 512 * 512  # no model here needs more; a PNG of 3 kB in one colour can decode to 26 megapixels


def write_link(shown: Shown) -> str:
    """The query of a link to what is shown, "model=...&example=..." or "...&pixels=..."; empty if it is too long."""
    if shown.example is not None:
        return urlencode({"model": shown.card.name, "example": shown.example})
    pixels = base64.urlsafe_b64encode(png(shown.trace.pixels)).decode().rstrip("=")
    query = urlencode({"model": shown.card.name, "pixels": pixels})
    return query if len(query) <= LONGEST else ""


def read_link(query: Mapping[str, str], models: Sequence[str]) -> tuple[np.ndarray | None, str | None]:
    """The picture (h, w, 3) uint8 and the model of a link; each is None if it is missing or invalid."""
    model = query.get("model") if query.get("model") in models else None
    example = read_examples().get(query.get("example", ""))
    if example is not None:
        return example, model
    pixels = query.get("pixels", "")
    if not pixels or len(pixels) > LONGEST:
        return None, model
    try:
        data = base64.b64decode(pixels + "=" * (-len(pixels) % 4), altchars=b"-_", validate=True)
        return decode(data) if _is_small_png(data) else None, model
    except (binascii.Error, ValueError, ImageError):
        return None, model


def _is_small_png(data: bytes) -> bool:
    """Whether `data` has the format and size that `write_link` creates.

    Raises:
        ValueError: the header is damaged.
    """
    if find_format(data) != "PNG":
        return False
    height, width = read_header(data, "PNG").size
    return height * width <= MOST_PIXELS
