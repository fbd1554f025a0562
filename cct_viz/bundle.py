"""An explanation as files: pictures, every number as JSON, and the whole Trace as an .npz."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .classifier import Classifier
from .explain import METHODS, NotApplicable, describe, explain, rank_channels
from .plots import contact_sheet, figure, png
from .trace import Heatmaps, Trace, trace_arrays


def heatmaps_to_json(heatmaps: Heatmaps) -> dict[str, Any]:
    """Maps, names, unit and checks, ready for JSON."""
    assert heatmaps.class_share is not None  # set at construction
    return {
        "method": heatmaps.method,
        "unit": "logits" if heatmaps.signed else "share",
        "names": list(heatmaps.names),
        "maps": heatmaps.maps.tolist(),
        "class_share": heatmaps.class_share.tolist(),
        "checks": dict(heatmaps.checks),
    }


def write_bundle(
    classifier: Classifier,
    trace: Trace,
    out: str | Path,
    *,
    methods: Iterable[str] = METHODS,
    target: int | str | None = None,
) -> dict[str, Any]:
    """Write METHOD.png for each method, feature_maps_STAGE.png, explanation.json and trace.npz to `out`.

    Returns what explanation.json holds: source, versions, preprocessing geometry, prediction, and per method the maps
    or the reason why it does not apply.

    Raises:
        ValueError: no such method or class.
        OSError: `out` cannot be written.
    """
    out = Path(out)
    target = trace.class_index(target)
    wanted = list(methods)
    for method in wanted:
        if method not in METHODS:
            raise ValueError(f"no method is called {method!r}; there are {', '.join(METHODS)}")
    out.mkdir(parents=True, exist_ok=True)
    explanations: dict[str, Any] = {}
    for method in wanted:
        try:
            heatmaps = explain(trace, method, target=target, classifier=classifier)
        except NotApplicable as error:
            explanations[method] = {"method": method, "not_applicable": str(error)}
            continue
        explanations[method] = heatmaps_to_json(heatmaps)
        figure(trace, heatmaps, caption=describe(method)).savefig(out / f"{method}.png", dpi=150)
    for stage in range(len(trace.feature_maps)):
        maps = rank_channels(trace, stage).maps
        sheet = contact_sheet(maps, columns=16, tile=64, limit=float(np.abs(maps).max()))
        (out / f"feature_maps_{stage}.png").write_bytes(png(sheet))
    source = classifier.source
    record = {
        "cct_viz": __version__,
        "model": {
            "kind": source.kind,
            "name": source.name,
            "revision": source.revision,
            "sha256": source.sha256,
        },
        "geometry": {
            "original_size": list(trace.geometry.original_size),
            "box": list(trace.geometry.box),
            "model_size": list(trace.geometry.model_size),
        },
        "target": trace.labels[target],
        "top": [{"label": label, "probability": p} for label, p in trace.top(5)],
        "labels": list(trace.labels),
        "logits": trace.logits.tolist(),
        "probabilities": trace.probabilities.tolist(),
        "grid": list(trace.grid),
        "receptive_field": trace.receptive_field.tolist(),
        "explanations": explanations,
    }
    (out / "explanation.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(out / "trace.npz", **trace_arrays(trace))  # type: ignore[arg-type]  # the stub takes allow_pickle for one
    return record
