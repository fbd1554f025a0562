"""The project's own checkpoint: a folder with config.json and model.safetensors.

Arrays are float32 or float16 on disk and always float32 in memory, under their canonical names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from ..architecture.config import CCTConfig, ConfigError, read_config, write_config
from ..architecture.files import replace_file
from .common import Checkpoint, CheckpointError, check
from .given import NOTHING, Given, complete

FORMAT = "safetensors"
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
LONGEST_HEADER = 4_000_000  # bytes, of 40,000 arrays


def recognises(names: Collection[str]) -> bool:
    return WEIGHTS_FILE in names


def files(names: Collection[str]) -> list[str]:
    needed = [CONFIG_FILE, WEIGHTS_FILE]
    return needed if set(needed) <= set(names) else []


def read(folder: Path, given: Given = NOTHING) -> Checkpoint:
    """Read a folder written by `write`.

    Raises:
        CheckpointError: a file is damaged or not from this project, or config and weights do not fit.
        ConfigError: answers that do not fit the model.
    """
    try:
        config = read_config(folder / CONFIG_FILE)
    except ConfigError as error:
        raise CheckpointError(f"{folder.name}: {error}") from error
    config = complete(config, given, says_labels=True, says_pixels=True)
    return Checkpoint(config, _read_arrays(folder / WEIGHTS_FILE), FORMAT)


def check_header(path: Path) -> None:
    """Refuse a header of far more arrays than any model has: read as JSON, it takes ten times its size in memory.

    Raises:
        CheckpointError: it is too long. Whether it is damaged, its reader says.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if LONGEST_HEADER < length < path.stat().st_size:
        raise CheckpointError(
            f"{path.name} begins with a list of arrays of {length:,} bytes; expected {LONGEST_HEADER:,} at most"
        )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        check_header(path)
        with safe_open(path, framework="np") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118, file is no dict
            if wrong := [f"{name} is {kind}" for name, kind in sorted(types.items()) if kind not in ("F32", "F16")]:
                raise CheckpointError(f"{path.name} must hold float32 or float16 (F32, F16), but {', '.join(wrong)}")
            return {name: file.get_tensor(name).astype(np.float32) for name in types}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} is truncated, damaged or no safetensors file; download it again") from error


def write(
    folder: str | Path,
    config: CCTConfig,
    weights: Mapping[str, np.ndarray],
    *,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write config.json and model.safetensors, each in one step; the same input gives the same bytes.

    Args:
        folder: created if it does not exist; files of the same names are replaced.
        config: the model of the weights.
        weights: canonical name -> float32 array.
        dtype: how the arrays are stored; float16 halves the file and rounds to 3 digits.

    Raises:
        CheckpointError: weights that do not fit `config`, or that float16 cannot hold. Nothing is written.
    """
    check(weights, config)
    stored = _convert(weights, dtype)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS_FILE, lambda path: save_file(stored, path))
    replace_file(folder / CONFIG_FILE, lambda path: write_config(path, config))


def to_bytes(weights: Mapping[str, np.ndarray], *, dtype: Literal["float32", "float16"] = "float32") -> bytes:
    """The content of a model.safetensors.

    Raises:
        CheckpointError: a weight is too large for float16.
    """
    return save(_convert(weights, dtype))


def _convert(weights: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    with np.errstate(over="ignore"):
        stored = {name: np.ascontiguousarray(array, dtype=dtype) for name, array in weights.items()}
    if large := sorted(name for name, array in stored.items() if not np.isfinite(array).all()):
        raise CheckpointError(f"{', '.join(large)}: values too large for {dtype}; store them as float32")
    return stored
