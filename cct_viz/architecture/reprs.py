"""Short texts for records: what a notebook or a debugger prints must not be every number of an array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

MOST = 60  # characters of one field


def short_repr(record: Any) -> str:
    """`record`, a dataclass, in one line: arrays by dtype and shape, what holds much by its length."""
    fields = [f.name for f in dataclasses.fields(record) if f.repr]
    return f"{type(record).__name__}({', '.join(f'{name}={_short(getattr(record, name))}' for name in fields)})"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    text = type(value).__name__ if dataclasses.is_dataclass(value) else _of_collection(value) or repr(value)
    return text if len(text) <= MOST else f"{text[: MOST - 3]}..."


def _of_collection(value: Any) -> str:
    """How many entries a collection has, where they do not fit; else an empty text."""
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    if isinstance(value, (list, tuple)) and (len(value) > 4 or any(isinstance(one, np.ndarray) for one in value)):
        return f"<{len(value)} values>"
    return ""
