"""A link that opens the app on the same picture and model: an example by name, or the pixels that the model saw."""

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

LONGEST = 8000  # characters that servers and chats still take as an address
MOST_PIXELS = 512 * 512  # no model here sees more; 3 kB of one colour would unfold to 26 megapixels


def write_link(shown: Shown) -> str:
    """The query of a link to what is shown, "model=...&example=..." or "...&pixels=..."; empty where it would be too
    long."""
    if shown.example is not None:
        return urlencode({"model": shown.card.name, "example": shown.example})
    pixels = base64.urlsafe_b64encode(png(shown.trace.pixels)).decode().rstrip("=")
    query = urlencode({"model": shown.card.name, "pixels": pixels})
    return query if len(query) <= LONGEST else ""


def read_link(query: Mapping[str, str], models: Sequence[str]) -> tuple[np.ndarray | None, str | None]:
    """The picture (h, w, 3) uint8 and the model that a link names; None for what it does not name or names wrongly."""
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
    """Whether these bytes are of the kind and size that `write_link` sends; a damaged header is a ValueError."""
    if find_format(data) != "PNG":
        return False
    height, width = read_header(data, "PNG").size
    return height * width <= MOST_PIXELS
