"""load(source) -> Classifier, for a preset, a local folder or a Hub repo. Runs only graphs exported by this project."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import checkpoints
from ..architecture.files import sha256
from ..architecture.presets import HUB_LABELS, PRESETS, Preset, suggest, where_to_get
from ..checkpoints import CheckpointError, cache, hub
from ..checkpoints.given import NOTHING, Given
from .classifier import Classifier, Source
from .onnx_runner import OnnxRunner

METRICS = "metrics.json"  # in the folder of the weights, written by `evaluate`


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Classifier:
    """The classifier of `source`: a preset's name, a local folder or file, or a Hub repo id "owner/name".

    They are tried in this order.

    Args:
        revision: a branch, tag or commit of a Hub repo.
        offline: make no request; use only bundled, local or cached weights.
        progress: called with (bytes done, bytes in total, text) while a Hub repo is downloaded.

    Raises:
        CheckpointError: the source does not exist, has no weights, is damaged or is not a supported checkpoint.
        HubError: the repo could not be fetched; `kind` and the message say why and what to do.
    """
    name = str(source)
    if name in PRESETS:
        return _load_preset(name, PRESETS[name])
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # "~name" of a user without a home folder
        path = path.expanduser()
    if name and _exists(path):
        return _load_path(path, "folder", path.resolve().name)
    if name.startswith((".", "/", "~")):
        raise CheckpointError(f"there is no folder {path.name or name} at this path; check the path")
    if name.count("/") != 1:
        raise CheckpointError(
            f"{name!r} is neither a preset ({suggest(name)}), nor a folder that exists, nor a Hub repo owner/name"
        )
    snapshot = hub.fetch(name, revision=revision, offline=offline, progress=progress)
    given = Given(labels=HUB_LABELS.get(name))
    return _load_path(snapshot.folder, "hub", name, snapshot.revision, given)


def open_exported(
    ready: Path,
    kind: str,
    name: str,
    revision: str | None = None,
    *,
    folder: Path | None = None,
    given: Given = NOTHING,
) -> Classifier:
    """The classifier of a folder with a model.onnx that this project exported.

    Args:
        ready: config.json, model.safetensors and the model.onnx exported from them.
        kind, name, revision: as in `Source`.
        folder: the original folder of the weights, if it is not `ready`; it holds card, history and metrics.
        given: names of the classes and normalisation that replace those of the folder.

    Raises:
        CheckpointError: a file is damaged.
    """
    checkpoint = checkpoints.read(ready, given)
    folder = folder or ready
    return Classifier(
        checkpoint.config,
        checkpoint.weights,
        Source(kind, name, sha256(ready / "model.safetensors"), revision),
        OnnxRunner(ready / "model.onnx", checkpoint.config, name),
        folder=folder,
        metrics=_read_metrics(folder),
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long
        return False


def _load_preset(name: str, preset: Preset) -> Classifier:
    if preset.folder is None:
        raise CheckpointError(f"{name} is an architecture without weights: {where_to_get(name)}")
    for file, expected in preset.sha256.items():
        if not (preset.folder / file).is_file():
            raise CheckpointError(f"{name}: {file} is missing from the bundled weights; restore the weights folder")
        if sha256(preset.folder / file) != expected:
            raise CheckpointError(f"{name}: {file} is not the file of this release; restore the weights folder")
    return open_exported(preset.folder, "bundled", name)


def _load_path(path: Path, kind: str, name: str, revision: str | None = None, given: Given = NOTHING) -> Classifier:
    """The classifier of a local folder or file, which is prepared on first use."""
    trusted = any(_is_release_of(preset, path) for preset in PRESETS.values())
    ready = path if trusted else cache.cached_export(path)
    return open_exported(ready, kind, name, revision, folder=path if path.is_dir() else None, given=given)


def _is_release_of(preset: Preset, folder: Path) -> bool:
    """Whether `folder` holds exactly the files of a bundled checkpoint, so that its model.onnx may be run."""
    return bool(preset.sha256) and all(
        (folder / file).is_file() and sha256(folder / file) == digest for file, digest in preset.sha256.items()
    )


def _read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics.json in `folder`; empty if the file is missing or is not a JSON object."""
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return metrics if isinstance(metrics, dict) else {}
