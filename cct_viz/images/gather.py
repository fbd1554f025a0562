"""Which files a person means who names files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .decode import ImageError


@dataclass(frozen=True)
class Item:
    """One picture file.

    Attributes:
        path: where it is.
        name: unique among the items: its path in the named folder, or its file name; with "/" between parts.
        named: whether the file itself was named, so that it must be a picture. Others are in a folder or fit a pattern.
    """

    path: Path
    name: str
    named: bool


def gather(sources: Iterable[str]) -> list[Item]:
    """The files of `sources`, in their order: files, folders (all files in them, sorted) and patterns such as "*.jpg".

    Hidden files and folders are left out. Whether a file is a picture is for the decoder to say.

    Raises:
        ImageError: a folder or a pattern has no file.
    """
    items: list[Item] = []
    taken: set[str] = set()
    for source in sources:
        files = list(_list(source))
        if not files:
            what = "an empty folder" if os.path.isdir(source) else "a pattern that no file fits"
            raise ImageError(f"{source} is {what}; name files, folders or patterns with pictures")
        for path, name, named in files:
            unique, count = name, 1
            while unique.casefold() in taken:  # some systems do not tell small letters from large ones
                count += 1
                unique = f"{name} {count}"
            taken.add(unique.casefold())
            items.append(Item(path, unique, named))
    return items


def _list(source: str) -> Iterable[tuple[Path, str, bool]]:
    """Path, name and whether it was named, of each file of a source; a file that does not exist is listed too."""
    path = Path(source)
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in sorted(name for name in files if not name.startswith(".")):
                yield Path(folder, file), Path(folder, file).relative_to(path).as_posix(), False
    elif glob.has_magic(source) and not path.exists():
        for file in sorted(glob.glob(source, recursive=True)):
            if os.path.isfile(file):
                yield Path(file), Path(file).name, False
    else:
        yield path, path.name, True
