"""A TensorFlow graph as data: follow it from an operation to its inputs, through function calls, and fold constants.

Nothing here runs the graph. Constant folding is numpy on a short list of arithmetic and shape operations; whatever is
not on the list has no value, and the caller refuses what it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..common import CheckpointError

PASS_THROUGH = ("Identity", "StopGradient", "ReadVariableOp")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
CONDITIONALS = ("If", "StatelessIf")
MAX_STEPS = 10**6  # the example of two layers takes 2,000
MAX_ELEMENTS = 2**26  # 256 MB of float32: no array of a compact transformer is near it, a forged shape may be


class Op:
    """One operation of the graph, or a leaf: the image, a variable or a captured constant.

    Attributes:
        name: as in the file, for messages.
        kind: TensorFlow's name of the operation; "Image", "Variable" and "Captured" (a constant) are ours.
        attr: the operation's attributes (AttrValue messages).
        output: which output was asked for, "" for a leaf.
    """

    def __init__(self, name: str, kind: str, *, attr: Mapping[str, Any] | None = None, output: str = ""):
        self.name, self.kind, self.attr, self.output = name, kind, attr or {}, output
        self._inputs: Sequence[Callable[[], Op]] = ()
        self._load: Callable[[], np.ndarray] | None = None
        self.image_shape: tuple[int, ...] = ()

    @classmethod
    def image(cls, name: str, shape: tuple[int, ...]) -> Op:
        """The input of the graph, `shape` (1, H, W, C): one image stands for the batch."""
        op = cls(name, "Image")
        op.image_shape = shape
        return op

    @classmethod
    def leaf(cls, name: str, kind: str, load: Callable[[], np.ndarray]) -> Op:
        """A value from outside the graph, loaded when asked for."""
        op = cls(name, kind)
        op._load = load
        return op

    def __len__(self) -> int:
        return len(self._inputs)

    def input(self, index: int) -> Op:
        if index >= len(self):
            raise CheckpointError(f"the SavedModel is damaged: {self.name} ({self.kind}) has {len(self)} inputs")
        return self._inputs[index]()

    @cached_property
    def value(self) -> np.ndarray | None:
        """What the operation computes if that depends on neither the image's pixels nor an unknown operation."""
        if self._load is not None:
            return self._load()
        fold = FOLDERS.get(self.kind)
        with np.errstate(all="ignore"):
            return fold(self) if fold else None

    def operands(self) -> list[np.ndarray] | None:
        """The values of all inputs, or None where one has none."""
        values = [self.input(i).value for i in range(len(self))]
        return None if any(value is None for value in values) else values


class Scope:
    """The body of one function, with its arguments bound."""

    def __init__(self, library: Mapping[str, Any], function: Any, arguments: Sequence[Callable[[], Op]]):
        names = [argument.name for argument in function.signature.input_arg]
        if len(names) != len(arguments):
            raise CheckpointError(
                f"the SavedModel is damaged: {function.signature.name} takes {len(names)} arguments, "
                f"but is given {len(arguments)}"
            )
        self.library, self.function = library, function
        self.arguments = dict(zip(names, arguments, strict=True))
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
            raise CheckpointError("the SavedModel is damaged: its graph runs in a circle")
        if reference not in self.resolved:
            self.resolved[reference] = self._resolve(reference)
        return self.resolved[reference]

    def _resolve(self, reference: str) -> Op:
        name, _, output = reference.partition(":")
        if name in self.arguments:
            return self.arguments[name]()
        if name not in self.nodes:
            raise CheckpointError(f"the SavedModel is damaged: its graph has no operation {name!r}")
        node = self.nodes[name]
        inputs = [self._later(source) for source in node.input if not source.startswith("^")]
        if node.op in PASS_THROUGH and inputs:
            return inputs[0]()
        if node.op in CALLS:
            return self._enter(node, node.attr["f"].func.name, inputs, output)
        if node.op in CONDITIONALS and inputs and (condition := inputs[0]().value) is not None:
            branch = node.attr["then_branch" if condition.all() else "else_branch"].func.name
            return self._enter(node, branch, inputs[1:], output)
        op = Op(name, node.op, attr=node.attr, output=output)
        op._inputs = inputs
        return op

    def _later(self, reference: str) -> Callable[[], Op]:
        return lambda: self.resolve(reference)

    def _enter(self, node: Any, function: str, arguments: Sequence[Callable[[], Op]], output: str) -> Op:
        if node.name not in self.bodies:
            if function not in self.library:
                raise CheckpointError(f"the SavedModel is damaged: its graph has no function {function!r}")
            self.bodies[node.name] = Scope(self.library, self.library[function], arguments)
        return self.bodies[node.name].result(int(output.rpartition(":")[2]))


def constant(node_attr: Mapping[str, Any]) -> np.ndarray:
    """The array of a Const node."""
    import tensorflow as tf

    proto = node_attr["value"].tensor
    if np.prod([float(dim.size) for dim in proto.tensor_shape.dim]) > MAX_ELEMENTS:
        raise CheckpointError("the SavedModel is damaged: a constant in its graph is larger than any model")
    return tf.make_ndarray(proto)


def preprocessing_input(op: Op) -> Op | None:
    """The image that `op` makes an image of the same size of, or None if `op` does anything else."""
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
            kept = all(size is not None for size in sizes) and not sizes[0].any()
            kept = kept and all(size in (-1, full) for size, full in zip(sizes[1], shape, strict=True))
        return op.input(0) if kept else None
    return None


def image_shape(op: Op | None) -> tuple[int, ...] | None:
    """(1, H, W, C) if `op` is the graph's image or made of it by steps that keep its size."""
    while op is not None and op.kind != "Image":
        op = preprocessing_input(op)
    return op.image_shape if op is not None else None


def _fold_shape(op: Op) -> np.ndarray | None:
    if (value := op.input(0).value) is not None:
        return np.array(value.shape, np.int32)
    shape = image_shape(op.input(0))
    return None if shape is None else np.array(shape, np.int32)


def _fold(function: Callable[..., Any]) -> Callable[[Op], np.ndarray | None]:
    """A folder that applies `function(op, *values of the inputs)` once they are all known."""

    def fold(op: Op) -> np.ndarray | None:
        values = op.operands()
        return None if values is None else np.asarray(function(op, *values))

    return fold


def _strided_slice(op: Op, x: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
    if op.attr["ellipsis_mask"].i or op.attr["new_axis_mask"].i:
        raise CheckpointError(f"the SavedModel slices {op.name} in a way that this reader does not know")

    def bit(mask: str, axis: int) -> bool:
        return bool(op.attr[mask].i >> axis & 1)

    index: list[int | slice] = []
    for axis, (first, last, stride) in enumerate(zip(begin.tolist(), end.tolist(), step.tolist(), strict=True)):
        if bit("shrink_axis_mask", axis):
            index.append(first)
        else:
            index.append(
                slice(None if bit("begin_mask", axis) else first, None if bit("end_mask", axis) else last, stride)
            )
    return x[tuple(index)]


def _range(_: Op, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    if abs(float(limit) - float(start)) > MAX_ELEMENTS * abs(float(delta)):
        raise CheckpointError("the SavedModel is damaged: a range in its graph is longer than any model")
    return np.arange(start, limit, delta, dtype=start.dtype)


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
