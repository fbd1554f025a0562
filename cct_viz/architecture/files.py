"""What every package needs of files: their digest, and replacing one in a single step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hex digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, write_to: Callable[[Path], object]) -> None:
    """Write a file beside `path`, then move it there: readers see the old content or the new, never a part of it.

    Args:
        write_to: writes the new content to the path it is called with, which ends in the name of `path`.

    Raises:
        OSError: the file cannot be written. An error of `write_to` is passed on; the old file then stays as it is.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write_to(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
