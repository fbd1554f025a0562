"""A checkpoint in a format of other programs -> the same weights in this project's format, kept in a cache.

`child` reads it, once. The entry of a checkpoint depends on the content of its files alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from .. import checkpoints
from ..architecture.files import sha256
from . import CheckpointError, child, safetensors

VERSION = "4"  # raise when a reader's result or the name of an entry changes, so that older ones are not used
_FILES, _SUMS = ("config.json", "model.safetensors"), "sha256.json"


def cache_dir() -> Path:
    """Where converted checkpoints are kept: $CCT_VIZ_CACHE, else $XDG_CACHE_HOME/cct_viz, else ~/.cache/cct_viz.

    If that cannot be written, a folder in the temp directory is used.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or tempfile.gettempdir()) / ".cache"
    preferred = Path(os.environ.get("CCT_VIZ_CACHE") or Path(home) / "cct_viz")
    try:
        preferred.mkdir(parents=True, exist_ok=True)
        if os.access(preferred, os.W_OK):
            return preferred
    except OSError:
        pass  # the home is read-only or missing; the temp folder is kept until the machine restarts
    fallback = Path(tempfile.gettempdir()) / f"cct_viz_{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    fallback.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (fallback.is_symlink() or fallback.stat().st_uid != os.getuid()):
        raise CheckpointError(f"{fallback} belongs to another user; set CCT_VIZ_CACHE to a folder of your own")
    return fallback


def own_folder(path: str | Path) -> Path:
    """The checkpoint at `path` as a folder of this project: itself, or a converted copy, made on first use.

    Making it prints a line on stderr.

    Raises:
        CheckpointError: the checkpoint is damaged, incomplete or in no supported format, or reading it took too
            much time or memory.
    """
    folder = Path(path).resolve()
    if checkpoints.detect(folder) == safetensors.FORMAT:
        return folder
    ready = entry(folder)
    if not _is_complete(ready):
        shutil.rmtree(ready, ignore_errors=True)
        print(f"Converting {folder.name}, once on this machine ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=ready.parent, prefix="partial_") as scratch:
            out = Path(scratch) / "out"
            child.write(folder, out)
            (out / _SUMS).write_text(json.dumps({name: sha256(out / name) for name in _FILES}))
            try:
                out.replace(ready)
            except OSError:
                if not _is_complete(ready):  # another process may have finished the same folder first
                    raise
    return ready


def is_ready(path: str | Path) -> bool:
    """Whether `own_folder` has nothing to do: the format is this project's, or the copy was made before."""
    try:
        path = Path(path).resolve()
        return checkpoints.detect(path) == safetensors.FORMAT or _is_complete(entry(path))
    except (CheckpointError, OSError):  # files in the Hub's cache may be deleted at any time
        return False


def entry(folder: Path) -> Path:
    """The folder of the converted checkpoint; its name depends on the names and the content of the reader's files."""
    digest = hashlib.sha256(VERSION.encode())
    parent = folder if folder.is_dir() else folder.parent
    for name in sorted(checkpoints.model_files(folder)):
        digest.update(f"\n{name} {sha256(parent / name)}".encode())
    return cache_dir() / digest.hexdigest()[:32]


def _is_complete(ready: Path) -> bool:
    """Whether a converted folder is complete: the disk may have been full, or a file truncated since."""
    try:
        return json.loads((ready / _SUMS).read_text()) == {name: sha256(ready / name) for name in _FILES}
    except (OSError, ValueError):
        return False
