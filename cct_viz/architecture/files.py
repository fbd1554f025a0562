"""File helpers for all packages: the SHA-256 of a file, atomic replacement, and what can be written."""

from __future__ import annotations

import errno
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


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written, before what it shall hold is computed. Nothing is written.

    Raises:
        OSError: it is a folder, its folder is missing, or one of the two cannot be written.
    """
    if path.is_dir():
        raise _error(errno.EISDIR, path)
    if not path.parent.exists():
        raise _error(errno.ENOENT, path.parent)
    if path.exists():
        _check_access(path, os.W_OK)
    else:
        check_folder(path.parent)


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be made or written, before what it shall hold is computed. Nothing is written.

    Raises:
        OSError: it is a file or lies in one, or it cannot be written.
    """
    place = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not place.is_dir():
        raise _error(errno.ENOTDIR, place)
    _check_access(place, os.W_OK | os.X_OK)


def _check_access(path: Path, mode: int) -> None:
    if not os.access(path, mode):
        raise _error(errno.EACCES, path)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
