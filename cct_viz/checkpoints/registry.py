"""READERS: every supported checkpoint format. This is the only file that lists formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from . import pytorch, safetensors, saved_model
from .common import Checkpoint, CheckpointError


@dataclass(frozen=True)
class Reader:
    """One checkpoint format. Names of files are relative to the checkpoint's folder, with "/" between their parts.

    Attributes:
        description: the files of the format, for error messages that say what is expected.
        recognises: whether files of these names look like this format, even if some are missing.
        files: the names that make up a model, in download order: the last one completes it. [] if some are missing.
        read: the checkpoint at a path. Where `needs_architecture`, it takes the configuration as a second argument.
        needs_architecture: whether the files do not say which model they are, so that `convert` asks for it.
    """

    description: str
    recognises: Callable[[Collection[str]], bool]
    files: Callable[[Collection[str]], list[str]]
    read: Callable[..., Checkpoint]
    needs_architecture: bool = False


# In order of preference, where a folder holds more than one format.
READERS: dict[str, Reader] = {
    safetensors.FORMAT: Reader(
        "config.json and model.safetensors", safetensors.recognises, safetensors.files, safetensors.read
    ),
    saved_model.FORMAT: Reader(
        "saved_model.pb and variables/ (a TensorFlow SavedModel)",
        saved_model.recognises,
        saved_model.files,
        saved_model.read,
    ),
    pytorch.FORMAT: Reader(
        "a .pth file (PyTorch)", pytorch.recognises, pytorch.files, pytorch.read, needs_architecture=True
    ),
}


def detect(path: str | Path) -> str:
    """The name in READERS of the format that `path` is in: the first that is complete, else the first that is not.

    Raises:
        CheckpointError: the path does not exist, or its format is not supported.
    """
    path = Path(path)
    names = _list_files(path)
    complete = [name for name, reader in READERS.items() if reader.files(names)]
    incomplete = [name for name, reader in READERS.items() if reader.recognises(names)]
    for name in complete + incomplete:
        return name
    state = "not a checkpoint" if path.is_dir() else "a file of no known format" if path.exists() else "missing"
    *others, last = (reader.description for reader in READERS.values())
    raise CheckpointError(f"{path.name} is {state}; expected a folder with {', '.join(others)}, or {last}")


def model_files(path: str | Path) -> list[str]:
    """The files that `read` reads, relative to the folder, the one that completes the model last.

    Raises:
        CheckpointError: as `detect`, or files are missing, or the format has to be converted first.
    """
    path = Path(path)
    reader = READERS[detect(path)]
    files = reader.files(_list_files(path))
    if not files:
        raise CheckpointError(f"{path.name} is incomplete; expected {reader.description}")
    if reader.needs_architecture:
        raise CheckpointError(
            f"{files[-1]} does not say its architecture; convert it first: "
            f"python -m cct_viz convert {files[-1]} --arch NAME --out DIR"
        )
    return files


def select_files(names: Collection[str]) -> list[str]:
    """The files of `names` that make up a model that `read` reads, the one that completes it last; [] without one."""
    selections = [reader.files(names) for reader in READERS.values() if not reader.needs_architecture]
    return next(filter(None, selections), [])


def read(path: str | Path) -> Checkpoint:
    """Read the checkpoint at `path`, whichever format it is in.

    Raises:
        CheckpointError: as `model_files`, damaged files, or weights that do not fit their configuration.
    """
    model_files(path)
    return READERS[detect(path)].read(Path(path))


def _list_files(path: Path) -> list[str]:
    """The files in a folder and its direct subfolders (no format needs more), or the name of a single file."""
    if not path.is_dir():
        return [path.name] if path.exists() else []
    files = [file for pattern in ("*", "*/*") for file in path.glob(pattern) if os.path.isfile(file)]
    return sorted(file.relative_to(path).as_posix() for file in files)
