"""Look up an entry of a table by name; the error for an unknown name lists the valid ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def look_up(table: Mapping[str, Entry], what: str, name: object) -> Entry:
    """The entry of `table` called `name`; `what` is what the error message calls the name, for example "pool".

    Raises:
        ValueError: no such entry; the message lists all names.
    """
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{what} is {name!r}; expected one of {', '.join(table)}")
    return table[name]
