"""A TensorFlow graph as data: follow it from an operation to its inputs, through function calls, and fold constants.

Nothing here runs the graph. Constant folding is numpy on a short list of arithmetic and shape operations. Any other
operation has no value, and the caller refuses what it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..common import CheckpointError

PASS_THROUGH = ("Identity", "StopGradient", "ReadVariableOp")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
CONDITIONALS = ("If", "StatelessIf")
MAX_STEPS = 10**6  # the example of two layers takes 2,000
MAX_ELEMENTS = (
    2**26
)  # 256 MB of float32: far more than any array of a compact transformer; a forged shape may be larger


@dataclass(eq=False)
class Op:
    """One operation of the graph, or a leaf: the image, a variable or a captured constant.

    Attributes:
        name: as in the file, for messages.
        kind: TensorFlow's name of the operation; "Image", "Variable" and "Captured" (a constant) are ours.
        attr: the operation's attributes (AttrValue messages).
        output: the output that is used, "" for a leaf.
        inputs: functions that resolve the inputs, so that only the needed part of the graph is followed.
        load: gives the value of a leaf.
        image_shape: (1, H, W, C) of the image: one image stands for the batch.
    """

    name: str
    kind: str
    attr: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    inputs: Sequence[Callable[[], Op]] = ()
    load: Callable[[], np.ndarray] | None = None
    image_shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def input(self, index: int) -> Op:
        return self.inputs[index]()

    @cached_property
    def value(self) -> np.ndarray | None:
        """What the operation computes if that depends on neither the image's pixels nor an unknown operation."""
        if self.load is not None:
            return self.load()
        fold = FOLDERS.get(self.kind)
        with np.errstate(all="ignore"):
            return fold(self) if fold else None


class Scope:
    """The body of one function, with its arguments bound."""

    def __init__(self, library: Mapping[str, Any], function: Any, arguments: Sequence[Callable[[], Op]]):
        self.library, self.function = library, function
        self.arguments = dict(zip((arg.name for arg in function.signature.input_arg), arguments, strict=True))
        self.nodes = {node.name: node for node in function.node_def}
        self.resolved: dict[str, Op] = {}
        self.bodies: dict[str, Scope] = {}
        self.steps = 0

    def result(self, index: int) -> Op:
        """Output number `index` of the function."""
        return self.resolve(self.function.ret[self.function.signature.output_arg[index].name])

    def resolve(self, reference: str) -> Op:
        """The operation behind "argument" or "node:output:index", with calls entered and identities skipped."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise CheckpointError("the SavedModel is damaged: its graph has a cycle")
        if reference not in self.resolved:
            self.resolved[reference] = self._resolve(reference)
        return self.resolved[reference]

    def _resolve(self, reference: str) -> Op:
        name, _, output = reference.partition(":")
        if name in self.arguments:
            return self.arguments[name]()
        node = self.nodes[name]
        inputs = [lambda source=source: self.resolve(source) for source in node.input if not source.startswith("^")]
        if node.op in PASS_THROUGH and inputs:
            return inputs[0]()
        if node.op in CALLS:
            return self._enter(node, node.attr["f"].func.name, inputs, output)
        if node.op in CONDITIONALS and inputs and (condition := inputs[0]().value) is not None:
            branch = node.attr["then_branch" if condition.all() else "else_branch"].func.name
            return self._enter(node, branch, inputs[1:], output)
        return Op(name, node.op, node.attr, output, inputs)

    def _enter(self, node: Any, function: str, arguments: Sequence[Callable[[], Op]], output: str) -> Op:
        if node.name not in self.bodies:
            self.bodies[node.name] = Scope(self.library, self.library[function], arguments)
        return self.bodies[node.name].result(int(output.rpartition(":")[2]))


def constant(attr: Mapping[str, Any]) -> np.ndarray:
    """The array of a Const node."""
    import tensorflow as tf

    proto = attr["value"].tensor
    if np.prod([float(dim.size) for dim in proto.tensor_shape.dim]) > MAX_ELEMENTS:
        raise CheckpointError("the SavedModel is damaged: a constant in its graph is larger than any model")
    return tf.make_ndarray(proto)


def preprocessing_input(op: Op) -> Op | None:
    """The image from which `op` makes an image of the same size, or None if `op` does anything else."""
    if op.kind == "Cast":
        return op.input(0)
    if op.kind in ARITHMETIC and len(op) == 2:
        left, right = op.input(0), op.input(1)
        return left if right.value is not None else right if left.value is not None else None
    if op.kind in ("Slice", "ResizeBilinear") and (shape := image_shape(op.input(0))):
        sizes = [op.input(i).value for i in range(1, len(op))]
        if op.kind == "ResizeBilinear":
            kept = sizes[0] is not None and sizes[0].tolist() == list(shape[1:3])
        else:
            values = [size for size in sizes if size is not None]
            kept = len(values) == len(sizes) and not values[0].any()
            kept = kept and all(size in (-1, full) for size, full in zip(values[1], shape, strict=True))
        return op.input(0) if kept else None
    return None


def image_shape(op: Op | None) -> tuple[int, ...] | None:
    """(1, H, W, C) if `op` is the graph's image, or made from it by steps that keep its size."""
    while op is not None and op.kind != "Image":
        op = preprocessing_input(op)
    return op.image_shape if op is not None else None


