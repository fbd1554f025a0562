"""A .safetensors file that another program wrote. Needs no PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..common import CheckpointError
from ..safetensors import check_header
from .contents import Contents, collect

_LARGEST_HEADER = 100_000_000  # bytes, the limit of the format
# Kind in the file -> the type of its numbers; bfloat16, the upper half of a float32, is no type of NumPy.
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


_WHOLE = {"I8": "int8", "U8": "uint8", "I16": "int16", "I32": "int32", "I64": "int64"}


class _Stored:
    """An array that has not been read."""

    def __init__(self, kind: str, read: Callable[[], np.ndarray]) -> None:
        self.kind, self.read = kind, read


def holds(path: Path) -> bool:
    """Whether a file begins as safetensors files do: the length of a header, then JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LARGEST_HEADER


def read_contents(path: Path, beside: Mapping[str, Any] | None = None) -> Contents:
    """Everything in a .safetensors file.

    Args:
        beside: what another file says about the model, for example a config.json.

    Raises:
        CheckpointError: the file is damaged or was written by this project.
    """
    try:
        check_header(path)
        with safe_open(path, framework="np") as file:  # checks the whole header against the file's length
            written = file.metadata() or {}
        begin, header = _read_header(path)
    except CheckpointError:
        raise
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is truncated, damaged or no safetensors file; download it again") from error
    header.pop("__metadata__", None)
    if any("/" in name for name in header):
        raise CheckpointError(
            f"{path.name} is this project's, but without its own config.json; give the whole folder that it was in"
        )
    stored = {name: _stored(path, begin, entry) for name, entry in header.items()}
    return collect({**(beside or {}), **written, **stored}, path.stat().st_size, _add_tensor)


def _read_header(path: Path) -> tuple[int, dict[str, Any]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length, json.loads(file.read(length))


def _stored(path: Path, begin: int, entry: Mapping[str, Any]) -> _Stored:
    kind, shape, (start, _) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]

    def read() -> np.ndarray:
        raw = np.fromfile(path, _FLOATS[kind], math.prod(shape), offset=begin + start).reshape(shape)
        with np.errstate(all="ignore"):  # numbers that float32 cannot hold become infinite, and are refused later
            return (raw.astype("<u4") << 16).view("<f4") if kind == "BF16" else raw.astype(np.float32, copy=False)

    return _Stored(kind, read)


def _add_tensor(contents: Contents, name: str, value: Any) -> bool:
    if not isinstance(value, _Stored):
        return False
    if value.kind in _FLOATS:
        contents.arrays[name] = value.read
    elif value.kind.startswith(("I", "U", "BOOL")):
        contents.counters[name] = _WHOLE.get(value.kind, value.kind)
    else:
        contents.odd[name] = value.kind
    return True
