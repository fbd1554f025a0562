"""Understands a compact transformer of the keras.io example in the graph of a SavedModel, without executing it.

The reader follows the graph of the serving signature from the logits back to the image and recognises each part:
classifier, sequence pooling, encoder blocks, position, conv stages, rescaling. So the configuration and the place of
every weight come from what the model computes, not from names; a graph that computes anything else is refused with
the operation named. A part may be a layer, a function call or loose operations. The position may be a variable or, as
in the example, a constant that was never trained.

A SavedModel does not name its classes, so they are numbered unless the user names them; its serving graph has no
dropout.

Reference: Sayak Paul 2021, Compact Convolutional Transformers, https://keras.io/examples/vision/cct/
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...architecture.config import CCTConfig, ConfigError, ConvStage, numbered_labels
from ...architecture.weights import expected_shapes
from ..common import Checkpoint, CheckpointError
from ..given import NOTHING, Given, complete
from ..pixels import normalisation
from .graph import Op, image_shape, preprocessing_input
from .parts import (
    ADD,
    Attention,
    Dense,
    Norm,
    match,
    read_attention,
    read_conv_stage,
    read_dense,
    read_gelu,
    read_norm,
    read_sequence_pooling,
    refuse,
    same_order,
)
from .signature import GRAPH_FILE, METADATA_FILE, metadata_tables, open_signature

FORMAT = "keras_saved_model"


class Block(NamedTuple):
    norm_1: Norm
    attention: Attention
    norm_2: Norm
    mlp_1: Dense
    mlp_2: Dense
    output_activation: bool
    activation: str


def read(folder: Path, given: Given = NOTHING) -> Checkpoint:
    """Read the SavedModel in `folder`: its logits for pixels x are those of our model for x / 255, normalised.

    `dropout`, `attention_dropout` and `stochastic_depth` of the configuration are 0.

    Raises:
        CheckpointError: damaged files, or a graph that is not of this family.
        ConfigError: answers that do not fit the model.
    """
    checkpoint, says_pixels, given = _read_folder(folder, given)
    config = complete(checkpoint.config, given, says_labels=False, says_pixels=says_pixels)
    return dataclasses.replace(checkpoint, config=config)


def _read_folder(folder: Path, given: Given) -> tuple[Checkpoint, bool, Given]:
    try:
        return _read_model(folder, open_signature(folder), given)
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"the SavedModel describes no model of this family: {error}") from error
    # A damaged but parseable file may lack any attribute, hold shapes that do not fit, or call itself.
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{GRAPH_FILE} is damaged, or no CCT as in the keras.io example ({type(error).__name__}); download it again"
        ) from error


def _read_model(folder: Path, output: Op, given: Given) -> tuple[Checkpoint, bool, Given]:
    """The checkpoint, whether it says how pixels are scaled, and the answers that are left to apply."""
    last = output.kind
    if last in ("Softmax", "Sigmoid"):  # probabilities instead of logits: the same classifier
        output = output.input(0)
    head = read_dense(output, "the classifier")
    score = read_sequence_pooling(head.source)
    norm = read_norm(score.source, "before the pooling")
    blocks, stream = _read_blocks(norm.source)
    position, tokens = _read_position(stream, folder)
    stages, convs, image = _read_tokenizer(tokens)
    shape = image_shape(image)
    assert shape is not None  # _read_tokenizer stops at the image
    _, height, width, channels = shape
    epsilons = [norm.epsilon, *(n.epsilon for block in blocks for n in (block.norm_1, block.norm_2))]
    heads = [dense.kernel.shape[1:] for block in blocks for dense in block.attention[:3]]
    heads += [block.attention.projection.kernel.shape[:2] for block in blocks]
    num_heads, key_dim = _common("the number and width of its attention heads", heads)
    preprocessing, says_pixels, given = normalisation(*_read_scaling(image, channels), given)
    classes = head.kernel.shape[1]
    config = CCTConfig(
        image_size=(height, width),
        tokenizer=stages,
        num_layers=len(blocks),
        num_heads=num_heads,
        key_dim=key_dim,
        mlp_dim=blocks[0].mlp_1.kernel.shape[1],
        labels=numbered_labels(classes),
        position="none" if position is None else "learnable",
        qkv_bias=any(d.bias is not None for b in blocks for d in b.attention[:3]),
        mlp_output_activation=_common("an activation after the MLP", [b.output_activation for b in blocks]),
        layer_norm_epsilon=_common("the epsilon of LayerNormalization", epsilons),
        activation=_common("the form of GELU", [block.activation for block in blocks]),
        preprocessing=preprocessing,
        channels=channels,
        output="sigmoid" if last == "Sigmoid" or classes == 1 else "softmax",
    )
    layers: dict[str, Dense | Norm] = {f"tokenizer/conv_{i}": conv for i, conv in enumerate(convs)}
    for i, block in enumerate(blocks):
        layers |= {f"block_{i}/{name}": getattr(block, name) for name in ("norm_1", "norm_2", "mlp_1", "mlp_2")}
        for name in ("query", "key", "value", "projection"):
            layers[f"block_{i}/attention/{name}"] = getattr(block.attention, name)
    layers |= {"norm": norm, "pool/score": score, "head": head}
    weights = {f"{name}/{array}": value for name, layer in layers.items() for array, value in layer.weights().items()}
    if position is not None:
        weights["sequence/position"] = position
    for name, shape in expected_shapes(config).items():
        if "/attention/" in name and name in weights:  # Keras keeps the heads apart; here they stand side by side
            weights[name] = weights[name].reshape(shape)
        if name.endswith("/bias"):  # a layer without a bias is one whose bias is 0
            weights.setdefault(name, np.zeros(shape, np.float32))
    return Checkpoint(config, weights, FORMAT), says_pixels, given


def _read_blocks(stream: Op) -> tuple[list[Block], Op]:
    """The encoder blocks in order, and the tokens that enter the first."""
    blocks: list[Block] = []
    while residual := _read_residual(stream):
        added, middle = residual
        active = added.kind == "Mul"
        before, form = read_gelu(added, "the MLP's output") if active else (added, None)
        mlp_2 = read_dense(before, "the MLP")
        hidden, activation = read_gelu(mlp_2.source, "the MLP")
        _common("the form of GELU", [form or activation, activation])
        mlp_1 = read_dense(hidden, "the MLP")
        norm_2 = read_norm(mlp_1.source, "before the MLP")
        residual = _read_residual(middle)
        if norm_2.source is not middle or residual is None:
            refuse(middle, "the sum of attention and its input, which the MLP is added to")
        added, stream = residual
        attention = read_attention(added)
        norm_1 = read_norm(attention.source, "before the attention")
        if norm_1.source is not stream:
            refuse(stream, "the input of the attention that is added to it")
        blocks.insert(0, Block(norm_1, attention, norm_2, mlp_1, mlp_2, active, activation))
    if not blocks:
        refuse(stream, "an encoder block: a sum of its input, attention and MLP")
    return blocks, stream


def _read_residual(op: Op) -> tuple[Op, Op] | None:
    """(what is added, what it is added to) of a residual sum: the former is computed from the latter."""
    if _split_position(op):
        return None
    for added, stream in _operands(op):
        if _depends(added, stream):
            return added, stream
    if _operands(op):
        refuse(op, "a residual sum, or a positional embedding that is a variable or a constant")
    return None


def _operands(op: Op) -> list[tuple[Op, Op]]:
    """The two operands of a sum in both orders; nothing for another operation."""
    pairs = match(op, (ADD, "left", "right"))
    return [(pairs["left"], pairs["right"]), (pairs["right"], pairs["left"])] if pairs else []


def _depends(op: Op, source: Op) -> bool:
    pending, seen = [op], set()
    while pending:
        op = pending.pop()
        if op is source:
            return True
        if op not in seen:
            seen.add(op)
            pending.extend(op.input(i) for i in range(len(op)))
    return False


def _split_position(op: Op) -> tuple[Op, Op] | None:
    """(tokens, position) if `op` adds something that does not depend on the image."""
    for tokens, position in _operands(op):
        position = position.input(0) if position.kind == "BroadcastTo" else position
        if position.value is not None:
            return tokens, position
    return None


def _read_position(stream: Op, folder: Path) -> tuple[np.ndarray | None, Op]:
    """The positional embedding (N, D), or None if the graph adds no embedding, and the tokens without it."""
    split = _split_position(stream)
    if split is None:
        return None, stream
    tokens, op = split
    if _split_position(tokens):
        refuse(tokens, "one positional embedding, but two are added")
    position = op.value
    assert position is not None  # _split_position looks for an input with a value
    while position.ndim > 2 and len(position) == 1:
        position = position[0]
    # A constant has no checksum of its own, but Keras writes it as JSON too.
    tables = metadata_tables(folder, position.shape) if op.kind in ("Const", "Captured") else ()
    if not all(np.array_equal(table, position) for table in tables):
        raise CheckpointError(
            f"the positional embedding in {GRAPH_FILE} is not the one in {METADATA_FILE}: one of them is damaged or "
            "from another save; download both again"
        )
    return position, tokens


def _read_tokenizer(tokens: Op) -> tuple[tuple[ConvStage, ...], tuple[Dense, ...], Op]:
    """The conv stages and their weights in order, and the image that enters the first."""
    op = same_order(tokens)
    parts: list[tuple[ConvStage, Dense]] = []
    while image_shape(op) is None:
        parts.insert(0, read_conv_stage(op))
        op = parts[0][1].source
    stages, convs = zip(*parts, strict=True) if parts else ((), ())
    return stages, convs, op


def _read_scaling(op: Op, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """scale and offset (C,) that do to pixels what the graph does to them: scale * pixels + offset."""
    steps: list[Op] = []
    while op.kind != "Image":
        steps.insert(0, op)
        source = preprocessing_input(op)
        assert source is not None  # image_shape followed the same operations to the image
        op = source
    scale, offset = np.ones(channels), np.zeros(channels)
    for step in steps:
        if step.kind in ("Cast", "Slice", "ResizeBilinear"):
            continue
        number = step.input(1).value
        if number is None and step.kind in ("Add", "AddV2", "Mul"):
            number = step.input(0).value
        if number is None or number.size not in (1, channels) or number.shape[-1:] not in ((), (1,), (channels,)):
            refuse(step, "pixels rescaled by one number or by one for each colour")
        number = np.ravel(number).astype(np.float64)
        if step.kind in ("Mul", "RealDiv"):
            factor = number if step.kind == "Mul" else 1 / number
            scale, offset = scale * factor, offset * factor
        elif step.kind in ("Add", "AddV2", "Sub"):
            offset = offset - number if step.kind == "Sub" else offset + number
        else:
            refuse(step, "pixels rescaled, not clipped")
    return scale, offset


def _common(what: str, values: list[Any]) -> Any:
    different = list(dict.fromkeys(values))
    if len(different) > 1:
        raise CheckpointError(f"the SavedModel differs between its layers in {what}: {different}; expected one for all")
    return values[0]
