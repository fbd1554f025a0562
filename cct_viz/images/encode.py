"""Pixels -> PNG and JPEG files and data: URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png(picture: np.ndarray) -> bytes:
    """`picture` (h, w, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def jpeg(picture: np.ndarray) -> bytes:
    """`picture` (h, w, 3) uint8 as a JPEG file, colours as sharp as brightness."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def data_url(picture: np.ndarray) -> str:
    """`picture` (h, w, 3) uint8 as a data: URL of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()
