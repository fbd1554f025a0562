"""The files of a SavedModel, read up to the output of its serving signature, with every checksum compared."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..common import CheckpointError
from ..tensor_bundle import open_bundle, parsing
from .graph import Budget, Op, Scope, constant

GRAPH_FILE, METADATA_FILE, FINGERPRINT_FILE = "saved_model.pb", "keras_metadata.pb", "fingerprint.pb"
SIGNATURE = "serving_default"


def open_signature(folder: Path) -> Op:
    """The output of the serving signature, from where the whole graph can be followed back to the image.

    Raises:
        CheckpointError: a file is damaged, or the signature does not take one image and give one output.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    with parsing(GRAPH_FILE):
        model = saved_model_pb2.SavedModel.FromString((folder / GRAPH_FILE).read_bytes())
    graph = next((graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags), None)
    if graph is None:
        raise CheckpointError(f"{GRAPH_FILE} holds no graph for serving; it is damaged or not a SavedModel")
    if (folder / FINGERPRINT_FILE).is_file():
        _check_fingerprint(folder)
    load = _open_variables(folder, graph.object_graph_def)

    signature = graph.signature_def.get(SIGNATURE)
    if signature is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise CheckpointError(f"the SavedModel has no signature {SIGNATURE} with one input and one output")
    (image,), (output,) = signature.inputs.values(), signature.outputs.values()
    shape = tuple(dim.size for dim in image.tensor_shape.dim)
    if len(shape) != 4 or shape[3] not in (1, 3) or min(shape[1:]) < 1:
        raise CheckpointError(
            f"the SavedModel takes an input of shape {shape}; expected images (any, height, width, 3 or 1) of one size"
        )
    nodes = {node.name: node for node in graph.graph_def.node}
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    call = nodes.get(output.name.partition(":")[0])
    name = call.attr["f"].func.name if call is not None else ""
    if name not in library or name not in graph.object_graph_def.concrete_functions:
        raise CheckpointError("the SavedModel was not made by TensorFlow 2: its signature calls no function")

    captured = list(graph.object_graph_def.concrete_functions[name].bound_inputs)
    if len(set(captured)) < len(captured):  # TensorFlow captures each variable once: a second time is a flipped bit
        raise CheckpointError("the SavedModel is damaged: its signature captures one variable twice")
    budget = Budget(sum(path.stat().st_size for path in (folder / "variables").iterdir()))
    arguments = [Op(image.name, "Image", image_shape=(1, *shape[1:]))]
    for index in captured:
        node = graph.object_graph_def.nodes[index]
        if node.WhichOneof("kind") == "constant":
            operation = node.constant.operation
            arguments.append(Op(operation, "Captured", load=partial(constant, nodes[operation].attr, budget)))
        else:
            arguments.append(Op(node.variable.name, "Variable", load=partial(load, index)))
    return Scope(library, library[name], [partial(_same, op) for op in arguments], budget).result(0)


def _same(op: Op) -> Op:
    return op


def _check_fingerprint(folder: Path) -> None:
    """Compare graph and index with the hashes that newer versions of TensorFlow save beside them.

    The variables carry their own checksums, but constants are in the graph, where a flipped bit goes unnoticed.
    """
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    # No public function computes a fingerprint; this one only parses and hashes.
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    with parsing(f"{FINGERPRINT_FILE} or {GRAPH_FILE}"):
        saved = FingerprintDef.FromString((folder / FINGERPRINT_FILE).read_bytes())
        actual = FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(str(folder)))
    if saved.version.producer < 1:  # the first layout of the file, with hashes of something else
        return
    if (saved.saved_model_checksum, saved.checkpoint_hash) != (actual.saved_model_checksum, actual.checkpoint_hash):
        raise CheckpointError(
            f"{GRAPH_FILE} or variables.index does not match {FINGERPRINT_FILE}: one of them is damaged or from "
            "another save; download all of them again"
        )


def _open_variables(folder: Path, objects: Any) -> Callable[[int], np.ndarray]:
    """A function that loads the variable of a saved object by its index; TensorFlow checks the CRC of every array."""
    load, stored = open_bundle(folder / "variables" / "variables", "a file in variables/")
    with parsing("a file in variables/"):
        keys = _match_objects(objects.nodes, stored.nodes)

    def load_variable(index: int) -> np.ndarray:
        with parsing("a file in variables/"):
            return load(keys[index])

    return load_variable


def _match_objects(objects: Sequence[Any], stored: Sequence[Any]) -> dict[int, str]:
    """Index in the saved object graph -> key in the checkpoint, by walking both from their roots by name."""
    keys: dict[int, str] = {}
    partner, queue = {0: 0}, deque([0])
    while queue:
        index = queue.popleft()
        node = stored[partner[index]]
        keys.update((index, a.checkpoint_key) for a in node.attributes if a.name == "VARIABLE_VALUE")
        children = {child.local_name: child.node_id for child in node.children}
        for child in objects[index].children:
            if child.local_name in children and child.node_id not in partner:
                partner[child.node_id] = children[child.local_name]
                queue.append(child.node_id)
    return keys


def metadata_tables(folder: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Every table of `shape` that keras_metadata.pb holds as JSON text, as float32; nothing without that file."""
    if not (folder / METADATA_FILE).is_file():
        return
    with parsing(METADATA_FILE):
        nodes = [node.data for node in _fields((folder / METADATA_FILE).read_bytes()) if node.field_number == 1]
        pending: list[Any] = [json.loads(f.data) for node in nodes for f in _fields(node) if f.field_number == 5]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            if len(item) == shape[0] and all(isinstance(row, list) and len(row) == shape[1] for row in item):
                yield np.array(item, np.float32)
            else:
                pending.extend(item)


def _fields(message: bytes) -> Any:
    """The fields of a protobuf message, read without its schema, which only tf-keras has."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.unknown_fields import UnknownFieldSet

    return UnknownFieldSet(Empty.FromString(message))
