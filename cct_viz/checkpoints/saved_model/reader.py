"""A compact transformer of the keras.io example, saved by tf-keras as a SavedModel: understood, never executed.

The reader follows the graph of the serving signature from the logits back to the image and recognises each part:
classifier, sequence pooling, encoder blocks, position, conv stages, rescaling. So the configuration and the place of
every weight come from what the model computes, not from names; a graph that computes anything else is refused with
the operation named. It makes no difference whether a part is a layer, a function call or loose operations, or whether
the position is a variable or, as in the example, a constant that was never trained.

A SavedModel does not say what its classes are called, and its serving graph has no dropout; both are filled in.

Reference: Sayak Paul 2021, Compact Convolutional Transformers, https://keras.io/examples/vision/cct/
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...architecture.config import CIFAR10_LABELS, CCTConfig, ConfigError, ConvStage, Preprocessing
from ..common import Checkpoint, CheckpointError
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
    tidy,
)
from .signature import GRAPH_FILE, METADATA_FILE, metadata_literals, open_signature

FORMAT = "keras_saved_model"
Arrays = dict[str, np.ndarray]


class Block(NamedTuple):
    norm_1: Norm
    attention: Attention
    norm_2: Norm
    mlp_1: Dense
    mlp_2: Dense
    output_activation: bool


def read(folder: Path) -> Checkpoint:
    """Read the SavedModel in `folder`: its logits for pixels x are those of our model for x / 255, normalised.

    `dropout`, `attention_dropout` and `stochastic_depth` of the configuration are 0. Labels are those of CIFAR-10 for
    10 classes of 32x32 pixels, the data set of the example, and else "class 0", "class 1" and so on.

    Raises:
        CheckpointError: damaged files, or a graph that is not of this family.
    """
    try:
        return _read_model(folder, open_signature(folder))
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"the SavedModel describes no model of this family: {error}") from error
    # A damaged but parseable file may lack any attribute, hold shapes that do not fit, or call itself.
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{GRAPH_FILE} is damaged, or no CCT as in the keras.io example ({type(error).__name__}); fetch it again"
        ) from error


def _read_model(folder: Path, output: Op) -> Checkpoint:
    if output.kind == "Softmax":  # probabilities instead of logits: the same classifier
        output = output.input(0)
    head = read_dense(output, "the classifier")
    score = read_sequence_pooling(head.source)
    norm = read_norm(score.source, "before the pooling")
    blocks, stream = _read_blocks(norm.source)
    position, tokens = _read_position(stream, folder)
    stages, convs, image = _read_tokenizer(tokens)
    _, height, width, _ = image_shape(image)
    labels = tuple(f"class {k}" for k in range(head.kernel.shape[1]))
    if len(labels) == 10 and (height, width) == (32, 32):
        labels = CIFAR10_LABELS  # the example's data set; the file itself names no class
    query = blocks[0].attention.query.kernel
    config = CCTConfig(
        image_size=(height, width),
        tokenizer=stages,
        num_layers=len(blocks),
        num_heads=query.shape[1],
        key_dim=query.shape[2],
        mlp_dim=blocks[0].mlp_1.kernel.shape[1],
        labels=labels,
        position="none" if position is None else "learnable",
        qkv_bias=any(d.bias is not None for b in blocks for d in b.attention[:3]),
        mlp_output_activation=_common("an activation after the MLP", (b.output_activation for b in blocks)),
        layer_norm_epsilon=_common(
            "the epsilon of LayerNormalization", (n.epsilon for n in [norm, *(n for b in blocks for n in (b[0], b[2]))])
        ),
        preprocessing=_read_preprocessing(image),
    )
    weights: dict[str, np.ndarray] = {}
    for i, conv in enumerate(convs):
        _add_dense(weights, f"tokenizer/conv_{i}", conv, use_bias=stages[i].use_bias)
    if position is not None:
        weights["sequence/position"] = position
    for i, block in enumerate(blocks):
        _add_block(weights, f"block_{i}", block, qkv_bias=config.qkv_bias)
    _add_norm(weights, "norm", norm)
    _add_dense(weights, "pool/score", score)
    _add_dense(weights, "head", head)
    return Checkpoint(config, weights, FORMAT)


def _read_blocks(stream: Op) -> tuple[list[Block], Op]:
    """The encoder blocks in order, and the tokens that enter the first."""
    blocks: list[Block] = []
    while residual := _read_residual(stream):
        added, middle = residual
        active = added.kind == "Mul"
        mlp_2 = read_dense(read_gelu(added, "the MLP's output") if active else added, "the MLP")
        mlp_1 = read_dense(read_gelu(mlp_2.source, "the MLP"), "the MLP")
        norm_2 = read_norm(mlp_1.source, "before the MLP")
        residual = _read_residual(middle)
        if norm_2.source is not middle or residual is None:
            refuse(middle, "the sum of attention and its input, which the MLP is added to")
        added, stream = residual
        attention = read_attention(added)
        norm_1 = read_norm(attention.source, "before the attention")
        if norm_1.source is not stream:
            refuse(stream, "the input of the attention that is added to it")
        blocks.insert(0, Block(norm_1, attention, norm_2, mlp_1, mlp_2, active))
    if not blocks:
        refuse(stream, "an encoder block: a sum of its input, attention and MLP")
    return blocks, stream


def _read_residual(op: Op) -> tuple[Op, Op] | None:
    """(what is added, what it is added to) of a residual sum: the former is computed from the latter."""
    found = match(op, (ADD, "added", "stream"))
    if found is None or _split_position(op):
        return None
    for added, stream in ((op.input(0), op.input(1)), (op.input(1), op.input(0))):
        if _depends(added, stream):
            return added, stream
    refuse(op, "a residual sum, or a positional embedding that is a variable or a constant")


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
    if match(op, (ADD, "tokens", "position")):
        for tokens, position in ((op.input(0), op.input(1)), (op.input(1), op.input(0))):
            position = position.input(0) if position.kind == "BroadcastTo" else position
            if position.value is not None:
                return tokens, position
    return None


def _read_position(stream: Op, folder: Path) -> tuple[np.ndarray | None, Op]:
    """The positional embedding (N, D), None where the graph adds none, and the tokens without it."""
    split = _split_position(stream)
    if split is None:
        return None, stream
    tokens, op = split
    if _split_position(tokens):
        refuse(tokens, "one positional embedding, but two are added")
    position = op.value
    while position.ndim > 2 and len(position) == 1:
        position = position[0]
    if op.kind in ("Const", "Captured"):
        # A constant has no checksum of its own, but Keras spells it out once more.
        for literal in metadata_literals(folder, position.shape):
            if not np.array_equal(literal, position):
                raise CheckpointError(
                    f"the positional embedding in {GRAPH_FILE} is not the one in {METADATA_FILE}: one of them is "
                    "damaged or of another save; fetch both again"
                )
    return position, tokens


def _read_tokenizer(tokens: Op) -> tuple[tuple[ConvStage, ...], tuple[Dense, ...], Op]:
    """The conv stages and their weights in order, and the image that enters the first."""
    op, parts = same_order(tokens), []
    while image_shape(op) is None:
        parts.insert(0, read_conv_stage(op))
        op = parts[0][1].source
    stages, convs = zip(*parts, strict=True) if parts else ((), ())
    return stages, convs, op


def _read_preprocessing(op: Op) -> Preprocessing:
    """(x / 255 - mean) / std that does to pixels x what the graph does to them."""
    steps = []
    while op.kind != "Image":
        steps.append(op)
        op = preprocessing_input(op)
    scale, offset = np.ones(3), np.zeros(3)
    for step in reversed(steps):
        if step.kind in ("Cast", "Slice", "ResizeBilinear"):
            continue
        number = step.input(1).value
        if number is None and step.kind in ("Add", "AddV2", "Mul"):
            number = step.input(0).value
        if number is None or number.size not in (1, 3) or number.shape[-1:] not in ((), (1,), (3,)):
            refuse(step, "pixels rescaled by one number or by one for each colour")
        number = np.ravel(number).astype(np.float64)
        if step.kind in ("Mul", "RealDiv"):
            factor = number if step.kind == "Mul" else 1 / number
            scale, offset = scale * factor, offset * factor
        elif step.kind in ("Add", "AddV2", "Sub"):
            offset = offset - number if step.kind == "Sub" else offset + number
        else:
            refuse(step, "pixels rescaled, not clipped")
    if np.all(scale == 1):
        refuse(op, "a Rescaling layer after it; without one nothing says what range of pixels it was trained on")
    std = 1 / (255 * scale)
    mean = -offset * std
    return Preprocessing(mean=tuple(map(tidy, mean)), std=tuple(map(tidy, std)))


def _common(what: str, values: Iterable[object]) -> object:
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise CheckpointError(f"the SavedModel differs between its layers in {what}: {found}; expected one for all")
    return found[0]


def _add_dense(weights: Arrays, name: str, dense: Dense, *, use_bias: bool = True) -> None:
    """A layer without a bias is one whose bias is 0."""
    weights[f"{name}/kernel"] = dense.kernel
    if use_bias:
        zeros = np.zeros(dense.kernel.shape[-1], np.float32)
        weights[f"{name}/bias"] = zeros if dense.bias is None else dense.bias


def _add_norm(weights: Arrays, name: str, norm: Norm) -> None:
    weights[f"{name}/gamma"], weights[f"{name}/beta"] = norm.gamma, norm.beta


def _add_block(weights: Arrays, name: str, block: Block, *, qkv_bias: bool) -> None:
    _add_norm(weights, f"{name}/norm_1", block.norm_1)
    for part, dense in zip(("query", "key", "value"), block.attention[:3], strict=True):
        # Keras keeps a head's columns apart, (D, A, E) and (A, E); here they stand side by side.
        kernel = dense.kernel.reshape(len(dense.kernel), -1)
        bias = None if dense.bias is None else dense.bias.reshape(-1)
        _add_dense(weights, f"{name}/attention/{part}", Dense(kernel, bias, dense.source), use_bias=qkv_bias)
    projection = block.attention.projection
    kernel = projection.kernel.reshape(-1, projection.kernel.shape[-1])
    _add_dense(weights, f"{name}/attention/projection", projection._replace(kernel=kernel))
    _add_norm(weights, f"{name}/norm_2", block.norm_2)
    _add_dense(weights, f"{name}/mlp_1", block.mlp_1)
    _add_dense(weights, f"{name}/mlp_2", block.mlp_2)
