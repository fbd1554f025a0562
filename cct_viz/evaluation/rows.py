"""Rows of a long measurement in a file: one line of settings, then one line for each item, written as soon as it is
there, so that a stopped run can continue."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..architecture.files import replace_file


def collect_rows(
    path: Path,
    settings: dict[str, Any],
    digests: Sequence[str],
    measure: Callable[[int], Any],
    progress: Callable[[int, int], None] | None = None,
) -> list[Any]:
    """`measure(i)` for each item, as JSON values; those that an earlier run left in `path` are not measured again.

    Rows are reused if the settings are the same, for the items that both runs start with. A run on fewer items keeps
    the other rows.

    Args:
        digests: what tells one item from another.
        progress: called with the number of items done and of all items.

    Raises:
        OSError: the file cannot be written.
    """
    rows = _read_rows(path, settings, digests)
    text = "".join(json.dumps(line) + "\n" for line in [settings, *rows])
    replace_file(path, lambda new: new.write_text(text, encoding="utf-8"))
    with path.open("a", encoding="utf-8") as file:
        for i in range(len(rows), len(digests)):
            line = json.dumps({"image": digests[i], "scores": measure(i)})
            file.write(line + "\n")
            file.flush()
            rows.append(json.loads(line))
            if progress:
                progress(i + 1, len(digests))
    return [row["scores"] for row in rows[: len(digests)]]


def _read_rows(path: Path, settings: dict[str, Any], digests: Sequence[str]) -> list[Any]:
    """The rows of an earlier run with the same settings, up to the first row of another item.

    It ignores an incomplete last line. Rows of further items are included.
    """
    if not path.is_file():
        return []
    entries: list[Any] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    if not entries or entries[0] != settings:
        return []
    rows = entries[1:]
    for i, (row, digest) in enumerate(zip(rows, digests, strict=False)):
        if not isinstance(row, dict) or row.get("image") != digest:
            return rows[:i]
    return rows
