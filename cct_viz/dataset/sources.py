"""Which pictures a data set has: a folder, a pattern, Parquet or tar files, wherever fsspec reads."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from .chunks import CHUNK, Chunk, File, Files
from .tables import SUFFIXES as TABLES
from .tables import list_table
from .tars import SUFFIXES as TARS
from .tars import list_tar


def list_chunks(source: str) -> list[Chunk]:
    """The pictures of `source` in numbered chunks: the number of a chunk is its place in the list.

    A folder or a pattern with Parquet or tar files means the pictures in these; otherwise each file is a picture, as in
    `classify`. Hidden files are left out. The order is that of the names, then that within a file.

    Args:
        source: a path, a pattern, or an address that fsspec reads, such as "s3://bucket/photos" or
            "hf://datasets/owner/name".

    Raises:
        ValueError: nothing is there, or fsspec cannot read this kind of address; the message says what to install.
        OSError: the file system does not answer, or not now.
    """
    fs, root = _open(source)
    try:
        files = _find_files(fs, root)
        if not files:
            raise ValueError(f"{source} has no files; name a folder, a pattern, Parquet or tar files with pictures")
        packed = [file for file in files if file.path.endswith((*TABLES, *TARS))]
        return list(_list_packed(fs, packed) if packed else _list_files(fs, files))
    except (OSError, ValueError):
        raise
    except Exception as error:  # the clients of fsspec have errors without a common base
        raise OSError(f"{source} cannot be read now: {error}") from error


def digest_listing(chunks: Iterable[Chunk]) -> str:
    """SHA-256, 64 hex digits, of the names, sizes and order of all pictures: whether two listings are the same."""
    digest = hashlib.sha256()
    for chunk in chunks:
        for line in chunk.listing():
            digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _open(source: str) -> tuple[Any, str]:
    """The file system of an address, and the path on it."""
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(source)
    except (ImportError, ValueError) as error:  # no such scheme, or a package that it needs
        raise ValueError(f"{source} cannot be read: {error}") from error
    return fs, root


def _find_files(fs: Any, root: str) -> list[File]:
    """All files under `root`, or that fit it, or it; each named by its path in the folder."""
    if fs.isdir(root):
        base, found = root.rstrip("/"), fs.find(root, detail=True)
    elif glob.has_magic(root) and not fs.exists(root):
        base, found = root[: _first_magic(root)].rpartition("/")[0], fs.glob(root, detail=True)
    elif fs.exists(root):
        base, found = root.rpartition("/")[0], {root: fs.info(root)}
    else:
        return []
    files = []
    for path in sorted(found):
        name = path[len(base) :].lstrip("/") if path.startswith(base) else path
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and _is_file(fs, path, found[path]):
            files.append(File(path, name, found[path].get("size") or 0, _folder_label(path)))
    return files


def _is_file(fs: Any, path: str, info: dict[str, Any]) -> bool:
    """Whether it can be read to an end, which pipes and devices may not have; a link to nothing is a missing file."""
    if info.get("islink") or info["type"] == "link":
        return fs.isfile(path) or not fs.exists(path)
    return info["type"] == "file"


def _first_magic(pattern: str) -> int:
    return min(pattern.index(character) for character in "*?[" if character in pattern)


def _folder_label(path: str) -> str | None:
    """The name of the folder of a picture, which may be its class."""
    return path.rpartition("/")[0].rpartition("/")[2] or None


def _list_files(fs: Any, files: list[File]) -> Iterator[Chunk]:
    for start in range(0, len(files), CHUNK):
        yield Files(fs, tuple(files[start : start + CHUNK]))


def _list_packed(fs: Any, files: list[File]) -> Iterator[Chunk]:
    for file in files:
        yield from (list_table if file.path.endswith(TABLES) else list_tar)(fs, file.path, file.name)
