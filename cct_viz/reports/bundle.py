"""An explanation as files: pictures, every number as JSON, and the whole Trace as an .npz; and the way back.

explanation.json is the manifest: what the numbers were made of and with, and which identities they satisfy by how much.
`read_bundle` needs nothing but the folder to put the answer together again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..images.encode import png
from ..inference.classifier import Classifier
from ..inference.trace import Heatmaps, Trace, trace_arrays
from ..methods import METHODS, NotApplicable, explain, find_method, method_options, rank_channels
from .figures import contact_sheet, figure

MANIFEST, ARRAYS = "explanation.json", "trace.npz"


class BundleError(ValueError):
    """A folder that is no bundle, or one whose files are not those it was written with."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What `read_bundle` found.

    Attributes:
        record: explanation.json.
        arrays: trace.npz by name.
        logits: (K,) float64, put together again from contributions + bias, or from what the class token says.
        error: the largest distance of these from the model's logits.
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]
    logits: np.ndarray
    error: float


def heatmaps_to_json(heatmaps: Heatmaps) -> dict[str, Any]:
    """Maps, names, unit and checks, ready for JSON."""
    assert heatmaps.class_share is not None  # set at construction
    return {
        "method": heatmaps.method,
        "unit": heatmaps.unit,
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
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write METHOD.png for each method, feature_maps_STAGE.png, trace.npz and explanation.json to `out`.

    Nothing is written before all maps are made. Other files in `out` stay, and are no part of the bundle.

    Args:
        methods: names in METHODS.
        target: the class to explain; the model's choice by default.
        options: name -> value, for every one of the methods that has an option of this name.

    Returns what explanation.json holds: model, versions, preprocessing, prediction, the files' sha256, and per method
    its options, maps and checks, or the reason why it does not apply.

    Raises:
        ValueError: no such method, class or option.
        OSError: `out` cannot be written.
    """
    out = Path(out)
    target = trace.class_index(target)
    wanted, options = [find_method(method) for method in methods], dict(options or {})
    known = {method: method_options(method) for method in wanted}
    for name in options:
        if not any(name in defaults for defaults in known.values()):
            raise ValueError(f"none of {', '.join(wanted)} has an option {name}")
    explanations: dict[str, Any] = {}
    drawn: dict[str, Heatmaps] = {}
    for method, defaults in known.items():
        chosen = {name: value for name, value in options.items() if name in defaults}
        try:
            heatmaps = explain(trace, method, target=target, classifier=classifier, **chosen)
        except NotApplicable as error:
            explanations[method] = {"method": method, "not_applicable": str(error)}
            continue
        explanations[method] = {"options": defaults | chosen, **heatmaps_to_json(heatmaps)}
        drawn[method] = heatmaps
    out.mkdir(parents=True, exist_ok=True)  # only now, when no map can fail any more
    written = [ARRAYS]
    for method, heatmaps in drawn.items():
        written.append(f"{method}.png")
        figure(trace, heatmaps).savefig(out / written[-1], dpi=150)
    for stage in range(len(trace.feature_maps)):
        maps = rank_channels(trace, stage)
        sheet = contact_sheet(maps, columns=16, tile=64, limit=float(np.abs(maps).max()), signed=bool(maps.min() < 0))
        written.append(f"feature_maps_{stage}.png")
        (out / written[-1]).write_bytes(png(sheet))
    np.savez_compressed(out / ARRAYS, **trace_arrays(trace))  # type: ignore[arg-type]  # the stub takes allow_pickle for one
    record = {
        "cct_viz": __version__,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "onnxruntime", "pillow", "keras")},
        },
        "model": dataclasses.asdict(classifier.source),
        "architecture": classifier.config.to_dict(),
        "preprocessing": dataclasses.asdict(classifier.config.preprocessing),
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
    arrays = read_arrays(out / ARRAYS)
    record = json.loads(json.dumps(record))  # as a reader of the file will find it: lists, no tuples
    record["resummed_error"] = float(np.abs(_resum(arrays) - trace.logits).max())
    record["files"] = {name: _digest(out / name) for name in sorted(written)}
    (out / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle back and add its contributions up to the logits.

    Raises:
        BundleError: files missing, unreadable or not those that were written; all that differ are named.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, expected = dict(record["files"]), np.asarray(record["logits"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder} has no readable {MANIFEST}: {error}") from error
    wrong = [name for name, digest in files.items() if Path(name).name != name or _digest(folder / name) != digest]
    if wrong or ARRAYS not in files:
        raise BundleError(f"{folder}: {', '.join(wrong) or ARRAYS} missing or not as written")
    arrays = read_arrays(folder / ARRAYS)
    logits = _resum(arrays)
    if logits.shape != expected.shape:
        raise BundleError(f"{folder}: {MANIFEST} has {expected.shape} logits, {ARRAYS} gives {logits.shape}")
    return Bundle(record, arrays, logits, float(np.abs(logits - expected).max()))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name.

    Raises:
        BundleError: no such file, or no .npz.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read as an .npz file: {error}") from error


def _resum(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(K,) float64 logits from the arrays of a trace."""
    if "contributions" in arrays:
        parts = arrays["contributions"].sum(axis=0, dtype=np.float64)
    else:  # a class token's representation, read alone
        parts = arrays["representation"][0].astype(np.float64) @ arrays["readout_head"]
    return parts + arrays["bias"]


def _digest(path: Path) -> str:
    """sha256 of a file, or an empty text if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
