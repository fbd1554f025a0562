"""Which layer plays which part in a compact transformer, from the shapes and names of its arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np

from ..common import CheckpointError
from .layers import Layer, Path

MOST_LAYERS = 200  # of one kind; the largest preset has 14
HEADS = ("query", "key", "value", "output")  # the four parts of MultiHeadAttention, by words in their names


class Dense(NamedTuple):
    kernel: np.ndarray  # (..., inputs, outputs)
    bias: np.ndarray | None

    def weights(self) -> dict[str, np.ndarray]:
        return {"kernel": self.kernel} | ({} if self.bias is None else {"bias": self.bias})


class Norm(NamedTuple):
    gamma: np.ndarray
    beta: np.ndarray

    def weights(self) -> dict[str, np.ndarray]:
        return {"gamma": self.gamma, "beta": self.beta}


class Attention(NamedTuple):
    """Kernels (D, A, E), biases (A, E), of the projection (A, E, D): A heads of width E."""

    query: Dense
    key: Dense
    value: Dense
    projection: Dense


class Block(NamedTuple):
    norm_1: Norm
    attention: Attention
    norm_2: Norm
    mlp_1: Dense
    mlp_2: Dense


@dataclass
class Parts:
    """The parts of one model.

    Attributes:
        convs: the kernels (k, k, in, out) and biases of the conv stages, in order.
        blocks: the encoder blocks, in order.
        norm: the norm after the last block.
        score: the Dense layer of sequence pooling, None without one.
        head: the classifier.
        position: (N, D), None without one in the file.
        class_token: (1, D), None without one.
        normalisation: mean and variance of a Normalization layer, None without one.
    """

    convs: list[Dense]
    blocks: list[Block]
    norm: Norm
    score: Dense | None
    head: Dense
    position: np.ndarray | None = None
    class_token: np.ndarray | None = None
    normalisation: tuple[np.ndarray, np.ndarray] | None = None


def refuse(what: str) -> NoReturn:
    raise CheckpointError(f"the file is of no compact transformer as in the keras.io example: {what}")


@dataclass
class _Sorted:
    """Layers by what they are, each list in the model's order."""

    convs: list[Dense] = field(default_factory=list)
    norms: list[tuple[Path, Norm]] = field(default_factory=list)
    dense: list[tuple[Layer, Dense]] = field(default_factory=list)
    heads: dict[Path, dict[str, Dense]] = field(default_factory=dict)
    tables: list[tuple[Layer, np.ndarray]] = field(default_factory=list)
    normalisation: tuple[np.ndarray, np.ndarray] | None = None


def find_parts(layers: Sequence[Layer]) -> Parts:
    """Sort layers, in the model's order, into the parts of a compact transformer.

    Raises:
        CheckpointError: a layer that no compact transformer has, or one that is missing.
    """
    found = _Sorted()
    for layer in layers:
        if layer.arrays:
            _sort(layer, found)
    if not found.convs:
        refuse("it has no convolution (Conv2D) for its tokenizer")
    attentions = [(path, _attention(path, heads)) for path, heads in found.heads.items()]
    if not attentions:
        refuse("it has no MultiHeadAttention")
    if max(len(attentions), len(found.convs)) > MOST_LAYERS:
        refuse(f"it has {len(attentions)} attention layers and {len(found.convs)} convolutions")
    width = attentions[0][1].query.kernel.shape[0]
    score, head, dense = _split_dense(found.dense, width)
    blocks, norm = _blocks(attentions, found.norms, dense)
    position, class_token = _tables(found.tables, width)
    return Parts(found.convs, blocks, norm, score, head, position, class_token, found.normalisation)


def _sort(layer: Layer, found: _Sorted) -> None:
    first, *others = layer.arrays
    dims = [array.ndim for array in layer.arrays]
    where = "/".join(layer.path) or layer.name
    if any(0 in array.shape for array in layer.arrays):
        refuse(f"{where} has an empty array; download or save the file again")
    part = next((part for part in HEADS if part in (layer.path[-1] if layer.path else "")), None)
    if layer.kind == "batch_normalization" or dims == [1, 1, 1, 1]:
        refuse(f"{where} is a BatchNormalization")
    elif dims in ([4], [4, 1]) and not layer.is_called("depthwise", "separable"):
        found.convs.append(_dense(layer))
    elif part and first.ndim == 3 and dims in ([3], [3, 2], [3, 1]):
        found.heads.setdefault(layer.parent, {})[part] = _dense(layer)
    elif dims == [1, 1] and layer.is_called("normalization") and layer.kind == "normalization":
        found.normalisation = (first, others[0])
    elif dims == [1, 1] and first.shape == others[0].shape:
        found.norms.append((layer.path, Norm(first, others[0])))
    elif (dims == [2, 1] and first.shape[1] == len(others[0])) or (
        dims == [2] and layer.is_called("dense", "head", "predictions", "logits", "score", "attention", "classifier")
    ):
        found.dense.append((layer, _dense(layer)))
    elif all(array.ndim in (2, 3) for array in layer.arrays):
        found.tables += [(layer, array) for array in layer.arrays]
    else:
        shapes = ", ".join("x".join(map(str, array.shape)) or "one number" for array in layer.arrays)
        refuse(f"{where} has arrays of {shapes}, which no part of one has")


def _dense(layer: Layer) -> Dense:
    kernel, *bias = layer.arrays
    return Dense(kernel, bias[0] if bias else None)


