"""load(source) -> Classifier, for a preset, a local folder or file, or a Hub repo."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checkpoints
from ..architecture.beside import ignore, read_beside
from ..architecture.config import CCTConfig
from ..architecture.files import sha256
from ..architecture.presets import HUB_LABELS, PRESETS, Preset, suggest, where_to_get
from ..checkpoints import CheckpointError, cache, hub
from ..checkpoints.given import NOTHING, Given
from ..images.preprocessing import normalise
from .classifier import Classifier, Source
from .onnx_runner import OnnxRunner

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT

METRICS = "metrics.json"  # in the folder of the weights, written by `evaluate`
LONGEST_METRICS = 1 << 24  # bytes of the file: it holds the confusion matrix, here of 2,300 classes


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
    try:
        return _load_path(snapshot.folder, "hub", name, snapshot.revision, given)
    except CheckpointError as error:  # the readers know the folder, whose name is the hash of a commit
        text = str(error).replace(snapshot.folder.name, name)
        raise CheckpointError(text if name in text else f"{name}: {text}") from error


def open_folder(
    ready: Path,
    kind: str,
    name: str,
    revision: str | None = None,
    *,
    folder: Path | None = None,
    given: Given = NOTHING,
) -> Classifier:
    """The classifier of a folder in this project's format.

    Args:
        ready: the folder of config.json and model.safetensors.
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
        OnnxRunner(checkpoint.config, checkpoint.weights, name),
        folder=folder,
        metrics=read_metrics(folder),
    )


def open_weights(config: CCTConfig, weights: Mapping[str, np.ndarray], *, network: CCT | None = None) -> Classifier:
    """The classifier of weights in memory.

    Args:
        weights: canonical name -> float32 array.
        network: a built Keras model of `config` to use again, which takes seconds less than building one. It gets
            `weights`, so the gradients of a classifier made with it before are not to be asked for any more.

    Raises:
        CheckpointError: the weights do not fit the configuration.
    """
    checkpoints.check(weights, config)
    if network is not None:
        checkpoints.assign(network, weights)
    runner = OnnxRunner(config, weights, "the model in memory")
    return Classifier(config, weights, Source("folder", "in memory", ""), runner, network=network)


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
    return open_folder(preset.folder, "bundled", name)


def _load_path(path: Path, kind: str, name: str, revision: str | None = None, given: Given = NOTHING) -> Classifier:
    """The classifier of a local folder or file; one of another program is converted on first use."""
    folder = path if path.is_dir() else None
    classifier = open_folder(cache.own_folder(path), kind, name, revision, folder=folder, given=given)
    _try(classifier)
    return classifier


def _try(classifier: Classifier) -> None:
    """Run the model on a black, a white and a random picture: finite weights can overflow.

    Raises:
        CheckpointError: an output is not finite.
    """
    shape = (*classifier.config.image_size, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with np.errstate(all="ignore"):
        for picture in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise):
            logits = classifier.forward(normalise(picture[None], classifier.config.preprocessing))
            if not np.isfinite(logits).all():
                raise CheckpointError(
                    f"{classifier.source.name} gives class scores that are not finite: its weights are too large, or "
                    "mean and std in config.json do not fit; export it again"
                )


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics.json in `folder`; empty if the file is missing, too large or not a JSON object."""
    metrics = read_beside(folder / METRICS, most=LONGEST_METRICS)
    if metrics is not None and not isinstance(metrics, dict):
        ignore(folder / METRICS, "it holds no JSON object")
    return metrics if isinstance(metrics, dict) else {}
