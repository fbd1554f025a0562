"""The parts of a compact transformer as tf-keras writes them into a graph: each function recognises one, from its end.

A function takes the operation that ends its part and returns the part's weights and the operation it starts from, or
refuses with the name of the operation that is there instead. Patterns are nested tuples (kind, input, ...): "x" stands
for any operation, "=x" for any constant, a float for a constant of that value, and the same name twice for the same
operation; both orders of a sum and a product match.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ...architecture.config import ConvStage
from ..common import CheckpointError
from .graph import MAX_STEPS, Op

ADD = "Add|AddV2|BiasAdd"
MATMUL = "BatchMatMul|BatchMatMulV2|BatchMatMulV3"
COMMUTATIVE = (ADD, "Mul")
MEAN = ("Mean", "x", "=axis")
VARIANCE = ("Mean", ("SquaredDifference", "x", MEAN), "=variance_axis")
INVERSE = ("Mul", ("Rsqrt", (ADD, VARIANCE, "=epsilon")), "=gamma")
LAYER_NORM = (ADD, ("Mul", "x", INVERSE), ("Sub", "=beta", ("Mul", MEAN, INVERSE)))
LAYER_NORM_KERAS_3 = (ADD, ("Mul", "x", INVERSE), (ADD, ("Mul", ("Neg", MEAN), INVERSE), "=beta"))
BATCH_NORM = ("FusedBatchNormV3", ("Reshape", "x", "shape"), ("Fill", "2", 1.0), ("Fill", "3", 0.0), "4", "5")
GELU_ERF = ("Mul", ("Mul", 0.5, "x"), (ADD, 1.0, ("Erf", ("RealDiv", "x", math.sqrt(2)))))
GELU_ERFC = ("Mul", ("Mul", 0.5, "x"), ("Erfc", ("Mul", ("Neg", "x"), math.sqrt(0.5))))  # TensorFlow 2.17 and later
GELU_TANH = (
    "Mul",
    ("Mul", 0.5, "x"),
    (ADD, 1.0, ("Tanh", ("Mul", math.sqrt(2 / math.pi), (ADD, "x", ("Mul", 0.044715, ("Pow", "x", 3.0)))))),
)
GELUS = {"gelu": (GELU_ERF, GELU_ERFC), "gelu_tanh": (GELU_TANH,)}
SCALED = ("Mul", "x", "=scale")
# Of attention: a batch, b query, c head, d channel, e key.
KEY_BY_QUERY, QUERY_BY_KEY = "aecd,abcd->acbe", "abcd,aecd->acbe"


class Dense(NamedTuple):
    kernel: np.ndarray
    bias: np.ndarray | None
    source: Op

    def weights(self) -> dict[str, np.ndarray]:
        return {"kernel": self.kernel} | ({} if self.bias is None else {"bias": self.bias})


class Norm(NamedTuple):
    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float
    source: Op

    def weights(self) -> dict[str, np.ndarray]:
        return {"gamma": self.gamma, "beta": self.beta}


class Attention(NamedTuple):
    query: Dense  # kernels (D, A, E), biases (A, E), as Keras keeps them: A heads of width E
    key: Dense
    value: Dense
    projection: Dense  # kernel (A, E, D)
    source: Op


def refuse(op: Op, expected: str) -> NoReturn:
    if random := _find_random(op):
        raise CheckpointError(
            f"the SavedModel still draws random numbers, as augmentation and stochastic depth do: operation "
            f"{random.name!r} is {random.kind}, so it has no one answer; save the model with model.save instead, or "
            "export its call with training=False (keras.export.ExportArchive)"
        )
    raise CheckpointError(
        f"the SavedModel is not a CCT as in the keras.io example: operation {op.name!r} is {op.kind}; "
        f"expected {expected}"
    )


def _find_random(op: Op) -> Op | None:
    """An operation that draws random numbers, of those from which `op` is computed."""
    pending, seen = [op], set[Op]()
    while pending:
        op = pending.pop()
        if op in seen or len(seen) > MAX_STEPS:
            continue
        if "Random" in op.kind:
            return op
        seen.add(op)
        pending.extend(op.input(i) for i in range(len(op)))
    return None


def match(op: Op, pattern: Any) -> dict[str, Any] | None:
    """Name -> operation or constant array of the first way in which the graph above `op` fits `pattern`."""
    return next(_matches(op, pattern, {}), None)


def _matches(op: Op, pattern: Any, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(pattern, float):
        if op.value is not None and is_number(op.value, pattern):
            yield names
        return
    if isinstance(pattern, str):
        name, item = pattern.lstrip("="), op.value if pattern.startswith("=") else op
        if item is not None and names.get(name, item) is item:
            yield {**names, name: item}
        return
    kind, *inputs = pattern
    if op.kind in kind.split("|") and len(op) == len(inputs):
        for order in (inputs, inputs[::-1]) if kind in COMMUTATIVE else (inputs,):
            yield from _match_inputs(op, order, names)


def _match_inputs(op: Op, patterns: list[Any], names: dict[str, Any], first: int = 0) -> Iterator[dict[str, Any]]:
    if first == len(patterns):
        yield names
        return
    for so_far in _matches(op.input(first), patterns[first], names):
        yield from _match_inputs(op, patterns, so_far, first + 1)


def is_number(array: np.ndarray, number: float) -> bool:
    return array.size == 1 and bool(np.isclose(array.item(), number, rtol=1e-6, atol=0))


def tidy(number: float) -> float:
    """`number` as it was before it became float32: 1e-05, not 9.99999974e-06."""
    return float(f"{float(number):.6g}") + 0.0


def same_order(op: Op) -> Op:
    """The operation before any reshapes, which keep the order of the values, and transposes that change nothing."""
    while op.kind == "Reshape" or (op.kind == "Transpose" and _permutation(op) == sorted(_permutation(op))):
        op = op.input(0)
    return op


def _permutation(op: Op) -> list[int]:
    permutation = op.input(1).value
    return [-1, -2] if permutation is None else permutation.tolist()


def _split_bias(op: Op) -> tuple[Op, np.ndarray | None]:
    """What a constant is added to, and the constant; `op` itself and None if no constant is added."""
    total = match(op, (ADD, "product", "=bias"))
    return (total["product"], total["bias"]) if total else (op, None)


def read_dense(op: Op, what: str) -> Dense:
    """A Dense layer over the last axis, as a product or as Tensordot writes it."""
    product, bias = _split_bias(op)
    product = same_order(product)
    factors = match(product, (f"MatMul|{MATMUL}", "x", "=kernel"))
    if factors is None or any(product.attr[name].b for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")):
        refuse(product, f"the Dense layer of {what}")
    return Dense(factors["kernel"], None if bias is None else np.ravel(bias), same_order(factors["x"]))


def read_gelu(op: Op, what: str) -> tuple[Op, str]:
    """x of 0.5 x (1 + erf(x / sqrt 2)), which is 0.5 x erfc(-x sqrt 0.5), or of its form with tanh; and which it is."""
    for name, patterns in GELUS.items():
        for pattern in patterns:
            if terms := match(op, pattern):
                return terms["x"], name
    refuse(op, f"the GELU of {what}, exact (erf) or with tanh")


def read_norm(op: Op, what: str) -> Norm:
    """LayerNormalization over the last axis, written out or (for larger epsilons) as a fused batch normalisation."""
    terms = match(op, LAYER_NORM) or match(op, LAYER_NORM_KERAS_3)
    if terms and all(terms[axis].tolist() in ([2], [-1]) for axis in ("axis", "variance_axis")):
        epsilon = tidy(terms["epsilon"].item())
        return Norm(np.ravel(terms["gamma"]), np.ravel(terms["beta"]), epsilon, terms["x"])
    if terms := match(op, (ADD, ("Mul", "normalised", "=gamma"), "=beta")):
        batch_norm = same_order(terms["normalised"])  # each token is a batch of its own, with scale 1 and offset 0
        rows = match(batch_norm, BATCH_NORM)
        if rows and batch_norm.output.startswith("y:"):
            return Norm(terms["gamma"], terms["beta"], tidy(batch_norm.attr["epsilon"].f), rows["x"])
    refuse(op, f"the LayerNormalization {what}")


def read_attention(op: Op) -> Attention:
    """MultiHeadAttention of one input with itself, in Einsums or products with transposes, which Keras 3 mixes."""
    product, bias = _split_bias(op)
    context, kernel = _read_projection(product)
    weighted = _read_contraction(context)
    if weighted is None or weighted.left.kind != "Softmax":
        refuse(product, "MultiHeadAttention without a mask, or the MLP of an encoder block")
    _require_equation(context, weighted.equation, "acbe,aecd->abcd")
    scaled = match(weighted.left.input(0), SCALED)  # Keras 3.7 and later scale the scores, others the query
    scores = _read_contraction(scaled["x"] if scaled else weighted.left.input(0))
    if scores is None:
        refuse(product, "MultiHeadAttention without a mask, or the MLP of an encoder block")
    query_op, key_op = scores.left, scores.right
    if not _same_pattern(scores.equation, QUERY_BY_KEY):
        _require_equation(weighted.left.input(0), scores.equation, KEY_BY_QUERY)
        query_op, key_op = key_op, query_op
    if not scaled and (scaled := match(query_op, SCALED)):
        query_op = scaled["x"]
    query, key, value = (
        _read_heads(op, what) for op, what in ((query_op, "query"), (key_op, "key"), (weighted.right, "value"))
    )
    if not (query.source is key.source is value.source):
        refuse(product, "attention of one input with itself")
    if scaled is None or not is_number(scaled["scale"], 1 / math.sqrt(query.kernel.shape[2])):
        found = "1" if scaled is None else scaled["scale"].tolist()
        refuse(product, f"scores scaled by 1 / sqrt({query.kernel.shape[2]}), not {found}")
    return Attention(query, key, value, Dense(kernel, bias, context), query.source)


class Contraction(NamedTuple):
    """A product of two arrays with four axes, as the equation of an Einsum."""

    equation: str
    left: Op
    right: Op


def _read_contraction(op: Op) -> Contraction | None:
    """An Einsum, or a product of matrices with the axes of factors and result permuted; None if it is neither."""
    if op.kind == "Einsum" and len(op) == 2:
        return Contraction(op.attr["equation"].s.decode(), op.input(0), op.input(1))
    product, result = _unpermute(op, "abcd")
    if product.kind not in MATMUL.split("|"):
        return None
    rows, columns = ("abec" if product.attr["adj_x"].b else "abce"), ("abde" if product.attr["adj_y"].b else "abed")
    (left, left_axes), (right, right_axes) = (
        _permuted_source(product.input(i), axes) for i, axes in enumerate((rows, columns))
    )
    return Contraction(f"{left_axes},{right_axes}->{result}", left, right)


def _unpermute(op: Op, axes: str) -> tuple[Op, str]:
    """The operation with these axes before its result is transposed, and the axes of `op`."""
    if op.kind != "Transpose" or sorted(permutation := _permutation(op)) != list(range(len(axes))):
        return op, axes
    before, axes = _unpermute(op.input(0), axes)
    return before, "".join(axes[i] for i in permutation)


def _permuted_source(op: Op, axes: str) -> tuple[Op, str]:
    """What an operation with these axes is a transpose of, and the axes of that."""
    while op.kind == "Transpose" and sorted(permutation := _permutation(op)) == list(range(len(axes))):
        op, axes = op.input(0), "".join(axes[permutation.index(i)] for i in range(len(axes)))
    return op, axes


def _read_projection(product: Op) -> tuple[Op, np.ndarray]:
    """The heads' outputs (B, M, A, E), and the kernel (A, E, D) that they are multiplied with."""
    if factors := match(product, ("Einsum", "context", "=kernel")):
        _require_equation(product, product.attr["equation"].s.decode(), "abcd,cde->abe")
        return factors["context"], factors["kernel"]
    factors = match(same_order(product), (MATMUL, "context", "kernel"))
    if not factors or (kernel := same_order(factors["kernel"]).value) is None or kernel.ndim != 3:
        refuse(product, "MultiHeadAttention without a mask, or the MLP of an encoder block")
    return same_order(factors["context"]), kernel


