"""An entry of a table by its name; a name that is not in the table is an error that lists those that are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def look_up(table: Mapping[str, Entry], what: str, name: object) -> Entry:
    """The entry of `table` called `name`; `what` says in the message what the name stands for.

    Raises:
        ValueError: no such entry; the message names all that there are.
    """
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{what} is {name!r}; expected one of {', '.join(table)}")
    return table[name]
