"""Any checkpoint -> the project's folder, or a Keras archive: `python -m cct_viz convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import checkpoints
from ..architecture.config import ConfigError
from ..architecture.cost import count_parameters
from ..architecture.files import sha256
from ..architecture.presets import AUTHORS, PUBLISHED, configure
from . import READERS, Checkpoint, CheckpointError, Reader, safetensors

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT

_CARD = """---
library_name: keras
pipeline_tag: image-classification
tags: [cct, compact-convolutional-transformer]
---

# {name}

A compact transformer of {parameters:,} parameters ({layers} layers, {heads} heads, width {width}, {tokens} tokens,
{classes} classes, images of {height}x{width_px} pixels), converted from `{source}`{digest} with

    {command}

`config.json` says how it is built, what its classes are called and how images are prepared for it. Its weights are
the work of the authors of the original, under its licence.
"""


def convert(
    source: str | Path,
    out: str | Path,
    *,
    arch: str | None = None,
    new_head: int | bool | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Checkpoint:
    """Read a .pth file or a checkpoint folder of any known format and write it to `out`.

    Args:
        source: a .pth of the paper's code, a tf-keras SavedModel folder, or a folder of this project.
        out: a new folder for config.json, model.safetensors and a card; or a file ending in .keras.
        arch: for a .pth, a preset's name or a config.json; not needed for the files that the paper's authors publish.
        new_head: for a .pth, the number of classes of a new, untrained classifier that replaces the file's; True for
            the architecture's number, None or False to keep the file's.
        image_size: for a .pth, side in pixels, or (height, width), if it differs from the architecture's.

    Raises:
        CheckpointError: `source` cannot be read, or `out` is inside it, or exists and is not an empty folder.
        ConfigError: no such architecture, or an impossible head or size.

    Warns:
        CheckpointWarning: the position was resized or differs from the formula, or the head is untrained.
    """
    source, out = Path(source), Path(out)
    new_head, image_size = _check_head(new_head), _check_size(image_size)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise CheckpointError(f"{out} is inside the folder to be converted; choose a folder outside it")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise CheckpointError(f"{out.name} already exists; choose a new name for the result")
    reader = _reader_that_needs_architecture(source)
    if reader:
        checkpoint = _read_as(reader, source, arch, new_head, image_size)
    elif (arch, new_head, image_size) != (None, None, None):
        raise CheckpointError(
            f"{source.name} says its architecture itself: --arch, --new-head and --image-size are for .pth files"
        )
    else:
        checkpoint = checkpoints.read(source)
    if out.suffix == ".keras":
        from ..architecture.keras_model import build_model

        model = build_model(checkpoint.config)
        checkpoints.assign(model, checkpoint.weights)
        save(model, out)
    else:
        safetensors.write(out, checkpoint.config, checkpoint.weights)
        command = _command(source, out, arch, new_head, image_size)
        (out / "README.md").write_text(_card(checkpoint, source, out.name, command), encoding="utf-8")
    return checkpoint


def save(model: CCT, out: str | Path) -> None:
    """Write a Keras model so that it can be loaded again, bit for bit.

    Args:
        out: a folder, in which config.json and model.safetensors are written for `cct_viz.load`; or a file ending in
            .keras for use in Keras: `import cct_viz.architecture.keras_model`, then `keras.saving.load_model`.
    """
    out = Path(out)
    if out.suffix == ".keras":
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save(out)
        return
    import keras

    from ..architecture.keras_model import named_weights

    weights = {name: keras.ops.convert_to_numpy(variable) for name, variable in named_weights(model).items()}
    safetensors.write(out, model.config, weights)


def _check_head(new_head: int | bool | None) -> int | bool | None:
    """None to keep the head, True or a number of classes for a new one."""
    if new_head is not None and not isinstance(new_head, int):
        raise ConfigError(f"new_head is {new_head!r}; expected a number of classes, or True for the architecture's")
    return None if new_head is False else new_head


def _check_size(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width); whether the architecture allows this size is checked by its configuration."""
    if image_size is None:
        return None
    sides = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(sides) != 2 or not all(type(side) is int for side in sides):
        raise ConfigError(f"image_size is {image_size!r}; expected a side or (height, width), whole pixels")
    return sides[0], sides[1]


def _reader_that_needs_architecture(source: Path) -> Reader | None:
    """By the name of the file alone, so that the message about a missing file can say where to get it."""
    readers = (reader for reader in READERS.values() if reader.needs_architecture and not source.is_dir())
    return next((reader for reader in readers if reader.recognises([source.name])), None)


def _read_as(
    reader: Reader, source: Path, arch: str | None, new_head: int | bool | None, image_size: tuple[int, int] | None
) -> Checkpoint:
    arch = arch or PUBLISHED.get(source.name)
    if arch is None:
        raise CheckpointError(f"{source.name} does not say its architecture: give a preset or config.json as --arch")
    if not source.is_file():
        where = f"; the paper's authors link it in the README of {AUTHORS}" if source.name in PUBLISHED else ""
        raise CheckpointError(f"there is no file {source.name} in {source.resolve().parent}{where}")
    trained = configure(arch)
    classes = None if new_head is True else new_head
    config = configure(arch, num_classes=classes, image_size=image_size)
    return reader.read(source, config, grid=trained.grid, new_head=new_head is not None)


def _command(source: Path, out: Path, arch: str | None, new_head: object, size: tuple[int, int] | None) -> str:
    words = ["python -m cct_viz convert", source.name, "--out", out.name]
    if arch:
        words.append(f"--arch {Path(arch).name}")
    if new_head is not None:
        words.append("--new-head" if new_head is True else f"--new-head {new_head}")
    if size:
        words.append(f"--image-size {size[0]}" + f" {size[1]}" * (size[0] != size[1]))
    return " ".join(words)


def _card(checkpoint: Checkpoint, source: Path, name: str, command: str) -> str:
    config = checkpoint.config
    return _CARD.format(
        name=name,
        parameters=count_parameters(config),
        layers=config.num_layers,
        heads=config.num_heads,
        width=config.embedding_dim,
        tokens=config.num_tokens,
        classes=config.num_classes,
        height=config.image_size[0],
        width_px=config.image_size[1],
        source=source.name,
        digest=f" (SHA-256 `{sha256(source)}`)" if source.is_file() else "",
        command=command,
    )
