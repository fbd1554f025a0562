"""The paper's own checkpoints: PyTorch state dicts in .pth files.

- `state_dict`: a .pth -> named arrays; nothing in the file is run. The only place that needs PyTorch.
- `official`: named arrays of the paper's code -> canonical weights of a configuration.

A state dict does not say its architecture, so the user's answers do, and `convert` is how people use it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection
from pathlib import Path

from ...architecture.presets import PUBLISHED, configure
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given, complete
from . import official
from .official import FORMAT

__all__ = ["FORMAT", "files", "holds", "read", "recognises"]


def recognises(names: Collection[str]) -> bool:
    return bool(files(names))


def files(names: Collection[str]) -> list[str]:
    """The first .pth or .pt file: each holds a whole state dict."""
    return sorted(name for name in names if name.endswith((".pth", ".pt")) and "/" not in name)[:1]


def holds(path: Path) -> bool:
    """Whether a file looks like one that `torch.save` wrote: a zip archive with a pickle, or a bare pickle."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """Read a .pth as the model that `given.arch` names; files that the paper's authors publish need no answer.

    Raises:
        CheckpointError: no architecture is given, PyTorch is missing, or the file is damaged, holds more than tensors,
            or is of another model.
        ConfigError: no such architecture, or an impossible head or size.

    Warns:
        CheckpointWarning: the position was resized or differs from the formula, or the head is untrained.
    """
    if path.is_dir():
        path = path / files([file.name for file in path.iterdir()])[0]
    arch = given.arch or PUBLISHED.get(path.name)
    if arch is None:
        raise CheckpointError(f"{path.name} does not say its architecture: give a preset or config.json as --arch")
    trained = configure(arch)
    classes = None if given.new_head is True else given.new_head
    config = configure(arch, num_classes=classes, image_size=given.image_size)
    checkpoint = official.read(path, config, grid=trained.grid, new_head=given.new_head is not None)
    return Checkpoint(complete(config, given, says_labels=True, says_pixels=True), checkpoint.weights, FORMAT)
