"""Zip archives of weights, checked before anything in them is unpacked.

A small archive can say that it unpacks to anything, name one place many times, and list a million members.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from .common import CheckpointError

# What a damaged archive raises, by which byte is wrong.
UNREADABLE = (
    *(zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError),
    *(ValueError, LookupError, OverflowError, zlib.error),
)
FACTOR, SPARE = 3, 1 << 20  # weights hardly compress, zeros in an optimizer's state do
LONGEST_LIST = 1 << 21  # bytes of the list of members, of about 100 bytes each


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose members have names of their own and unpack to about as much as it holds.

    Raises:
        CheckpointError: they do not.
        one of UNREADABLE: it is damaged.
    """
    with _open(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if odd := next(filter(_is_outside, names), None):
            raise CheckpointError(f"{path.name} holds a file named {odd!r}, outside of the archive; it was not read")
        if len(set(names)) < len(names):
            raise CheckpointError(f"{path.name} holds two files of one name; save it again")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise CheckpointError(f"{path.name} is compressed in a way that is not used for weights; save it again")
        left = FACTOR * path.stat().st_size + SPARE
        for member in sorted(members, key=lambda member: member.file_size):
            left -= member.file_size
            if left < 0:
                raise CheckpointError(
                    f"{member.filename} in {path.name} unpacks to {member.file_size:,} bytes, far more than the "
                    "archive has; it was not read"
                )
        yield archive


def list_names(path: Path) -> list[str]:
    """The names in a zip archive; [] if it is none, or is damaged."""
    try:
        with _open(path) as archive:
            return archive.namelist()
    except UNREADABLE:
        return []


class _File(io.BufferedReader):
    """A file that is not read in pieces larger than `most` bytes, as long as there is a limit."""

    most: int | None = LONGEST_LIST

    def read(self, size: int | None = -1) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise CheckpointError(
                f"the archive has a list of members of {size:,} bytes; expected {self.most:,} at most"
            )
        return super().read(size)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; opening it reads the list of its members at once, which takes ten times as much memory."""
    with _File(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        file.most = None
        yield archive


def _is_outside(name: str) -> bool:
    """Whether a member's name leaves the folder that the archive would be unpacked to."""
    return re.match(r"[/\\]|[A-Za-z]:[/\\]", name) is not None or ".." in re.split(r"[/\\]", name)
