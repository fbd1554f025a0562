"""Checkpoints of PyTorch: state dicts of the paper's code, of vit-pytorch's CCT and of their forks.

- `contents`: everything in a file, under full names. `state_dict` reads it from a .pth and is the only place that needs
  PyTorch; `tensors` reads it from a .safetensors.
- `select`: which of the arrays are the model; `others` names architectures that are not compact transformers.
- `infer`: shapes, answers and what lies `beside` the weights -> a configuration.
- `official`: the paper's names <-> canonical names.
- `hub_mixin`: the folder that PyTorch's hub mixin writes.
- `outgoing`: canonical weights -> a .pth that the paper's code loads.

Files are told apart by their content, never by their names. Nothing in a file is run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from ...architecture.config import CCTConfig, ConfigError
from ...architecture.presets import PRESETS, PUBLISHED, configure
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given, complete
from . import official, state_dict, tensors
from .contents import Contents
from .infer import find_size, infer
from .official import FORMAT, POSITION
from .select import select_state

__all__ = ["ANSWERS", "FORMAT", "check", "files", "holds", "read", "read_as", "recognises"]

ANSWERS = frozenset({"arch", "new_head", "image_size", "heads", "stride", "ema"})
_SUFFIXES = (
    ".pth",
    ".pt",
    ".ckpt",
    ".pth.tar",
    "pytorch_model.bin",
)  # in a folder; a file may be called anything


def recognises(names: Collection[str]) -> bool:
    return bool(files(names))


def files(names: Collection[str]) -> list[str]:
    """The first file that is named as PyTorch's files are: each holds a whole model."""
    return sorted(name for name in names if name.endswith(_SUFFIXES) and "/" not in name)[:1]


def holds(path: Path) -> bool:
    """Whether a file looks like one of PyTorch's or like a safetensors file."""
    return state_dict.holds(path) or tensors.holds(path)


def libraries(path: Path) -> tuple[str, ...]:
    """A .safetensors file is read without PyTorch."""
    return () if tensors.holds(_only_file(path)) else ("torch",)


def check(given: Given) -> None:
    """Refuse answers that no file can fit, before a large one is read.

    Raises:
        ConfigError: no such architecture, or a size or a number of heads that it cannot have.
        CheckpointError: an architecture that is not of the paper's code.
    """
    if given.arch:
        _configure(given.arch, {}, given, known=True)


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """Read a file of PyTorch, as the model that its shapes show, or that `given.arch` names.

    Raises:
        CheckpointError: PyTorch is missing, or the file is damaged, holds more than tensors, or is of another model.
        ConfigError: no such architecture, or answers that do not fit the file.

    Warns:
        CheckpointWarning: the position was resized or differs from the formula, the head is untrained, or the file
            holds more than the model.
    """
    path = _only_file(path)
    contents = tensors.read_contents(path) if tensors.holds(path) else state_dict.read_contents(path)
    return read_as(FORMAT, contents, path.name, given)


def read_as(format: str, contents: Contents, name: str, given: Given) -> Checkpoint:
    """The model in the contents of a file.

    Args:
        format: the key in READERS of the reader that read the file.
        name: of the file or folder, for messages, and to recognise the files that the paper's authors publish.
    """
    replaced = type(given.new_head) is int
    state = select_state(contents, name, ema=given.ema, without_head=replaced)
    published = PUBLISHED.get(name)
    arch = given.arch or published
    if arch is None:
        config, grid = infer(state, contents.values, given)
    else:
        config, grid = _configure(arch, state, given, known=arch == published or arch not in PRESETS)
    try:
        weights = official.rename(state, config, grid=grid, new_head=given.new_head is not None)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    return Checkpoint(config, weights, format)


def _only_file(path: Path) -> Path:
    """The file itself, or the only one of PyTorch in a folder."""
    if not path.is_dir():
        return path
    names = [file.name for file in path.iterdir() if file.name.endswith(_SUFFIXES)]
    if len(names) > 1:
        raise CheckpointError(
            f"{path.name} holds {len(names)} files of PyTorch ({', '.join(sorted(names))}); give one of them"
        )
    return path / names[0]


def _configure(
    arch: str, state: Mapping[str, np.ndarray], given: Given, *, known: bool
) -> tuple[CCTConfig, tuple[int, int]]:
    """The config that the user names, and its grid; the file keeps its own image size unless the user gives one.

    `known`: labels and preprocessing are the file's own, which is published, or were written down in a config.json. A
    preset says what a model is like, and not which data it saw.
    """
    classes = None if given.new_head is True else given.new_head
    config = configure(arch, num_classes=classes)
    if given.stride is not None:
        stages = tuple(dataclasses.replace(stage, stride=given.stride) for stage in config.tokenizer)
        config = dataclasses.replace(config, tokenizer=stages)
    if given.heads is not None:
        if config.embedding_dim % given.heads:
            raise ConfigError(f"{given.heads} heads do not divide the width of {config.embedding_dim} channels")
        config = dataclasses.replace(config, num_heads=given.heads, key_dim=config.embedding_dim // given.heads)
    official.check_form(config)
    trained = config
    if POSITION in state and config.position != "none":
        tokens = official.count_tokens(state)
        side = math.isqrt(tokens)
        if tokens != config.num_tokens and side * side == tokens:
            size = find_size(config.tokenizer, (side, side))
            trained = dataclasses.replace(config, image_size=size) if size else config
    config = dataclasses.replace(trained, image_size=given.image_size or trained.image_size)
    return complete(config, given, says_labels=known, says_pixels=known, preset=arch), trained.grid
