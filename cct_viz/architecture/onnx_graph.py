"""The same transformer as `keras_model`, as an ONNX graph in which every intermediate of a Trace is a named output.

ONNX Runtime runs it without a deep learning framework. The graph is made from a configuration and weights in
milliseconds, so it is never stored, and no graph from a file is ever run.

Axis letters as in `keras_model`: B images, H W C pixels and channels, h w c cells and channels of a conv stage, N image
tokens, M tokens in the encoder, D width, A heads, E key width, K classes.

Operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .activations import find_activation
from .blocks import find_block
from .config import MASKED, CCTConfig, slide
from .lookup import look_up

IMAGES, STREAM, TOKEN_MASK = "images", "stream", "token_mask"
OPSET, IR_VERSION = 17, 8  # of 2022: LayerNormalization is an operator, and older runtimes still read it
LOWEST = np.finfo(np.float32).min


class Tensor:
    """A value in the graph. Arithmetic on it adds nodes, so that BLOCKS and ACTIVATIONS work on it as on arrays."""

    __array_ufunc__ = None  # NumPy must leave `array * tensor` to __rmul__

    def __init__(self, graph: Graph, name: str):
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Tensor:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Any) -> Tensor:
        return self.graph.node("Sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return self.graph.node("Sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return self.graph.node("Div", self, other)

    def __matmul__(self, other: Any) -> Tensor:
        return self.graph.node("MatMul", self, other)

    __radd__, __rmul__ = __add__, __mul__


class Graph:
    """Collects the nodes, constants and named outputs of one graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.outputs: dict[str, Tensor] = {}

    def node(self, operator: str, *inputs: Any, **attributes: Any) -> Tensor:
        """The output of a new node. Numbers and arrays among the inputs become constants, float32 or int64."""
        names = [value.name if isinstance(value, Tensor) else self._constant(value) for value in inputs]
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [name], name, **attributes))
        return Tensor(self, name)

    def _constant(self, value: Any) -> str:
        array = np.asarray(value)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind in "iu" else np.float32).reshape(array.shape)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def erf(self, x: Tensor) -> Tensor:
        return self.node("Erf", x)

    def tanh(self, x: Tensor) -> Tensor:
        return self.node("Tanh", x)


