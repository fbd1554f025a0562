"""TensorFlow checkpoints of tf.keras, as `save_weights` wrote them before Keras 3: an index, data, and object names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given
from ..tensor_bundle import Load, open_bundle, parsing
from .layers import Layer, natural
from .reader import Source, assemble

FORMAT = "tf_checkpoint"
STATE = "checkpoint"  # the text file that names the newest checkpoint of a folder
MAX_STATE = 1 << 16
MAX_DEPTH = 64  # objects inside objects; the examples have 6
_SHARD = re.compile(r"(.+)\.data-\d{5}-of-(\d{5})")
_SKIPPED = ("optimizer", "_optimizer", "save_counter", "predict_function", "train_function", "keras_api", "signatures")


def recognises(names: Collection[str]) -> bool:
    return any(name.endswith(".index") and "/" not in name for name in names)


def files(names: Collection[str]) -> list[str]:
    """The data and index of the last complete checkpoint in a folder, by its name."""
    names = [name for name in names if "/" not in name]
    bases = sorted((name.removesuffix(".index") for name in names if name.endswith(".index")), key=natural)
    for base in reversed(bases):
        if shards := _shards(base, names):
            return [*shards, f"{base}.index"]
    return []


def files_beside(path: Path) -> list[str]:
    """The names of the files that make up the checkpoint of which `path` is the index or the state."""
    return files(_names_for(path)) or [path.name]


def holds(path: Path) -> bool:
    """Whether a file is the index of a checkpoint, or the text that names the newest one."""
    if path.name == STATE and path.stat().st_size <= MAX_STATE:
        return b"model_checkpoint_path:" in path.read_bytes()
    return path.suffix == ".index"  # without its data too, so that `read` says what is missing


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """Read the checkpoint in a folder, or the one that `path` names.

    Raises:
        CheckpointError: it is damaged, or of no compact transformer as in the keras.io example.
        ConfigError: answers that do not fit the model.
    """
    folder = path if path.is_dir() else path.parent
    chosen = files([file.name for file in path.iterdir()] if path.is_dir() else _names_for(path))
    if not chosen:
        raise CheckpointError(f"{path.name} is incomplete; expected its .index and all of its .data files")
    prefix = folder / chosen[-1].removesuffix(".index")
    what = f"{chosen[-1]} or its data"
    load, objects = open_bundle(prefix, what)
    with parsing(what):
        layers = list(_layers(load, objects.nodes))
    return assemble(Source(layers, keras_2=True, lists_all=False), given, FORMAT)


def _names_for(path: Path) -> list[str]:
    names = [file.name for file in path.parent.iterdir() if file.is_file()]
    if path.name == STATE:
        match = re.search(rb'^model_checkpoint_path: "([^"]*)"', path.read_bytes(), re.MULTILINE)
        base = Path(match[1].decode(errors="replace")).name if match else ""
    else:
        base = path.name.removesuffix(".index")
    return [name for name in names if name == f"{base}.index" or name.startswith(f"{base}.data-")]


def _shards(base: str, names: Collection[str]) -> list[str]:
    """The data files of a checkpoint, [] if one is missing."""
    shards = sorted(name for name in names if (match := _SHARD.fullmatch(name)) and match[1] == base)
    totals = {int(shard.rpartition("-")[2]) for shard in shards}
    return shards if totals == {len(shards)} else []


def _layers(load: Load, nodes: Any) -> Iterator[Layer]:
    """The layers of the object graph in the model's order, from the root, each object once."""
    seen: set[int] = set()
    pending: list[tuple[tuple[str, ...], int]] = [((), 0)]
    while pending:
        path, index = pending.pop()
        if index in seen:
            continue
        if len(path) > MAX_DEPTH:
            raise CheckpointError(f"the checkpoint has objects inside objects, more than {MAX_DEPTH} deep")
        seen.add(index)
        children = [(child.local_name, child.node_id) for child in nodes[index].children]
        arrays, name = [], ""
        for _, child in children:
            for attribute in nodes[child].attributes if child not in seen else ():
                if attribute.name == "VARIABLE_VALUE" and child not in seen:
                    seen.add(child)
                    name = attribute.full_name.rpartition("/")[0].rpartition("/")[2] or attribute.full_name
                    arrays.append(load(attribute.checkpoint_key))
        floats = tuple(array for array in arrays if array.dtype == np.float32)
        yield Layer(path or (name,), name or (path[-1] if path else ""), floats)
        numbered = {node for local_name, node in children if re.fullmatch(r"layer-\d+", local_name)}
        inner = [
            ((*path, local_name), node)
            for local_name, node in sorted(children, key=lambda c: natural(c[0]) if c[1] in numbered else ("", -1))
            if local_name not in _SKIPPED and not (local_name.startswith("layer_with_weights-") and node in numbered)
        ]
        pending += reversed(inner)
