"""What a file of PyTorch holds, whichever way it was written: named arrays, and plain values beside them."""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...architecture.config import MOST_CLASSES
from ..common import CheckpointError

DEEPEST = 12  # levels of nesting that are searched; training scripts use three or four
LONGEST = 100  # items of a list that is searched
MOST_VALUES, MOST_LETTERS = 300_000, 30_000_000  # in one file, and in all full names together
LONGEST_TEXT = 1000  # letters of a text that may say something about the model
_RECORDS = (argparse.Namespace, types.SimpleNamespace)


@dataclass(frozen=True)
class Contents:
    """Everything in a file under its full name: the keys of all dicts (places in lists) on the way, joined by dots.

    Attributes:
        kind: what the outermost object is, for messages.
        size: of the file, in bytes.
        arrays: full name -> a function that returns the float32 array.
        groups: full name of an array -> the name of the dict that holds it; "" for the outermost.
        counters: full name -> type, of tensors of whole numbers: they count something (batches seen), or are quantised.
        odd: full name -> what it is instead of a dense array of floats.
        values: key -> value, for plain values and for dicts of them; keys with two different values are left out.
    """

    kind: str = "dict"
    size: int = 0
    arrays: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def collect(content: Any, size: int, add_tensor: Callable[[Contents, str, Any], bool]) -> Contents:
    """Walk through nested dicts and records.

    Args:
        size: of the file, in bytes.
        add_tensor: (contents, full name, value) -> whether the value is a tensor, which it then has added.
    """
    contents = Contents(type(content).__name__, size)
    disputed: set[str] = set()
    values_left, letters_left = MOST_VALUES, MOST_LETTERS  # dicts that share their parts can unfold without end

    plain: dict[int, bool] = {}  # by identity: one list may stand in many places

    def is_plain(value: Any) -> bool:
        if id(value) not in plain:
            plain[id(value)] = _is_plain(value)
        return plain[id(value)]

    def walk(value: Any, name: str, group: str, key: str, depth: int) -> None:
        nonlocal values_left, letters_left
        values_left, letters_left = values_left - 1, letters_left - len(name)
        if values_left < 0 or letters_left < 0:
            raise CheckpointError(
                f"the file nests its dicts into more than {MOST_VALUES:,} values, or their names are far too long"
            )
        if add_tensor(contents, name, value):
            contents.groups[name] = group
            return
        value = vars(value) if isinstance(value, _RECORDS) else value
        if key and key not in disputed and is_plain(value):
            other = contents.values.get(key, value)
            if other is not value and repr(other) != repr(value):
                disputed.add(key)
            contents.values[key] = value
        if isinstance(value, (list, tuple)) and len(value) <= LONGEST:
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and depth < DEEPEST:
            for inner, part in value.items():
                walk(part, f"{name}.{inner}" if name else str(inner), name, str(inner), depth + 1)

    walk(content, "", "", "", 0)
    for key in disputed:
        del contents.values[key]
    return contents


def _is_plain(value: Any) -> bool:
    """Whether a value is text, a number, a list of these or a dict of these, of a size that a model has a use for."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    return len(items) <= MOST_CLASSES and all(
        isinstance(item, (bool, int, float)) or (isinstance(item, str) and len(item) <= LONGEST_TEXT) for item in items
    )
