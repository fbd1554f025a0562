"""`.keras`: a zip archive with the model's description as JSON and its weights as HDF5, or a folder of the same files.

Nothing is unpacked to disk. An archive that this project wrote holds the whole configuration in its JSON.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...architecture.config import CCTConfig, ConfigError
from ...architecture.weights import expected_shapes
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given, complete
from .described import Description, parse
from .hdf5 import Group, iterate, read_tree
from .layers import from_keras_3
from .reader import Source, assemble

FORMAT = "keras_archive"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_CONFIG = 1 << 24  # bytes; the largest preset's has 100,000
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
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist() or {CONFIG, METADATA} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return path.suffix == ".keras"


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
    if (folder / CONFIG).stat().st_size > MAX_CONFIG:
        raise CheckpointError(f"{CONFIG} is larger than any model's; download it again")
    return {name: (folder / name).read_bytes() for name in (CONFIG, METADATA, WEIGHTS)}


def _read_archive(path: Path) -> dict[str, bytes]:
    """Its three members, each checked for its size first: a small archive can say that it unpacks to anything."""
    damaged = f"{path.name} is truncated, damaged or no .keras file; download it again, or save it again"
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if odd := next(filter(_is_outside, names), None):
                raise CheckpointError(
                    f"{path.name} holds a file named {odd!r}, outside of the archive; it was not read"
                )
            if len(set(names)) < len(names):
                raise CheckpointError(f"{path.name} holds two files of one name; save it again")
            if missing := sorted({CONFIG, WEIGHTS} - set(names)):
                raise CheckpointError(f"{path.name} is no .keras file: {' and '.join(missing)} is missing")
            if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
                raise CheckpointError(f"{path.name} is compressed in a way that Keras does not use; save it again")
            limits = {
                CONFIG: min(MAX_CONFIG, 2 * size + (1 << 20)),
                METADATA: 1 << 16,
                WEIGHTS: size + (size >> 1) + (1 << 20),
            }
            for member in members:
                if member.filename in limits and member.file_size > limits[member.filename]:
                    raise CheckpointError(
                        f"{member.filename} in {path.name} unpacks to {member.file_size:,} bytes, far more than the "
                        "archive has; it was not read"
                    )
            return {name: _read_member(archive, name, limits[name]) if name in names else b"{}" for name in limits}
    except CheckpointError:
        raise
    except (
        zipfile.BadZipFile,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        zlib.error,
    ) as e:
        raise CheckpointError(damaged) from e


def _is_outside(name: str) -> bool:
    """Whether a member's name leaves the folder that the archive would be unpacked to."""
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name


def _read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """At most `limit` bytes, which is as many as the decompressor makes: without a limit it makes all there are."""
    with archive.open(name) as file:
        return file.read(limit)


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


def _canonical_layers(tree: Group) -> Mapping[str, dict[str, Any]]:
    """Names of layers within layers -> their arrays: groups without a name of their own are only containers."""
    found: dict[str, dict[str, Any]] = {}
    for path, group in iterate(tree):
        if "vars" in path or "vars" not in group.groups:
            continue
        owners = [tree.find("/".join(path[:i])) for i in range(1, len(path) + 1)]
        names = [owner.groups["vars"].text("name") for owner in owners if owner is not None and "vars" in owner.groups]
        found["/".join(names)] = group.groups["vars"].arrays
    return found
