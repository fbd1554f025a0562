"""Trace -> the payload that the explorer draws: one JSON text with arrays in base64."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image

from ..architecture.pools import find_pool
from ..images.encode import data_url
from ..inference.trace import Trace
from ..methods import METHODS, NotApplicable, describe, explain, takes
from ..methods.attention import FUSIONS
from ..methods.rollout import attention_shares

VERSION = 1
MAX_ATTENTION_BYTES = 3_000_000  # more than that, and each layer comes fused over its heads
MOST_ATTENTIONS = 2_000_000  # in all layers and heads; with more, no generic maps are sent
SHOWN_SIDE = 512  # pixels of the longer side of the photo that the page shows


def encode(array: np.ndarray, dtype: str) -> dict[str, Any]:
    """`array` as {dtype, shape, data}: base64 of its little-endian values in row-major order."""
    values = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode()}


def make_payload(trace: Trace) -> str:
    """All data that the explorer draws, as JSON.

    Arrays that the page computes with are sent as float32, feature maps and attention as float16. With 8 bits, half the
    entries of a sharp attention would be 0 and rollout would be wrong by up to a quarter.
    """
    layers, heads, m, _ = trace.attentions.shape
    pool = find_pool(trace.pool)
    fused = None
    if trace.attentions.size * 2 > MAX_ATTENTION_BYTES:
        fused = {
            name: encode(fuse(trace.attentions.astype(np.float64), axis=1), "float16")  # the page normalises the rows
            for name, fuse in FUSIONS.items()
        }
    stages = [
        {
            "windows": encode(stage.windows, "int16"),
            "centres": encode(stage.centres, "float32"),
            "stride": stage.stride,
            "window": stage.window_size,
            "maps": encode(np.moveaxis(feature_map, -1, 0), "float16"),
        }
        for stage, feature_map in zip(trace.stages, trace.feature_maps, strict=True)
    ]
    payload = {
        "version": VERSION,
        "pool": trace.pool,
        "block": trace.block,
        "output": trace.output,
        "labels": trace.labels,
        "grid": trace.grid,
        "layers": layers,
        "heads": heads,
        "tokens": m,
        "photo": shown_photo(trace.image),
        "pixels": data_url(trace.pixels),
        "size": trace.pixels.shape[:2],
        "original": trace.geometry.original_size,
        "crop": trace.geometry.box,
        "stages": stages,
        "attentions": None if fused else encode(trace.attentions, "float16"),
        "fused": fused,
        "alpha": encode(attention_shares(trace, "measured"), "float32"),
        "readout": encode(trace.readout, "float32"),
        "weights": _optional(trace.pooling_weights),
        "scores": _optional(trace.pool_scores),
        "evidence": encode(trace.evidence, "float32"),
        "contributions": _optional(trace.contributions) if pool.splits and not pool.has_weights else None,
        "logits": encode(trace.logits, "float32"),
        "bias": encode(trace.bias, "float32"),
        "maps": _maps(trace),
    }
    return json.dumps(payload, separators=(",", ":"))


def _maps(trace: Trace) -> list[dict[str, Any]]:
    """Every map that needs nothing but the trace, explaining the predicted class, in the order of METHODS.

    Each says its name, caption, sign and unit, so that a page can draw a new method without code of its own. Methods
    that do not apply to this model are left out. Large models send none: there the maps take a second or more.
    """
    maps: list[dict[str, Any]] = []
    if trace.attentions.size > MOST_ATTENTIONS:
        return maps
    for method in METHODS:
        if takes(method, "classifier"):
            continue
        try:
            heatmaps = explain(trace, method)
        except NotApplicable:
            continue
        maps.append(
            {
                "method": method,
                "caption": describe(method),
                "signed": heatmaps.signed,
                "unit": heatmaps.unit,
                "names": heatmaps.names,
                "values": encode(heatmaps.maps, "float32"),
            }
        )
    return maps


def _optional(array: np.ndarray | None) -> dict[str, Any] | None:
    return None if array is None else encode(array, "float32")


def shown_photo(image: np.ndarray) -> str:
    """The crop as a data URL: unchanged if it is small, else a reduced JPEG."""
    if max(image.shape[:2]) <= 96:
        return data_url(image)
    picture = Image.fromarray(image)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
