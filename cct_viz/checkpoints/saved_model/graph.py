"""A TensorFlow graph as data: follow it from an operation to its inputs, through function calls, and fold constants.

Nothing here runs the graph. Constant folding is numpy on a short list of arithmetic and shape operations. Any other
operation has no value, and the caller refuses what it does not understand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..common import CheckpointError

PASS_THROUGH = ("Identity", "StopGradient", "ReadVariableOp")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
CONDITIONALS = ("If", "StatelessIf")
MAX_STEPS = 300_000  # the example of two layers takes 900
MAX_OPS = 50_000  # of all functions, as often as they are called
MAX_ELEMENTS = 1 << 24  # of all constants and what is made of them; the largest preset's position has 400,000


class Budget:
    """What is left of the work that one graph may cost: small functions that call each other unfold without end.

    Args:
        variables: bytes of all variables, which may be cast and reshaped too.

    Raises:
        CheckpointError: from its methods, if nothing is left.
    """

    def __init__(self, variables: int = 0) -> None:
        self.steps, self.ops, self.elements = MAX_STEPS, MAX_OPS, MAX_ELEMENTS + variables // 2

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise CheckpointError("the SavedModel is damaged: its graph has a cycle, or far more steps than any model")

    def add_ops(self, count: int) -> None:
        self.ops -= count
        if self.ops < 0:
            raise CheckpointError("the SavedModel is damaged: its functions call each other far too often")

    def add_elements(self, count: int) -> None:
        self.elements -= count
        if self.elements < 0:
            raise CheckpointError("the SavedModel is damaged: the constants in its graph are larger than any model")


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
        budget: of the whole graph.
        image_shape: (1, H, W, C) of the image: one image stands for the batch.
    """

    name: str
    kind: str
    attr: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    inputs: Sequence[Callable[[], Op]] = ()
    load: Callable[[], np.ndarray] | None = None
    budget: Budget = field(default_factory=Budget)
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

    def __init__(
        self, library: Mapping[str, Any], function: Any, arguments: Sequence[Callable[[], Op]], budget: Budget
    ):
        budget.add_ops(1 + len(function.node_def))
        self.library, self.function, self.budget = library, function, budget
        self.arguments = dict(zip((arg.name for arg in function.signature.input_arg), arguments, strict=True))
        self.nodes = {node.name: node for node in function.node_def}
        self.resolved: dict[str, Op] = {}
        self.bodies: dict[str, Scope] = {}

    def result(self, index: int) -> Op:
        """Output number `index` of the function."""
        return self.resolve(self.function.ret[self.function.signature.output_arg[index].name])

    def resolve(self, reference: str) -> Op:
        """The operation behind "argument" or "node:output:index", with calls entered and identities skipped."""
        self.budget.step()
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
        return Op(name, node.op, node.attr, output, inputs, budget=self.budget)

    def _enter(self, node: Any, function: str, arguments: Sequence[Callable[[], Op]], output: str) -> Op:
        if node.name not in self.bodies:
            self.bodies[node.name] = Scope(self.library, self.library[function], arguments, self.budget)
        return self.bodies[node.name].result(int(output.rpartition(":")[2]))


def constant(attr: Mapping[str, Any], budget: Budget) -> np.ndarray:
    """The array of a Const node."""
    import tensorflow as tf

    proto = attr["value"].tensor
    budget.add_elements(math.prod(max(dim.size, 0) for dim in proto.tensor_shape.dim))  # it may repeat one number
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


Count = Callable[..., int]  # of the values of the inputs: how many numbers the result has, 0 if it is only a view


def _view(*values: np.ndarray) -> int:
    return 0


def _broadcast(*values: np.ndarray) -> int:
    return math.prod(np.broadcast_shapes(*(value.shape for value in values)))


def _together(*values: np.ndarray) -> int:
    return sum(value.size for value in values)


def _taken(x: np.ndarray, index: np.ndarray, *axis: np.ndarray) -> int:
    return index.size * x.size // max(1, x.shape[int(axis[0]) if axis else 0])


def _fold(function: Callable[..., Any], count: Count = _view) -> Callable[[Op], np.ndarray | None]:
    """Apply `function(op, *values of the inputs)` if every input has a value."""

    def fold(op: Op) -> np.ndarray | None:
        values = [op.input(i).value for i in range(len(op))]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        op.budget.add_elements(count(*known))
        return np.asarray(function(op, *known))

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
    return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _range_length(start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> int:
    return math.ceil(abs((limit.item() - start.item()) / delta.item()))


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
    **{
        kind: _fold(lambda _, *x, f=f: f(*x), _broadcast)
        for kind, f in {**ARITHMETIC, **COMPARISONS, "Sqrt": np.sqrt}.items()
    },
    "All": _fold(lambda _, x, axes: np.all(x, axis=tuple(np.ravel(axes))), _together),
    "Cast": _fold(_cast, _together),
    "ConcatV2": _fold(lambda _, *x: np.concatenate(x[:-1], axis=int(x[-1])), _together),
    "Const": lambda op: constant(op.attr, op.budget),
    "ExpandDims": _fold(lambda _, x, axis: np.expand_dims(x, int(axis))),
    "Gather": _fold(lambda _, x, index: np.take(x, index, axis=0), _taken),
    "GatherV2": _fold(lambda _, x, index, axis: np.take(x, index, axis=int(axis)), _taken),
    "Pack": _fold(lambda op, *x: np.stack(x, axis=op.attr["axis"].i), _together),
    "Range": _fold(_range, _range_length),
    "Reshape": _fold(lambda _, x, shape: np.reshape(x, tuple(shape)), lambda x, shape: x.size),
    "ResourceGather": _fold(lambda _, x, index: np.take(x, index, axis=0), _taken),
    "Shape": _fold_shape,
    "Slice": _fold(_slice),
    "StridedSlice": _fold(_strided_slice),
    "Transpose": _fold(lambda _, x, permutation: np.transpose(x, permutation)),
}
