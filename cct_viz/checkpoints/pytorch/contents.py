"""What a file of PyTorch holds, whichever way it was written: named arrays, and plain values beside them."""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..common import CheckpointError

DEEPEST = 12  # levels of nesting that are searched; training scripts use three or four
LONGEST = 100  # items of a list that is searched
MOST_VALUES = 300_000  # in one file
_RECORDS = (argparse.Namespace, types.SimpleNamespace)


class CheckpointWarning(UserWarning):
    """A checkpoint that can be used, but was changed; the message says how."""


@dataclass(frozen=True)
class Contents:
    """Everything in a file under its full name: the keys of all dicts (places in lists) on the way, joined by dots.

    Attributes:
        kind: what the outermost object is, for messages.
        arrays: full name -> a function that returns the float32 array.
        groups: full name of an array -> the name of the dict that holds it; "" for the outermost.
        counters: full names of tensors of whole numbers, which count something (batches seen, weights averaged).
        odd: full name -> what it is instead of a dense array of floats.
        values: key -> value, for plain values and for dicts of them; keys with two different values are left out.
    """

    kind: str = "dict"
    arrays: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    counters: set[str] = field(default_factory=set)
    odd: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def collect(content: Any, add_tensor: Callable[[Contents, str, Any], bool]) -> Contents:
    """Walk through nested dicts and records.

    Args:
        add_tensor: (contents, full name, value) -> whether the value is a tensor, which it then has added.
    """
    contents = Contents(type(content).__name__)
    disputed: set[str] = set()
    budget = iter(range(MOST_VALUES))  # dicts that share their parts can unfold without end

    def walk(value: Any, name: str, group: str, key: str, depth: int) -> None:
        if next(budget, None) is None:
            raise CheckpointError(f"the file nests its dicts into more than {MOST_VALUES:,} values")
        if add_tensor(contents, name, value):
            contents.groups[name] = group
            return
        value = vars(value) if isinstance(value, _RECORDS) else value
        if key and _is_plain(value):
            if key in contents.values and repr(contents.values[key]) != repr(value):
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
    """Whether a value is text, a number, a list of these or a dict of these."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(item, (str, bool, int, float)) for item in items)