def build_graph(config: CCTConfig, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The graph of the model of `config`.

    Args:
        weights: canonical name -> float32 array, as `expected_shapes` lists them.

    Returns:
        An ONNX model. Inputs: images (B, H, W, C) float32, normalised; token_mask (B, N) float32, in which 0 leaves a
        token out. Outputs: those of `CCT.intermediates`, float32, with B free.

    Raises:
        KeyError: a weight is missing.
    """
    graph = Graph()
    images, token_mask = Tensor(graph, IMAGES), Tensor(graph, TOKEN_MASK)
    x = _tokenize(graph, images, config, weights)
    x = graph.outputs["stream_0"] = _add_class_token_and_position(graph, x, config, weights)
    _encode_and_read_out(graph, x, token_mask, config, weights)
    shapes = _shapes(config)
    outputs = {name: shapes.get(name) or shapes[name.rpartition("_")[0]] for name in graph.outputs}
    return _finish(graph, {IMAGES: config.input_shape, TOKEN_MASK: (config.num_tokens,)}, outputs)


def build_encoder_graph(config: CCTConfig, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The graph of the model behind its tokenizer, for any number of tokens.

    Its inputs are the encoder's input (B, M, D), with position and class token, and token_mask (B, N), where M and N
    are free; its output is "logits". Tokens that are left out of the input cost nothing.

    Raises:
        KeyError: a weight is missing.
    """
    graph = Graph()
    _encode_and_read_out(graph, Tensor(graph, STREAM), Tensor(graph, TOKEN_MASK), config, weights)
    inputs = {STREAM: ("tokens in the encoder", config.embedding_dim), TOKEN_MASK: ("image tokens",)}
    return _finish(graph, inputs, {"logits": (config.num_classes,)})


def _encode_and_read_out(
    graph: Graph, x: Tensor, token_mask: Tensor, config: CCTConfig, weights: Mapping[str, np.ndarray]
) -> None:
    """Add blocks, pool and head behind the encoder's input x (B, M, D); every result becomes an output."""
    seen, key_mask = graph.outputs, token_mask
    if config.has_class_token:
        key_mask = graph.node("Pad", token_mask, [0, 1, 0, 0], np.float32(1))  # (B, M): it is never masked
    hidden = graph.node("Unsqueeze", (1.0 - key_mask) * MASKED, [1, 2])  # (B, 1, 1, M)
    block, activation = find_block(config.block), find_activation(config.activation)
    for i in range(config.num_layers):
        name = f"block_{i}"

        def norm_2(x: Tensor, name: str = name) -> Tensor:
            return _norm(x, config, weights, f"{name}/norm_2")

        def mlp(x: Tensor, name: str = name) -> Tensor:
            x = _dense(activation(_dense(x, weights, f"{name}/mlp_1"), graph), weights, f"{name}/mlp_2")
            return activation(x, graph) if config.mlp_output_activation else x

        attended, attentions = _attend(_norm(x, config, weights, f"{name}/norm_1"), hidden, config, weights, name)
        x, added = block.add_mlp(x + attended, norm_2, mlp)
        seen |= {f"attention_output_{i}": attended, f"mlp_output_{i}": added, f"attentions_{i}": attentions}
        seen[f"stream_{i + 1}"] = x
    representation = seen["representation"] = _norm(x, config, weights, "norm")
    pooled = look_up(POOLING_GRAPHS, "pool", config.pool)(representation, token_mask, weights)
    seen["logits"] = _dense(pooled, weights, "head")


def _tokenize(graph: Graph, images: Tensor, config: CCTConfig, weights: Mapping[str, np.ndarray]) -> Tensor:
    """(B, N, D): convolution, ReLU and max pool per stage; ONNX computes them with channels first."""
    x, sides = graph.node("Transpose", images, perm=(0, 3, 1, 2)), config.image_size  # (B, C, H, W)
    rows = x
    for i, stage in enumerate(config.tokenizer):
        kernel = weights[f"tokenizer/conv_{i}/kernel"].transpose(3, 2, 0, 1)  # (c, C, k, k)
        bias = [weights[f"tokenizer/conv_{i}/bias"]] if stage.use_bias else []
        window, sides = _place(sides, stage.kernel_size, stage.stride, stage.padding, stage.conv_padding)
        x = graph.node("Conv", x, kernel, *bias, **window)
        x = graph.node("Relu", x) if stage.relu else x
        if stage.pool_size:
            zeros = stage.pool_zero_padding
            if zeros and not (stage.relu and stage.pool_padding == "valid" and zeros < stage.pool_size):
                x = graph.node("Pad", x, [0, 0, zeros, zeros] * 2, np.float32(0))
                # Changes nothing, but keeps ONNX Runtime from fusing Pad and MaxPool, which would lose the zeros.
                x = graph.node("Max", x, LOWEST)
                sides, zeros = (sides[0] + 2 * zeros, sides[1] + 2 * zeros), 0
            # Else nothing is below 0, so that the pool's own padding, which never wins, does what zeros do.
            window, sides = _place(sides, stage.pool_size, stage.pool_stride, zeros, stage.pool_padding)
            x = graph.node("MaxPool", x, **window)
        rows = graph.outputs[f"feature_map_{i}"] = graph.node("Transpose", x, perm=(0, 2, 3, 1))  # (B, h, w, c)
    return graph.node("Reshape", rows, [-1, config.num_tokens, config.embedding_dim])


def _place(
    sides: tuple[int, int], size: int, stride: int, padding: int, rule: str
) -> tuple[dict[str, Any], tuple[int, int]]:
    """The attributes of a convolution or pool over (height, width) cells, and its own height and width."""
    (height, top), (width, left) = (slide(side, size, stride, padding, rule) for side in sides)
    ends = [
        max(0, (places - 1) * stride + size - start - side)
        for places, start, side in zip((height, width), (top, left), sides, strict=True)
    ]
    return {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [top, left, *ends]}, (height, width)


def _add_class_token_and_position(
    graph: Graph, tokens: Tensor, config: CCTConfig, weights: Mapping[str, np.ndarray]
) -> Tensor:
    if config.has_class_token:
        batch = graph.node("Slice", graph.node("Shape", tokens), [0], [1])
        shape = graph.node("Concat", batch, [1, config.embedding_dim], axis=0)
        class_token = graph.node("Expand", weights["sequence/class_token"][None], shape)  # (B, 1, D)
        tokens = graph.node("Concat", class_token, tokens, axis=1)  # (B, M, D)
    return tokens if config.position == "none" else tokens + weights["sequence/position"]


def _attend(
    x: Tensor, hidden: Tensor, config: CCTConfig, weights: Mapping[str, np.ndarray], name: str
) -> tuple[Tensor, Tensor]:
    """What attention adds to the stream, (B, M, D), and its weights, (B, A, M, M)."""
    node, inner = x.graph.node, config.num_heads * config.key_dim
    split = [0, 0, config.num_heads, config.key_dim]  # 0 keeps B and M

    def heads(part: str, order: tuple[int, ...]) -> Tensor:
        dense = _dense(x, weights, f"{name}/attention/{part}", use_bias=config.qkv_bias)
        return node("Transpose", node("Reshape", dense, split), perm=order)

    query, value = heads("query", (0, 2, 1, 3)), heads("value", (0, 2, 1, 3))  # (B, A, M, E)
    key = heads("key", (0, 2, 3, 1))  # (B, A, E, M)
    scores = query * (1.0 / math.sqrt(config.key_dim)) @ key  # (B, A, M, M)
    attentions = node("Softmax", scores + hidden, axis=-1)
    joined = node("Transpose", attentions @ value, perm=(0, 2, 1, 3))  # (B, M, A, E)
    joined = node("Reshape", joined, [0, 0, inner])
    return _dense(joined, weights, f"{name}/attention/projection"), attentions


def _dense(x: Tensor, weights: Mapping[str, np.ndarray], name: str, *, use_bias: bool = True) -> Tensor:
    x = x @ weights[f"{name}/kernel"]
    return x + weights[f"{name}/bias"] if use_bias else x


def _norm(x: Tensor, config: CCTConfig, weights: Mapping[str, np.ndarray], name: str) -> Tensor:
    scale, shift = weights[f"{name}/gamma"], weights[f"{name}/beta"]
    return x.graph.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=config.layer_norm_epsilon)


