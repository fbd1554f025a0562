"""Files beside the weights, such as metrics.json. They may come from strangers: one that cannot be used counts as none,
and stderr says so once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .config import read_json

_SAID: set[tuple[Path, str]] = set()


def ignore(path: Path, why: str) -> None:
    """Say on stderr, once in this process, that a file is not used."""
    if (path, why) not in _SAID:
        _SAID.add((path, why))
        print(f"cct_viz: note: {path.parent.name}/{path.name} is ignored: {why}", file=sys.stderr, flush=True)


def read_beside(path: Path, *, most: int) -> Any:
    """The content of a JSON file of at most `most` bytes; None if it is missing or cannot be used."""
    try:
        return read_json(path, most=most)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        ignore(path, str(error) if str(error).startswith("it has") else "it is damaged or cannot be read")
        return None
