"""Any checkpoint -> this project's folder, or a file for Keras, PyTorch or ONNX: `python -m cct_viz convert`."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import checkpoints
from ..architecture.config import CCTConfig
from ..architecture.files import check_folder, replace_file
from ..architecture.presets import AUTHORS, PUBLISHED
from . import Checkpoint, CheckpointError, CheckpointWarning, child, safetensors
from .cards import write_card
from .given import NOTHING, Given
from .pytorch import outgoing

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT

METADATA = "cct_viz_config"  # in a .onnx: the configuration, as config.json has it


def convert(source: str | Path, out: str | Path, given: Given = NOTHING) -> Checkpoint:
    """Read a file or folder of any known format and write it to `out`, with a card.

    Args:
        source: a file or folder in any format of READERS.
        out: a new folder for config.json, model.safetensors and README.md; or a file that ends in .keras, .pth or
            .onnx, whose card is the file of the same name that ends in .md.
        given: the user's answers to what the file does not say.

    Raises:
        CheckpointError: `source` cannot be read; or `out` is inside it, exists and is not an empty folder, has an
            unknown suffix, or is a .pth although the paper's code cannot build the model.
        ConfigError: answers that do not fit the file.
        OSError: `out` cannot be written.

    Warns:
        CheckpointWarning: the weights were changed or chosen; the card says so too.
    """
    source, out = Path(source), Path(out)
    kind = _check_paths(source, out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        checkpoint = child.read(source, given)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    changes = [str(warning.message) for warning in caught if issubclass(warning.category, CheckpointWarning)]
    WRITERS[kind](out, checkpoint.config, checkpoint.weights)
    card = out.with_suffix(".md") if kind else out / "README.md"
    command = _command(source, out, given)
    write_card(card, checkpoint.config, source, kind, name=out.name, command=command, changes=changes)
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
        elif isinstance(value, str):
            words.append(value)
        elif isinstance(value, tuple):
            words += [f"{number:g}" for number in value]
        elif value is not True:
            words.append(f"{value:g}")
    return " ".join(words)


def _check_paths(source: Path, out: Path) -> str:
    """The suffix of the file to write, or "" for a folder."""
    kind = "" if out.is_dir() else _suffix(out)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise CheckpointError(f"{out} is inside the folder to be converted; choose a folder outside it")
    for path in (out, out.with_suffix(".md")) if kind else (out,):
        if path.exists() and (path.is_file() or any(path.iterdir())):
            raise CheckpointError(f"{path.name} already exists; choose a new name for the result")
    check_folder(out.parent if kind else out)
    if kind not in WRITERS:
        raise CheckpointError(
            f"files that end in {kind} cannot be written; choose {', '.join(filter(None, WRITERS))}, or a folder: its "
            "name has no dot, or it exists and is empty"
        )
    if source.name in PUBLISHED and not source.exists():
        raise CheckpointError(
            f"there is no file {source.name} in {source.resolve().parent}; the paper's authors link it in the README "
            f"of {AUTHORS}"
        )
    return kind


def _suffix(out: Path) -> str:
    """The suffix of a file's name in small letters; "" for a folder, also for one with a version: cct.2, model.v2."""
    return "" if re.fullmatch(r"\.v?\d+", out.suffix) else out.suffix.lower()


def _write_keras(out: Path, config: CCTConfig, weights: Mapping[str, np.ndarray]) -> None:
    from ..architecture.keras_model import build_model

    model = build_model(config)
    checkpoints.assign(model, weights)
    save(model, out)


def _write_pth(out: Path, config: CCTConfig, weights: Mapping[str, np.ndarray]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    outgoing.write(out, config, weights)


def _write_onnx(out: Path, config: CCTConfig, weights: Mapping[str, np.ndarray]) -> None:
    """The graph with which this project computes, and the configuration in the file's metadata."""
    import onnx

    from ..architecture.onnx_graph import build_graph

    graph = build_graph(config, weights)
    onnx.helper.set_model_props(graph, {METADATA: json.dumps(config.to_dict())})
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, lambda path: onnx.save(graph, path))


Writer = Callable[[Path, CCTConfig, Mapping[str, np.ndarray]], None]
# Suffix of the file to write -> how; "" is a folder of this project.
WRITERS: dict[str, Writer] = {"": safetensors.write, ".keras": _write_keras, ".pth": _write_pth, ".onnx": _write_onnx}