def _fold_shape(op: Op) -> np.ndarray | None:
    if (value := op.input(0).value) is not None:
        return np.array(value.shape, np.int32)
    shape = image_shape(op.input(0))
    return None if shape is None else np.array(shape, np.int32)


def _fold(function: Callable[..., Any]) -> Callable[[Op], np.ndarray | None]:
    """Apply `function(op, *values of the inputs)` if every input has a value."""

    def fold(op: Op) -> np.ndarray | None:
        values = [op.input(i).value for i in range(len(op))]
        return None if any(value is None for value in values) else np.asarray(function(op, *values))

    return fold


def _strided_slice(op: Op, x: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
    if op.attr["ellipsis_mask"].i or op.attr["new_axis_mask"].i:
        raise CheckpointError(f"the SavedModel slices {op.name} in a way that this reader does not know")
    ignored_begin, ignored_end, single = (op.attr[f"{name}_mask"].i for name in ("begin", "end", "shrink_axis"))
    index: list[int | slice] = []
    for axis, (first, last, stride) in enumerate(zip(begin.tolist(), end.tolist(), step.tolist(), strict=True)):
        bit = 1 << axis
        whole = slice(None if ignored_begin & bit else first, None if ignored_end & bit else last, stride)
        index.append(first if single & bit else whole)
    return x[tuple(index)]


def _range(_: Op, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    if abs(float(limit) - float(start)) > MAX_ELEMENTS * abs(float(delta)):
        raise CheckpointError("the SavedModel is damaged: a range in its graph is longer than any model")
    return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _cast(op: Op, x: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    return x.astype(tf.dtypes.as_dtype(op.attr["DstT"].type).as_numpy_dtype)


def _slice(_: Op, x: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    ends = [None if s == -1 else b + s for b, s in zip(begin.tolist(), size.tolist(), strict=True)]
    return x[tuple(map(slice, begin.tolist(), ends))]


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.true_divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "LogicalAnd": np.logical_and,
}
FOLDERS: dict[str, Callable[[Op], np.ndarray | None]] = {
    **{kind: _fold(lambda _, *x, f=f: f(*x)) for kind, f in {**ARITHMETIC, **COMPARISONS, "Sqrt": np.sqrt}.items()},
    "All": _fold(lambda _, x, axes: np.all(x, axis=tuple(np.ravel(axes)))),
    "Cast": _fold(_cast),
    "ConcatV2": _fold(lambda _, *x: np.concatenate(x[:-1], axis=int(x[-1]))),
    "Const": lambda op: constant(op.attr),
    "ExpandDims": _fold(lambda _, x, axis: np.expand_dims(x, int(axis))),
    "Gather": _fold(lambda _, x, index: np.take(x, index, axis=0)),
    "GatherV2": _fold(lambda _, x, index, axis: np.take(x, index, axis=int(axis))),
    "Pack": _fold(lambda op, *x: np.stack(x, axis=op.attr["axis"].i)),
    "Range": _fold(_range),
    "Reshape": _fold(lambda _, x, shape: np.reshape(x, tuple(shape))),
    "ResourceGather": _fold(lambda _, x, index: np.take(x, index, axis=0)),
    "Shape": _fold_shape,
    "Slice": _fold(_slice),
    "StridedSlice": _fold(_strided_slice),
    "Transpose": _fold(lambda _, x, permutation: np.transpose(x, permutation)),
}
