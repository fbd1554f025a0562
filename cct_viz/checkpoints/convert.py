"""Any checkpoint -> the project's folder, or a Keras archive: `python -m cct_viz convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import checkpoints
from ..architecture.cost import count_parameters
from ..architecture.files import sha256
from ..architecture.presets import AUTHORS, PUBLISHED
from . import Checkpoint, CheckpointError, safetensors
from .given import NOTHING, Given

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
{assumptions}"""


def convert(source: str | Path, out: str | Path, given: Given = NOTHING) -> Checkpoint:
    """Read a file or folder of any known format and write it to `out`.

    Args:
        source: a .pth of the paper's code, a tf-keras SavedModel folder, or a folder of this project.
        out: a new folder for config.json, model.safetensors and a card; or a file ending in .keras.
        given: the user's answers to what the file does not say.

    Raises:
        CheckpointError: `source` cannot be read, or `out` is inside it, or exists and is not an empty folder.
        ConfigError: answers that do not fit the file.

    Warns:
        CheckpointWarning: the position was resized or differs from the formula, or the head is untrained.
    """
    source, out = Path(source), Path(out)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise CheckpointError(f"{out} is inside the folder to be converted; choose a folder outside it")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise CheckpointError(f"{out.name} already exists; choose a new name for the result")
    if source.name in PUBLISHED and not source.exists():
        raise CheckpointError(
            f"there is no file {source.name} in {source.resolve().parent}; the paper's authors link it in the README "
            f"of {AUTHORS}"
        )
    checkpoint = checkpoints.read(source, given)
    if out.suffix == ".keras":
        from ..architecture.keras_model import build_model

        model = build_model(checkpoint.config)
        checkpoints.assign(model, checkpoint.weights)
        save(model, out)
    else:
        safetensors.write(out, checkpoint.config, checkpoint.weights)
        card = _card(checkpoint, source, out.name, _command(source, out, given))
        (out / "README.md").write_text(card, encoding="utf-8")
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


def _command(source: Path, out: Path, given: Given) -> str:
    """The command line that repeats the conversion."""
    words = ["python -m cct_viz convert", source.name, "--out", out.name]
    for name in given.names:
        value = getattr(given, name)
        words.append(f"--{name.replace('_', '-')}")
        if name == "arch":
            words.append(Path(value).name)
        elif name == "labels":
            words.append("labels.txt")
        elif isinstance(value, tuple):
            words += [f"{number:g}" for number in value]
        elif value is not True:
            words.append(f"{value:g}")
    return " ".join(words)


def _card(checkpoint: Checkpoint, source: Path, name: str, command: str) -> str:
    config = checkpoint.config
    assumed = "\n".join(["What was assumed:", "", *(f"- {text}" for text in config.assumptions)])
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
        assumptions=f"\n{assumed}\n" if config.assumptions else "",
    )
