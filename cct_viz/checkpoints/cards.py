"""The card beside converted weights: what they are, where they come from, what was assumed, how to use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..architecture.config import CCTConfig
from ..architecture.cost import count_parameters
from ..architecture.files import sha256
from .pytorch.outgoing import describe_call

_CARD = """---
library_name: keras
pipeline_tag: image-classification
tags: [cct, compact-convolutional-transformer]
---

# {name}

A compact transformer of {parameters:,} parameters ({layers}, {heads}, width {width}, {tokens},
{classes}, images of {height}x{width_px} pixels), converted from `{source}`{digest} with

    {command}

{use}

Its weights are the work of the authors of the original, under its licence.
{changed}{assumed}"""
_FOLDER = "`config.json` says how it is built, what its classes are called and how images are prepared for it."
_KERAS = """To open it in Keras, first `import cct_viz.architecture.keras_model`, then call `keras.saving.load_model`.

{inputs}"""
_PTH = """It holds the state dict of

    {call}

in the paper's code (https://github.com/SHI-Labs/Compact-Transformers) and in vit-pytorch, which load it with
`strict=True`. {inputs}"""
_ONNX = """The graph reads `images`, float32 (batch, height, width, channels), and `token_mask`, float32
(batch, {tokens}), all ones to use every token. `logits` (batch, {classes}) is the answer; the other outputs are the
intermediate arrays, named as in this project's traces. The file's metadata has the configuration as `cct_viz_config`.

{inputs}"""


def write_card(
    path: Path, config: CCTConfig, source: Path, kind: str, *, name: str, command: str, changes: Sequence[str]
) -> None:
    """Write the card of a converted model.

    Args:
        source: the file or folder that was converted.
        kind: "" for a folder, else the suffix of the file.
        name: of the folder or file, the card's heading.
        command: the command line that repeats the conversion.
        changes: sentences that say how the weights differ from the source's.
    """
    text = _CARD.format(
        name=name,
        parameters=count_parameters(config),
        layers=_count(config.num_layers, "layer"),
        heads=_count(config.num_heads, "head"),
        width=config.embedding_dim,
        tokens=_count(config.num_tokens, "token"),
        classes=_count(config.num_classes, "class", "classes"),
        height=config.image_size[0],
        width_px=config.image_size[1],
        source=source.name,
        digest=f" (SHA-256 `{sha256(source)}`)" if source.is_file() else "",
        command=command,
        use=_describe_use(config, kind),
        changed=_list("Notes of the conversion:", changes),
        assumed=_list("What was assumed:", config.assumptions),
    )
    path.write_text(text, encoding="utf-8")


def _describe_use(config: CCTConfig, kind: str) -> str:
    template = {"": _FOLDER, ".keras": _KERAS, ".pth": _PTH, ".onnx": _ONNX}[kind]
    call = describe_call(config) if kind == ".pth" else ""
    return template.format(
        call=call, tokens=config.num_tokens, classes=config.num_classes, inputs=_describe_inputs(config)
    )


def _describe_inputs(config: CCTConfig) -> str:
    mean, std = (
        " ".join(f"{n:g}" for n in numbers) for numbers in (config.preprocessing.mean, config.preprocessing.std)
    )
    grey = "grey pictures" if config.channels == 1 else "pictures"
    return (
        f"It expects {grey} of {config.image_size[0]}x{config.image_size[1]} pixels, divided by 255, minus the mean "
        f"{mean}, divided by the standard deviation {std}.\n\nClasses, in order: {', '.join(config.labels)}."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _list(heading: str, sentences: Sequence[str]) -> str:
    return "\n".join(["", heading, "", *(f"- {text}" for text in sentences), ""]) if sentences else ""