def _pool_by_score(representation: Tensor, token_mask: Tensor, weights: Mapping[str, np.ndarray]) -> Tensor:
    """SeqPool: one score per token, softmax over the tokens, weighted mean of the tokens."""
    node, seen = representation.graph.node, representation.graph.outputs
    scores = seen["pool_scores"] = node("Squeeze", _dense(representation, weights, "pool/score"), [2])  # (B, N)
    softmax = node("Softmax", scores + (1.0 - token_mask) * MASKED, axis=-1)
    return _weighted_mean(representation, softmax * token_mask)


def _pool_mean(representation: Tensor, token_mask: Tensor, weights: Mapping[str, np.ndarray]) -> Tensor:
    count = representation.graph.node("ReduceSum", token_mask, [1], keepdims=1)
    return _weighted_mean(representation, token_mask / representation.graph.node("Max", count, np.float32(1)))


def _weighted_mean(representation: Tensor, weights: Tensor) -> Tensor:
    node = representation.graph.node
    representation.graph.outputs["pooling_weights"] = weights
    return node("Squeeze", node("Unsqueeze", weights, [1]) @ representation, [1])  # (B, D)


def _pool_max(representation: Tensor, token_mask: Tensor, weights: Mapping[str, np.ndarray]) -> Tensor:
    """The largest value of each channel; 0 if every token is masked."""
    node = representation.graph.node
    visible = representation + node("Unsqueeze", (1.0 - token_mask) * MASKED, [2])
    any_token = node("ReduceMax", token_mask, axes=[1], keepdims=1)  # (B, 1)
    largest = node("ReduceMax", visible, axes=[1], keepdims=0)
    return node("Where", node("Greater", any_token, np.float32(0)), largest, np.float32(0))


def _pool_class_token(representation: Tensor, token_mask: Tensor, weights: Mapping[str, np.ndarray]) -> Tensor:
    return representation.graph.node("Gather", representation, 0, axis=1)


# Entry of POOLS -> the nodes of its pool: representation (B, M, D), token mask (B, N), weights -> pooled vector (B, D).
POOLING_GRAPHS: dict[str, Callable[[Tensor, Tensor, Mapping[str, np.ndarray]], Tensor]] = {
    "seqpool": _pool_by_score,
    "mean": _pool_mean,
    "max": _pool_max,
    "class_token": _pool_class_token,
}


def _shapes(config: CCTConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each output without the batch; a name that ends in a number stands for all that do."""
    m, n, dim = config.sequence_length, config.num_tokens, config.embedding_dim
    stages = zip(config.stage_shapes, config.tokenizer, strict=True)
    return {
        **{f"feature_map_{i}": (*shape, stage.channels) for i, (shape, stage) in enumerate(stages)},
        **dict.fromkeys(("stream", "attention_output", "mlp_output", "representation"), (m, dim)),
        "attentions": (config.num_heads, m, m),
        **dict.fromkeys(("pool_scores", "pooling_weights"), (n,)),
        "logits": (config.num_classes,),
    }


def _finish(
    graph: Graph, inputs: Mapping[str, tuple[int | str, ...]], outputs: Mapping[str, tuple[int | str, ...]]
) -> onnx.ModelProto:
    """Put the model together, with the named inputs and outputs of these shapes behind the batch."""

    def describe(shapes: Mapping[str, tuple[int | str, ...]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in shapes.items()
        ]

    for name in outputs:
        graph.nodes.append(helper.make_node("Identity", [graph.outputs[name].name], [name], name))
    made = helper.make_graph(graph.nodes, "cct", describe(inputs), describe(outputs), graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
