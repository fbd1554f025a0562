"""Checkpoints of any known format, read to one record: configuration and canonically named weights.

Importing this loads neither Keras nor TensorFlow; a reader that needs TensorFlow loads it when it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import safetensors
from .common import Checkpoint, CheckpointError, assign, check
from .saved_model import reader as saved_model

__all__ = ["READERS", "Checkpoint", "CheckpointError", "Reader", "assign", "check", "detect", "read"]


@dataclass(frozen=True)
class Reader:
    """One checkpoint format: `recognises` tells from the names of files alone, `read` does the work."""

    recognises: Callable[[Path], bool]
    read: Callable[[Path], Checkpoint]


READERS: dict[str, Reader] = {
    safetensors.FORMAT: Reader(safetensors.recognises, safetensors.read),
    saved_model.FORMAT: Reader(saved_model.recognises, saved_model.read),
}


def detect(folder: str | Path) -> str:
    """The name in READERS of the format that `folder` is in.

    Raises:
        CheckpointError: no such folder, a PyTorch file (which must be converted first), or no known format.
    """
    folder = Path(folder)
    for format_name, reader in READERS.items():
        if reader.recognises(folder):
            return format_name
    files = [folder] if folder.is_file() else sorted(folder.glob("*.pt*"))
    if pytorch := [path.name for path in files if path.suffix in (".pth", ".pt")]:
        raise CheckpointError(
            f"{pytorch[0]} is a PyTorch checkpoint; convert it first: "
            f"python -m cct_viz convert {pytorch[0]} --arch NAME --out DIR"
        )
    found = "no checkpoint" if folder.is_dir() else "a file" if folder.exists() else "not there"
    raise CheckpointError(
        f"{folder.name} is {found}; expected a folder with config.json and model.safetensors, "
        "or a TensorFlow SavedModel (saved_model.pb and variables/)"
    )


def read(folder: str | Path) -> Checkpoint:
    """Read the checkpoint in `folder`, whichever format it is in.

    Raises:
        CheckpointError: unknown format, damaged files, or weights that do not fit their configuration.
    """
    return READERS[detect(folder)].read(Path(folder))
