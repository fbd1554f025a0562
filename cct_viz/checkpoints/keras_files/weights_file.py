"""HDF5 files of Keras: `.weights.h5`, whole or in pieces, and the `.h5` of Keras 2 with weights or a whole model."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection
from pathlib import Path

from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given
from . import hdf5
from .described import NO_DESCRIPTION, parse
from .hdf5 import Group, read_tree
from .layers import Layer, from_keras_2, from_keras_3, from_shards
from .reader import Source, assemble

FORMAT = "keras_weights"
MAX_INDEX = 1 << 22  # bytes of a .weights.json
_SUFFIXES = (".weights.h5", ".h5", ".hdf5", ".keras.h5")
_INDEX = ".weights.json"
_PREFERRED = ("model.weights.h5", "checkpoint.weights.h5", "best.weights.h5", "weights.h5", "model.h5")


def recognises(names: Collection[str]) -> bool:
    return bool(files(names))


def files(names: Collection[str]) -> list[str]:
    """One file of weights, by a usual name or the first; or an index with the files that belong to it."""
    own = sorted(name for name in names if "/" not in name)
    for index in (name for name in own if name.endswith(_INDEX)):
        base = re.escape(index.removesuffix(_INDEX))
        if shards := [name for name in own if re.fullmatch(rf"{base}_\d{{5}}\.weights\.h5", name)]:
            return [*shards, index]
    whole = [name for name in own if name.endswith(_SUFFIXES)]
    return ([name for name in _PREFERRED if name in whole] or whole)[:1]


def files_beside(path: Path) -> list[str]:
    """The names of the files that make up the model of which `path` is the one that was named."""
    if not path.name.endswith(_INDEX):
        return [path.name]
    return [*sorted(_shard_names(path)), path.name]


def holds(path: Path) -> bool:
    if hdf5.is_hdf5(path) or not path.name.endswith(_INDEX):
        return hdf5.is_hdf5(path)
    with path.open("rb") as file:
        return b'"weight_map"' in file.read(1 << 16)


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """Read a file of weights, or the one in a folder.

    Raises:
        CheckpointError: it is damaged, or of no compact transformer as in the keras.io example.
        ConfigError: answers that do not fit the model.
    """
    if path.is_dir():
        path = path / files([file.name for file in path.iterdir()])[-1]
    if path.name.endswith(_INDEX):  # pieces hold only the layers with weights
        return assemble(dataclasses.replace(_source(_read_shards(path), path.name), lists_all=False), given, FORMAT)
    return assemble(_source(read_tree(path, path.name), path.name), given, FORMAT)


def _source(tree: Group, file: str) -> Source:
    whole = tree.groups.get("model_weights")
    weights = whole if whole is not None else tree
    version = tree.text("keras_version") or weights.text("keras_version")
    if "layer_names" in weights.texts or "layer_names0" in weights.texts:
        config = tree.text("model_config")
        description = parse(config, file) if config else NO_DESCRIPTION
        return Source(from_keras_2(weights), description, not version.startswith("3"), lists_all=False)
    layers = from_keras_3(weights)
    if not layers:
        raise CheckpointError(f"{file} is an HDF5 file, but holds no layers of Keras; save it with model.save_weights")
    return Source(layers, NO_DESCRIPTION, _looks_like_keras_2(layers))


def _looks_like_keras_2(layers: list[Layer]) -> bool:
    """Whether tf.keras wrote a `.weights.h5`, which names no version: it names no layers, nor random generators."""
    names = {part for layer in layers for part in layer.path}
    if any(layer.name != (layer.path[-1] if layer.path else "") for layer in layers) or "seed_generator" in names:
        return False
    return "_query_dense" in names or any(name.startswith("tf_op_lambda") for name in names)


def _shard_names(path: Path) -> set[str]:
    return {name for files in _weight_map(path).values() for name in files}


def _weight_map(path: Path) -> dict[str, list[str]]:
    """Path of a group -> names of the files that hold it, which lie beside the index."""
    damaged = CheckpointError(f"{path.name} is damaged; expected an index of files of weights, as Keras writes it")
    if path.stat().st_size > MAX_INDEX:
        raise damaged
    try:
        entries = json.loads(path.read_bytes())["weight_map"]
        items = [("/".join(filter(None, key.split("/"))), value) for key, value in entries.items()]
        result = {key: [value] if isinstance(value, str) else list(dict.fromkeys(value)) for key, value in items}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged from error
    if len(result) < len(entries):  # one group under several paths
        raise damaged
    for name in {name for names in result.values() for name in names}:
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\:]+\.weights\.h5", name):
            raise CheckpointError(f"{path.name} names the file {name!r}, which is not beside it; it was not read")
    return result


def _read_shards(path: Path) -> Group:
    weight_map = _weight_map(path)
    names = sorted({name for files in weight_map.values() for name in files})
    if missing := [name for name in names if not (path.parent / name).is_file()]:
        raise CheckpointError(
            f"{', '.join(missing[:3])} {'is' if len(missing) == 1 else 'are'} missing beside {path.name}"
        )
    return from_shards({name: read_tree(path.parent / name, name) for name in names}, weight_map)
