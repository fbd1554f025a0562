"""The folder that PyTorch's hub mixin writes: model.safetensors, and the model's arguments in config.json.

Its file names are those of this project's own folders; the config.json tells them apart. Needs no PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...architecture.config import read_json
from .. import safetensors
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given
from . import read_as, tensors

FORMAT = "pytorch_hub"
recognises, files = safetensors.recognises, safetensors.files


def claims(folder: Path) -> bool:
    """Whether the config.json of a folder is another program's."""
    config = _read_config(folder)
    return isinstance(config, dict) and "format_version" not in config


def read(folder: Path, given: Given = NOTHING) -> Checkpoint:
    """Read such a folder; `config.json` supplies what the shapes do not say, where it uses the paper's names.

    Raises:
        CheckpointError: a file is damaged, or the arrays are not those of a compact transformer.
        ConfigError: answers that do not fit the model.
    """
    config = _read_config(folder)
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder.name}: {safetensors.CONFIG_FILE} cannot be read as JSON")
    contents = tensors.read_contents(folder / safetensors.WEIGHTS_FILE, beside=config)
    return read_as(FORMAT, contents, folder.name, given)


def _read_config(folder: Path) -> Any:
    try:
        return read_json(folder / safetensors.CONFIG_FILE)
    except (OSError, ValueError, RecursionError):
        return None
