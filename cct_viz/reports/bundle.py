"""An explanation as a folder: pictures, every number as JSON, and the whole Trace as an .npz. `read_bundle` reads it.

explanation.json is the manifest: the model, versions and settings, the maps, and the error of each identity check.
`read_bundle` needs only the folder to recompute the logits.
"""

from __future__ import annotations

import dataclasses
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
from ..architecture.files import sha256
from ..architecture.reprs import short_repr
from ..evaluation.headline import headline_method
from ..images.encode import png
from ..inference.classifier import Classifier
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace, trace_arrays
from ..methods import METHODS, NotApplicable, explain, find_method, method_options, rank_channels
from .figures import contact_sheet, figure
from .paper import Look, latex_figure

MANIFEST, ARRAYS, CAPTIONS = "explanation.json", "trace.npz", "captions.tex"


class BundleError(ValueError):
    """The folder is not a bundle, or its files have changed since it was written."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle as read by `read_bundle`.

    Attributes:
        record: explanation.json.
        arrays: trace.npz by name.
        logits: (K,) float64, recomputed from contributions + bias, or from the class token.
        error: the largest difference between these and the model's logits.
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]
    logits: np.ndarray
    error: float

    __repr__ = short_repr


def heatmaps_to_json(heatmaps: Heatmaps) -> dict[str, Any]:
    """Maps, names, unit, checks and note as JSON values."""
    assert heatmaps.class_share is not None  # set at construction
    return {
        "method": heatmaps.method,
        "unit": heatmaps.unit,
        "names": list(heatmaps.names),
        "maps": heatmaps.maps.tolist(),
        "class_share": heatmaps.class_share.tolist(),
        "checks": dict(heatmaps.checks),
        "note": heatmaps.note,
    }


def write_bundle(
    classifier: Classifier,
    trace: Trace,
    out: str | Path,
    *,
    methods: Iterable[str] = METHODS,
    target: int | str | None = None,
    options: Mapping[str, Any] | None = None,
    look: Look | None = None,
) -> dict[str, Any]:
    """Write METHOD.png for each method, captions.tex, feature_maps_STAGE.png, trace.npz and explanation.json to `out`.

    It writes only after all maps are computed. Other files in `out` stay and are not part of the bundle.

    Args:
        methods: names in METHODS.
        target: the class to explain; by default the predicted class.
        options: name -> value, passed to every method that has an option with this name.
        look: how the figures of the methods are drawn; by default PNGs in full.

    Returns the contents of explanation.json: model, versions, preprocessing, prediction, the files' sha256, the
    headline map (the most faithful in the model's own score table of the maps that need no further pass of the model,
    or None), and for each method its options, maps and checks, or the reason why it does not apply.

    Raises:
        ValueError: no such method, class or option.
        OSError: `out` cannot be written.
    """
    out = Path(out)
    asked = target
    target = trace.class_index(target)
    names, options = [find_method(method) for method in methods], dict(options or {})
    look = look or Look()
    request = make_request(names, asked, options, look)
    all_defaults = {method: method_options(method) for method in names}
    for name in options:
        if not any(name in defaults for defaults in all_defaults.values()):
            raise ValueError(f"no requested method ({', '.join(names)}) has an option {name}")
    explanations: dict[str, Any] = {}
    maps_by_method: dict[str, Heatmaps] = {}
    for method, defaults in all_defaults.items():
        own_options = {name: value for name, value in options.items() if name in defaults}
        try:
            heatmaps = explain(trace, method, target=target, classifier=classifier, **own_options)
        except NotApplicable as error:
            explanations[method] = {"method": method, "not_applicable": str(error)}
            continue
        explanations[method] = {"options": defaults | own_options, **heatmaps_to_json(heatmaps)}
        maps_by_method[method] = heatmaps
    out.mkdir(parents=True, exist_ok=True)  # after the last step that can be refused
    files, captions = [ARRAYS, CAPTIONS], []
    for method, heatmaps in maps_by_method.items():
        files.append(f"{method}.{look.format}")
        figure(trace, heatmaps, style=look.style, size=look.size, dpi=look.dpi).savefig(out / files[-1])
        source = classifier.source
        captions.append(
            latex_figure(trace, heatmaps, files[-1], look, model=source.name, sha256=source.sha256, target=target)
        )
    (out / CAPTIONS).write_text("\n".join(captions), encoding="utf-8")
    for stage in range(len(trace.feature_maps)):
        maps = rank_channels(trace, stage)
        sheet = contact_sheet(maps, columns=16, tile=64, limit=float(np.abs(maps).max()), signed=bool(maps.min() < 0))
        files.append(f"feature_maps_{stage}.png")
        (out / files[-1]).write_bytes(png(sheet))
    np.savez_compressed(out / ARRAYS, **trace_arrays(trace))  # type: ignore[arg-type]  # the stub mistakes it for allow_pickle
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
        "request": request,
        "target": trace.labels[target],
        "top": [{"label": label, "probability": p} for label, p in trace.top(5)],
        "labels": list(trace.labels),
        "output": trace.output,
        "note": trace.note,
        "assumptions": list(classifier.config.assumptions),
        "logits": trace.logits.tolist(),
        "probabilities": trace.probabilities.tolist(),
        "grid": list(trace.grid),
        "receptive_field": trace.receptive_field.tolist(),
        "headline": headline_method(classifier),
        "explanations": explanations,
    }
    arrays = read_arrays(out / ARRAYS)
    record = json.loads(json.dumps(record))  # as it is read back: lists instead of tuples
    record["resummed_error"] = float(np.abs(_resum(arrays) - trace.logits).max())
    record["files"] = {name: _digest(out / name) for name in sorted(files)}
    part = out / f"{MANIFEST}.part"
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(out / MANIFEST)  # so that a bundle with a manifest is whole
    return record


def make_request(
    methods: Iterable[str], target: int | str | None, options: Mapping[str, Any], look: Look
) -> dict[str, Any]:
    """What a bundle was asked to hold, as its manifest says it."""
    asked = {"methods": list(methods), "target": target, "options": dict(options), "look": dataclasses.asdict(look)}
    return json.loads(json.dumps(asked))


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle and recompute the logits from its contributions.

    Raises:
        BundleError: files are missing, unreadable or changed; the message names all of them.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, expected = dict(record["files"]), np.asarray(record["logits"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder} has no readable {MANIFEST}: {error}") from error
    wrong = [name for name, digest in files.items() if Path(name).name != name or _digest(folder / name) != digest]
    if wrong or ARRAYS not in files:
        raise BundleError(f"{folder}: {', '.join(wrong) or ARRAYS} missing or changed since the bundle was written")
    arrays = read_arrays(folder / ARRAYS)
    logits = _resum(arrays)
    if logits.shape != expected.shape:
        raise BundleError(f"{folder}: {MANIFEST} has logits {expected.shape}, {ARRAYS} gives {logits.shape}")
    return Bundle(record, arrays, logits, float(np.abs(logits - expected).max()))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name.

    Raises:
        BundleError: no such file, or not an .npz file.
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
    else:  # the head reads the class token's representation only
        parts = arrays["representation"][0].astype(np.float64) @ arrays["readout_head"]
    return parts + arrays["bias"]


def _digest(path: Path) -> str:
    """sha256 of a file, or an empty text if it cannot be read."""
    try:
        return sha256(path)
    except OSError:
        return ""