def _attention(path: Path, heads: dict[str, Dense]) -> Attention:
    where = "/".join(path)
    if missing := [part for part in HEADS if part not in heads]:
        refuse(f"{where} is a MultiHeadAttention without {', '.join(missing)}")
    query, key, value, projection = (heads[part] for part in HEADS)
    width, count, size = query.kernel.shape
    if not (query.kernel.shape == key.kernel.shape == value.kernel.shape):
        refuse(f"in {where}, queries, keys and values differ in size; expected one key_dim and one width for all")
    if projection.kernel.shape != (count, size, width):
        refuse(f"{where} puts out {projection.kernel.shape[-1]} channels; expected {width}, as many as it reads")
    return Attention(query, key, value, projection)


def _split_dense(
    dense: Sequence[tuple[Layer, Dense]], width: int
) -> tuple[Dense | None, Dense, list[tuple[Layer, Dense]]]:
    """The score of sequence pooling, the head, and the layers of the MLPs."""
    scores = [item for item in dense if item[1].kernel.shape == (width, 1)]
    others = [item for item in dense if item[1].kernel.shape != (width, 1)]
    if len(scores) > 2:
        refuse(f"it has {len(scores)} Dense layers with one output; expected one, which scores the tokens")
    if len(others) % 2 == 0:  # all of them are of MLPs, so that the head is among those with one output
        if not scores:
            refuse(f"it has {len(others)} Dense layers; expected two for each block, and the classifier")
        scores.sort(key=lambda item: item[0].is_called("attention", "pool", "score"), reverse=True)
        *first, (_, head) = scores
        return (first[0][1] if first else None), head, others
    if len(scores) == 2:
        refuse("two Dense layers have one output, and a third could be the classifier")
    last = _last_dense(others)
    rest = [item for item in others if item is not last]
    return (scores[0][1] if scores else None), last[1], rest


def _last_dense(dense: Sequence[tuple[Layer, Dense]]) -> tuple[Layer, Dense]:
    """The classifier: the Dense layer that is in no pair, by its name, its place or its order."""
    named = [item for item in dense if item[0].is_called("head", "predictions", "logits", "classifier", "output")]
    if len(named) == 1:
        return named[0]
    parents = [item[0].parent for item in dense]
    alone = [item for item in dense if parents.count(item[0].parent) % 2]
    return alone[0] if len(alone) == 1 else dense[-1]


def _blocks(
    attentions: Sequence[tuple[Path, Attention]],
    norms: Sequence[tuple[Path, Norm]],
    dense: Sequence[tuple[Layer, Dense]],
) -> tuple[list[Block], Norm]:
    count = len(attentions)
    for what, items, expected in (
        ("LayerNormalizations", norms, 2 * count + 1),
        ("Dense layers in MLPs", dense, 2 * count),
    ):
        if len(items) != expected:
            refuse(f"{count} attention layers and {len(items)} {what}; expected {expected} of them")
    homes = [
        _home(path, attentions, [path for path, _ in norms], [layer.path for layer, _ in dense])
        for path, _ in attentions
    ]
    outside = [norm for path, norm in norms if not any(_is_in(path, home) for home in homes if home)]
    blocks = []
    if all(homes) and len(outside) == 1:
        final = outside[0]
        for home, (_, attention) in zip(homes, attentions, strict=True):
            assert home is not None  # all have one
            own = [norm for path, norm in norms if _is_in(path, home)]
            mlp = [item for layer, item in dense if _is_in(layer.path, home)]
            blocks.append(_block(own, attention, mlp))
    else:
        *inner, final = [norm for _, norm in norms]
        for i, (_, attention) in enumerate(attentions):
            blocks.append(_block(inner[2 * i : 2 * i + 2], attention, [item for _, item in dense[2 * i : 2 * i + 2]]))
    return blocks, final


def _block(norms: Sequence[Norm], attention: Attention, mlp: Sequence[Dense]) -> Block:
    first, second = mlp
    width = attention.query.kernel.shape[0]
    if first.kernel.shape[0] != width or first.kernel.shape != second.kernel.shape[::-1]:
        if second.kernel.shape[0] == width and first.kernel.shape == second.kernel.shape[::-1]:
            first, second = second, first
        else:
            shapes = " and ".join("x".join(map(str, item.kernel.shape)) for item in mlp)
            refuse(f"an MLP has kernels of {shapes}; expected {width} channels in and out")
    return Block(norms[0], attention, norms[1], first, second)


def _home(
    path: Path, attentions: Sequence[tuple[Path, Attention]], norms: list[Path], dense: list[Path]
) -> Path | None:
    """The smallest container of an attention with its own two norms and MLP and no other attention, if there is one."""
    for length in range(len(path) - 1, 0, -1):
        home = path[:length]
        inside = [sum(_is_in(other, home) for other in group) for group in (norms, dense)]
        if sum(_is_in(other, home) for other, _ in attentions) > 1:
            return None
        if inside == [2, 2]:
            return home
    return None


def _is_in(path: Path, home: Path) -> bool:
    return path[: len(home)] == home


def _tables(tables: Iterable[tuple[Layer, np.ndarray]], width: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    position = token = None
    for layer, table in tables:
        where = "/".join(layer.path) or layer.name or "the model itself"
        if table.shape[-1] != width or (table.ndim == 3 and len(table) != 1):
            refuse(
                f"{where} has a table of {'x'.join(map(str, table.shape))}, which is no position of {width} channels"
            )
        rows = table.reshape(-1, width)
        if len(rows) == 1 and token is None:
            token = rows
        elif position is None:
            position = rows
        else:
            refuse(f"{where} has a second table for the positions")
    return position, token