def _read_heads(op: Op, what: str) -> Dense:
    product, bias = _split_bias(op)
    if factors := match(product, ("Einsum", "x", "=kernel")):
        _require_equation(product, product.attr["equation"].s.decode(), "abc,cde->abde")
        return Dense(factors["kernel"], bias, factors["x"])
    factors = match(same_order(product), (MATMUL, "x", "kernel"))
    if not factors or (kernel := same_order(factors["kernel"]).value) is None or kernel.ndim != 3:
        refuse(product, f"the {what} projection of MultiHeadAttention")
    return Dense(kernel, bias, factors["x"])


def _require_equation(op: Op, equation: str, expected: str) -> None:
    if not _same_pattern(equation, expected):
        refuse(op, f"the Einsum {expected}, not {equation}")


def _same_pattern(equation: str, other: str) -> bool:
    """Whether two equations are the same but for their letters."""

    def numbered(text: str) -> list[int | str]:
        return [c if c in ",->" else text.index(c) for c in text]

    return numbered(equation) == numbered(other)


def read_sequence_pooling(op: Op) -> Dense:
    """Softmax over the tokens of a score each, then the weighted mean of the tokens; `source` are the tokens."""
    product = op.input(0) if op.kind == "Squeeze" else op
    factors = match(product, (MATMUL, "weights", "tokens"))
    if factors is None:
        refuse(product, "sequence pooling: the product of softmax weights with the tokens")
    # Follow the weights back, counting how often their last two axes are swapped.
    swaps, weights = _unswap(factors["weights"], int(product.attr["adj_x"].b))
    if weights.kind != "Softmax" or product.attr["adj_y"].b:
        refuse(weights, "the Softmax of sequence pooling")
    if swaps % 2:
        refuse(weights, "a softmax over the tokens; over an axis of size 1 every weight is 1")
    swaps, score = _unswap(weights.input(0), swaps)
    if swaps % 2 == 0:
        refuse(score, "one score for each token")
    dense = read_dense(score, "sequence pooling")
    if dense.source is not factors["tokens"]:
        refuse(product, "sequence pooling of the tokens that were scored")
    return dense


