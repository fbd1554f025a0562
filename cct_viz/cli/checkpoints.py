"""`models`, `convert` and `push`: which models there are, and how checkpoints come and go."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from ..architecture.activations import ACTIVATIONS
from ..architecture.config import ConfigError
from ..architecture.cost import count_macs, count_parameters
from ..architecture.files import sha256
from ..architecture.geometry import stage_geometry
from ..architecture.presets import PRESETS
from ..checkpoints.given import Given
from ..checkpoints.hub import push as hub_push
from .common import AddCommand

# Options that answer what a file may not say, and what else is assumed.
_CORRECTIONS = ("heads", "stride", "image_size", "activation", "epsilon", "labels", "scale", "mean", "std")


def models(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for name, preset in PRESETS.items():
        config, tokens = preset.config, stage_geometry(preset.config)[-1]
        rows.append(
            {
                "name": name,
                "parameters": count_parameters(config),
                "macs": count_macs(config),
                "image_size": list(config.image_size),
                "tokens": config.num_tokens,
                "receptive_field": {"size": tokens.window_size[0], "stride": tokens.stride[0]},
                "position": config.position,
                "classes": config.num_classes,
                "bundled": preset.folder is not None,
                "published": preset.published,
                "description": preset.description,
            }
        )
    if options.json:
        print(json.dumps(rows))
        _note_ignored()
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size, window = "x".join(map(str, row["image_size"])), row["receptive_field"]
        weights = ", weights bundled" if row["bundled"] else ", weights published" if row["published"] else ""
        print(
            f"{row['name']:{width}}  {row['parameters']:>10,} parameters  {row['macs'] / 1e6:>8,.1f} M MACs  "
            f"{size:>7} pixels  {row['tokens']:>3} tokens  "
            f"receptive field {window['size']:>2} stride {window['stride']:>2}  "
            f"{row['position']:10}  {row['classes']:>4} classes  {row['description']}{weights}"
        )
    _note_ignored()
    return 0


def _note_ignored() -> None:
    """Read what lies beside the bundled weights: what cannot be used is said on stderr."""
    from ..evaluation.headline import read_table
    from ..inference.gauge import read_gauge
    from ..inference.load import read_metrics
    from ..web.measured import read_history, read_randomisation

    for preset in PRESETS.values():
        if preset.folder is None or not (preset.folder / "model.safetensors").is_file():
            continue
        for read in (read_metrics, read_history, read_randomisation):
            read(preset.folder)
        read_gauge(preset.folder, preset.config.embedding_dim)
        read_table(preset.folder, sha256(preset.folder / "model.safetensors"))


def convert(options: argparse.Namespace) -> int:
    from ..checkpoints import READERS, CheckpointWarning
    from ..checkpoints.convert import convert

    given = _read_given(options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        checkpoint = convert(options.source, options.out, given)
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, CheckpointWarning)]
    notes += checkpoint.config.assumptions
    for note in notes:
        print(f"cct_viz: note: {note}", file=sys.stderr)
    if checkpoint.config.assumptions:
        accepts = READERS[checkpoint.format].accepts
        ways = [f"--{name.replace('_', '-')}" for name in _CORRECTIONS if name in accepts]
        print(f"cct_viz: if an assumption is wrong, correct it with {', '.join(ways)}", file=sys.stderr)
    parameters = count_parameters(checkpoint.config)
    if options.json:
        answer = {"out": str(options.out), "format": checkpoint.format, "parameters": parameters, "notes": notes}
        print(json.dumps(answer))
    else:
        print(f"{options.out}: {parameters:,} parameters, {checkpoint.config.num_classes} classes")
    return 0


def _read_given(options: argparse.Namespace) -> Given:
    """What the user says about the file to convert."""
    size = options.image_size or []
    if len(size) > 2:
        raise ConfigError(f"--image-size has {len(size)} numbers; expected a side, or height and width")
    return Given(
        arch=options.arch,
        new_head=options.new_head,
        image_size=(size[0], size[-1]) if size else None,
        heads=options.heads,
        stride=options.stride,
        activation=options.activation,
        epsilon=options.epsilon,
        ema=options.ema,
        labels=_read_labels(options.labels) if options.labels else None,
        scale=options.scale,
        mean=tuple(options.mean) if options.mean else None,
        std=tuple(options.std) if options.std else None,
    )


def _read_labels(path: Path) -> tuple[str, ...]:
    """The names of the classes in a text file, one a line; blank lines at the end do not count."""
    try:
        return tuple(path.read_text(encoding="utf-8").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name} is no text in UTF-8; write the names of the classes into it, one a line"
        ) from error


def push(options: argparse.Namespace) -> int:
    sent = hub_push(options.folder, options.repo_id, yes=options.yes, private=options.private)
    if options.json:
        print(json.dumps({"repo_id": sent.repo_id, "files": dict(sent.files), "url": sent.url}))
        return 0
    for name, size in sent.files.items():
        print(f"{size:>12,} bytes  {name}")
    print(sent.url or f"Nothing was sent. Add --yes to publish these files as {sent.repo_id}.")
    return 0


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    command(models, "List the presets, with their cost and the receptive fields of their tokens.")

    sub = command(convert, "Convert a file or folder in any supported format to this project's, or to a file.")
    sub.add_argument("source", type=Path, metavar="SOURCE", help="a file or folder; its content says its format")
    text = "a new folder, or a file name that ends in .keras, .pth (for the paper's code) or .onnx"
    sub.add_argument("--out", type=Path, required=True, metavar="OUT", help=text)
    text = "for PyTorch: a preset or a config.json to use instead of what the file's shapes show"
    sub.add_argument("--arch", metavar="NAME", help=text)
    text = "for PyTorch: replace the head by an untrained head with N classes"
    sub.add_argument("--new-head", nargs="?", const=True, type=int, metavar="N", help=text)
    text = "side, or height and width, of the images; for another size the positional embedding is resized"
    sub.add_argument("--image-size", type=int, nargs="+", metavar="PIXELS", help=text)
    sub.add_argument("--heads", type=int, metavar="N", help="for PyTorch: number of attention heads")
    text = "for Keras: the form of GELU, exact (gelu) or with tanh (gelu_tanh)"
    sub.add_argument("--activation", choices=tuple(ACTIVATIONS), help=text)
    sub.add_argument("--epsilon", type=float, metavar="X", help="for Keras: epsilon of LayerNormalization")
    sub.add_argument("--stride", type=int, metavar="N", help="for PyTorch: stride of the tokenizer's convolutions")
    text = "for PyTorch: read the averaged weights, if the file holds both"
    sub.add_argument("--ema", action="store_true", help=text)
    sub.add_argument(
        "--labels", type=Path, metavar="FILE", help="a text file with the names of the classes, one a line"
    )
    sub.add_argument(
        "--scale", type=float, metavar="N", help="what pixels 0..255 were divided by: 255 for 0..1, 1 for unscaled"
    )
    for name in ("mean", "std"):
        text = f"{name} of pixels in 0..1 that the model was trained with: one number for each colour"
        sub.add_argument(f"--{name}", type=float, nargs="+", metavar="X", help=text)

    sub = command(push, "Upload a folder of this project to the Hugging Face Hub. Without --yes, only list the files.")
    sub.add_argument("folder", type=Path, metavar="DIR")
    sub.add_argument("repo_id", metavar="OWNER/NAME")
    sub.add_argument("--yes", action="store_true", help="upload, with your own login (hf auth login)")
    sub.add_argument("--private", action="store_true", help="make a new repository private")
