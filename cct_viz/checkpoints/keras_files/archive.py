"""`.keras`: a zip archive with the model's description as JSON and its weights as HDF5, or a folder of the same files.

Nothing is unpacked to disk. An archive that this project wrote holds the whole configuration in its JSON.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ...architecture.config import CCTConfig, ConfigError
from ...architecture.weights import expected_shapes
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given, complete
from ..zip_files import UNREADABLE, list_names, open_zip
from .described import Description, parse
from .hdf5 import Group, read_tree
from .layers import from_keras_3
from .reader import Source, assemble

FORMAT = "keras_archive"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_TEXT = 1 << 24  # bytes; the largest preset's description has 100,000, and a position in it some million
LONGEST_NAME = 200  # letters in the names of layers within layers; ours have 40
OWN_CLASSES = "cct_viz>"


def recognises(names: Collection[str]) -> bool:
    return bool(files(names))


def files(names: Collection[str]) -> list[str]:
    """The first `.keras` file, or the three files of a folder that holds the same."""
    archives = sorted(name for name in names if name.endswith(".keras") and "/" not in name)
    if archives:
        return archives[:1]
    return [METADATA, CONFIG, WEIGHTS] if {METADATA, CONFIG, WEIGHTS} <= set(names) else []


def holds(path: Path) -> bool:
    """Whether a file is a zip archive with the members of a `.keras` file."""
    if not zipfile.is_zipfile(path):
        return False
    names = list_names(path)
    return WEIGHTS in names or {CONFIG, METADATA} <= set(names) or (not names and path.suffix == ".keras")


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """Read a `.keras` file, or a folder with one or with its members.

    Raises:
        CheckpointError: it is damaged, or of no compact transformer as in the keras.io example.
        ConfigError: answers that do not fit the model.
    """
    if path.is_dir():
        names = files([file.name for file in path.iterdir()])
        if len(names) == 1:
            path = path / names[0]
    members = _read_folder(path) if path.is_dir() else _read_archive(path)
    description = parse(members[CONFIG], path.name)
    tree = read_tree(members[WEIGHTS], f"{WEIGHTS} in {path.name}")
    if (config := _own_config(description)) is not None:
        return _read_own(config, tree, given, path.name)
    return assemble(Source(from_keras_3(tree), description, _is_keras_2(members[METADATA])), given, FORMAT)


def _read_folder(folder: Path) -> dict[str, bytes]:
    for name in (CONFIG, METADATA):
        _check_text(name, folder.name, (folder / name).stat().st_size)
    return {name: (folder / name).read_bytes() for name in (CONFIG, METADATA, WEIGHTS)}


def _read_archive(path: Path) -> dict[str, bytes]:
    """Its three members; the description may be long only in a large file."""
    try:
        with open_zip(path) as archive:
            names = archive.namelist()
            if missing := sorted({CONFIG, WEIGHTS} - set(names)):
                raise CheckpointError(f"{path.name} is no .keras file: {' and '.join(missing)} is missing")
            for name in {CONFIG, METADATA} & set(names):
                _check_text(name, path.name, archive.getinfo(name).file_size)
            members = {name: archive.read(name) for name in (CONFIG, METADATA, WEIGHTS) if name in names}
    except CheckpointError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path.name} is truncated, damaged or no .keras file; download it again, or save it again"
        ) from error
    return {METADATA: b"{}"} | members


def _check_text(name: str, where: str, size: int) -> None:
    if size > MAX_TEXT:
        raise CheckpointError(f"{name} in {where} has {size:,} bytes; expected {MAX_TEXT:,} at most")


def _is_keras_2(metadata: bytes) -> bool:
    """Whether tf.keras wrote the archive, by the version in its metadata."""
    return re.search(rb'"keras_version":\s*"[012]\.', metadata) is not None


def _own_config(description: Description) -> object:
    """The configuration that a model of this project carries in its JSON, or None: its own, or that of a layer."""
    holders = [
        description.root,
        *({"registered_name": layer.registered, "config": layer.config} for layer in description.layers),
    ]
    for holder in holders:
        config = holder.get("config")
        if (
            str(holder.get("registered_name")).startswith(OWN_CLASSES)
            and isinstance(config, dict)
            and "config" in config
        ):
            return config["config"]
    return None


def _read_own(data: object, tree: Group, given: Given, file: str) -> Checkpoint:
    """An archive that this project wrote: it says its whole configuration, and its layers carry the canonical names."""
    try:
        if not isinstance(data, dict):
            raise ConfigError("it is no object")
        config = CCTConfig.from_dict(data)
    except ConfigError as error:
        raise CheckpointError(f"{file}: the configuration in it cannot be read: {error}") from error
    names = _canonical_layers(tree)
    shapes = expected_shapes(config) if config.num_layers <= len(names) else {}
    weights: dict[str, np.ndarray] = {}
    siblings: dict[str, list[str]] = {}
    for name in shapes:
        layer, _, _ = name.rpartition("/")
        index = len(siblings.setdefault(layer, []))
        siblings[layer].append(name)
        arrays = names.get(layer) or names.get(layer.removeprefix("tokenizer/"), {})
        if str(index) in arrays:
            weights[name] = arrays[str(index)]
    config = complete(config, given, says_labels=True, says_pixels=True)
    return Checkpoint(config, weights, FORMAT)


def _canonical_layers(tree: Group) -> dict[str, dict[str, Any]]:
    """Names of layers within layers -> their arrays: groups without a name of their own are only containers."""
    found: dict[str, dict[str, Any]] = {}
    pending: list[tuple[tuple[str, ...], Group]] = [((), tree)]
    while pending:
        names, group = pending.pop()
        if group is not tree and (own := group.groups.get("vars")) is not None:  # names in the model, without its own
            names = (*names, own.text("name"))
            if sum(map(len, names)) > LONGEST_NAME:  # of no layer, nor of any inside it
                continue
            found["/".join(names)] = own.arrays
        pending += [(names, inner) for name, inner in group.groups.items() if name != "vars"]
    return found