def _unswap(op: Op, swaps: int) -> tuple[int, Op]:
    while op.kind == "Transpose" and _permutation(op) == [0, 2, 1]:
        op, swaps = op.input(0), swaps + 1
    return swaps, op


def read_conv_stage(op: Op) -> tuple[ConvStage, Dense]:
    """A convolution with zero padding, bias, ReLU, zero padding and max pool, each of which may be missing."""
    pool: dict[str, Any] = {"pool_size": 0}
    if op.kind == "MaxPool":
        size, stride = _square(op, "ksize"), _square(op, "strides")
        pool = {"pool_size": size, "pool_stride": stride, "pool_padding": op.attr["padding"].s.decode().lower()}
        op, pool["pool_zero_padding"] = _read_zero_padding(op.input(0))
    relu = op.kind == "Relu"
    conv, bias = _split_bias(op.input(0) if relu else op)
    factors = match(conv, ("Conv2D", "x", "=kernel"))
    if factors is None or conv.attr["data_format"].s not in (b"", b"NHWC"):
        refuse(conv, "a convolution (with ReLU and max pool), or the image rescaled at its own size")
    height, width, _, channels = factors["kernel"].shape
    stride, same = _square(conv, "strides"), conv.attr["padding"].s == b"SAME"
    source, padding = _read_zero_padding(factors["x"])
    if height != width or _square(conv, "dilations") != 1 or (same and (stride != 1 or height % 2 == 0)):
        refuse(conv, "a square kernel without dilation, padded alike on all sides")
    if not same and conv.attr["padding"].s != b"VALID":
        refuse(conv, f"padding VALID or SAME, not {conv.attr['padding'].s.decode()}")
    padding += height // 2 if same else 0
    stage = ConvStage(channels, height, stride, padding, use_bias=bias is not None, relu=relu, **pool)
    return stage, Dense(factors["kernel"], bias, source)


def _square(op: Op, name: str) -> int:
    """The one number of a window attribute like [1, 2, 2, 1]; 1 where it is not given."""
    numbers = list(op.attr[name].list.i) or [1, 1, 1, 1]
    if numbers != [1, numbers[1], numbers[1], 1]:
        refuse(op, f"{name} the same in both directions, not {numbers}")
    return numbers[1]


def _read_zero_padding(op: Op) -> tuple[Op, int]:
    """What is padded and by how many pixels on each side."""
    if op.kind != "Pad":
        return op, 0
    sides = op.input(1).value
    size = 0 if sides is None else int(sides[1, 0])
    if sides is None or sides.tolist() != [[0, 0], [size, size], [size, size], [0, 0]]:
        refuse(op, "the same zero padding on all four sides")
    return op.input(0), size
