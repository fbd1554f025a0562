"""What a chunk of a data set is: some pictures in a row, which it reads one by one."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..images.decode import MAX_BYTES

CHUNK = 512  # pictures: a second of work for a small model, and 1 to 3 MB of a table


@dataclass(frozen=True)
class Item:
    """One picture of a data set, not yet decoded.

    Attributes:
        name: unique in the data set.
        data: the bytes of the file; None if they cannot be read, and then `problem` says why.
        label: the true class as the data set has it: a name, or a number for the place among the model's classes.
        problem: one sentence; empty for a picture that was read.
    """

    name: str
    data: bytes | None = None
    label: str | int | None = None
    problem: str = ""


class Chunk(Protocol):
    """At most CHUNK pictures. Can be pickled, and opens its files only when it is read."""

    def __len__(self) -> int:
        """The number of pictures, those that cannot be read included."""

    def read(self, names: Collection[str] | None = None) -> Iterator[Item]:
        """The pictures, always the same ones in the same order, or those with these `names`.

        What cannot be read is an `Item` with a problem.
        """

    def listing(self) -> Iterator[str]:
        """What tells these pictures from others without reading them: a line for each, or for all of them."""


def read_chunk(chunk: Chunk, names: Collection[str] | None = None) -> Iterator[Item]:
    """As `chunk.read`; errors of a file system's own kinds, which may pass, become OSErrors.

    Raises:
        OSError: the file system does not answer, or not now.
    """
    try:
        yield from chunk.read(names)
    except (OSError, ValueError):
        raise
    except Exception as error:  # the clients of fsspec have errors without a common base
        raise OSError(f"the pictures cannot be read now: {error}") from error


@dataclass(frozen=True)
class Broken:
    """A file of pictures that cannot be opened: one row in the table of problems."""

    name: str
    problem: str

    def __len__(self) -> int:
        return 1

    def read(self, names: Collection[str] | None = None) -> Iterator[Item]:
        yield Item(self.name, problem=self.problem)

    def listing(self) -> Iterator[str]:
        yield f"{self.name}\t{self.problem}"


@dataclass(frozen=True)
class File:
    """A picture file: its path on the file system, its name in the data set, its size in bytes and its true class."""

    path: str
    name: str
    size: int
    label: str | None


@dataclass(frozen=True)
class Files:
    """Picture files of one file system of fsspec."""

    fs: Any
    files: tuple[File, ...]

    def __len__(self) -> int:
        return len(self.files)

    def read(self, names: Collection[str] | None = None) -> Iterator[Item]:
        for file in self.files:
            if names is not None and file.name not in names:
                continue
            if file.size > MAX_BYTES:
                problem = f"It is a file of {file.size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read."
                yield Item(file.name, problem=problem)
                continue
            try:
                yield Item(file.name, self.fs.cat_file(file.path), file.label)
            except (FileNotFoundError, PermissionError) as error:  # others, as of a network, may pass: the run stops
                if not self.fs.exists(file.path.rpartition("/")[0]):
                    raise  # the whole folder is away, as of a disk or a login that ended
                yield Item(file.name, problem=f"It cannot be read ({error.strerror or type(error).__name__}).")
            except (zipfile.BadZipFile, zlib.error) as error:
                yield Item(file.name, problem=f"It is damaged in its archive ({error}).")

    def listing(self) -> Iterator[str]:
        for file in self.files:
            yield f"{file.name}\t{file.size}"
