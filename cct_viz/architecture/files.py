"""File helpers for all packages: the SHA-256 of a file, and atomic replacement."""

from __future__ import annotations

import hashlib
import os
import secrets
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
    """Write a temporary file beside `path`, then rename it: readers see the old or the new content, never a part.

    The file gets the permissions that the user's other new files get.

    Args:
        write_to: called with a temporary path, whose name ends in that of `path`; writes the new content there.

    Raises:
        OSError: the file cannot be written. Errors of `write_to` propagate; the old file then stays unchanged.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")  # other machines may write here too
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write_to(temporary)
        temporary.chmod(mode)  # safetensors makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
