"""The files of a TensorFlow SavedModel, parsed and never executed: the graph, the variables and their checksums."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..common import CheckpointError
from .graph import Op, Scope, constant

GRAPH_FILE, METADATA_FILE, FINGERPRINT_FILE = "saved_model.pb", "keras_metadata.pb", "fingerprint.pb"
SIGNATURE = "serving_default"
DAMAGED_VARIABLES = "the files in variables/ are missing, truncated or damaged; fetch them again"
READ_ERRORS = (RuntimeError, ValueError, LookupError)  # what the checkpoint reader's C++ errors become, beside OpError


def open_signature(folder: Path) -> Op:
    """The output of the serving signature, from where the whole graph can be followed back to the image.

    Raises:
        CheckpointError: a file is missing or damaged, or the signature does not take one image and give one output.
    """
    graph = _read_graph(folder)
    _check_fingerprint(folder)
    variables = Variables(folder, graph.object_graph_def)
    if SIGNATURE not in graph.signature_def:
        raise CheckpointError(f"the SavedModel has no signature {SIGNATURE}; expected a saved Keras model")
    signature = graph.signature_def[SIGNATURE]
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise CheckpointError(
            f"the SavedModel has {len(signature.inputs)} inputs and {len(signature.outputs)} outputs; expected 1 and 1"
        )
    (given,), (output,) = signature.inputs.values(), signature.outputs.values()
    shape = tuple(dim.size for dim in given.tensor_shape.dim)
    if len(shape) != 4 or shape[3] != 3 or min(shape[1:]) < 1:
        raise CheckpointError(
            f"the SavedModel takes an input of shape {shape}; expected images (any, height, width, 3) of one fixed size"
        )
    nodes = {node.name: node for node in graph.graph_def.node}
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    call = nodes.get(output.name.partition(":")[0])
    name = call.attr["f"].func.name if call is not None else ""
    if name not in library or name not in graph.object_graph_def.concrete_functions:
        raise CheckpointError("the SavedModel was not made by TensorFlow 2: its signature calls no function")

    def bind(index: int) -> Op:
        captured = graph.object_graph_def.nodes[index]
        if captured.WhichOneof("kind") == "constant":
            name = captured.constant.operation
            return Op.leaf(name, "Captured", partial(constant, nodes[name].attr))
        return Op.leaf(captured.variable.name, "Variable", partial(variables.load, index))

    image = Op.image(given.name, (1, *shape[1:]))
    bound = list(graph.object_graph_def.concrete_functions[name].bound_inputs)
    if len(set(bound)) < len(bound):  # TensorFlow captures each variable once, so a second time is a flipped bit
        raise CheckpointError("the SavedModel is damaged: its signature captures one variable twice")
    body = Scope(library, library[name], [partial(_same, op) for op in (image, *map(bind, bound))])
    return body.result(0)


def _same(op: Op) -> Op:
    return op


def _read_graph(folder: Path) -> Any:
    """The MetaGraphDef that serves."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / GRAPH_FILE).read_bytes())
    except (OSError, DecodeError) as error:
        raise CheckpointError(f"{GRAPH_FILE} is missing, truncated or damaged; fetch it again") from error
    for graph in model.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return graph
    raise CheckpointError(f"{GRAPH_FILE} holds no graph for serving; it is damaged or no SavedModel")


def _check_fingerprint(folder: Path) -> None:
    """Compare graph and index with the hashes that newer versions of TensorFlow save beside them.

    The variables carry their own checksums, but constants live in the graph, and one flipped bit there is silent.
    """
    if not (folder / FINGERPRINT_FILE).is_file():
        return
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import fingerprint_pb2

    # No public function computes a fingerprint; this one only parses and hashes.
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    saved, now = fingerprint_pb2.FingerprintDef(), fingerprint_pb2.FingerprintDef()
    try:
        saved.ParseFromString((folder / FINGERPRINT_FILE).read_bytes())
        now.ParseFromString(fingerprinting.CreateFingerprintDef(str(folder)))
    except (DecodeError, fingerprinting.FingerprintException) as error:
        raise CheckpointError(f"{FINGERPRINT_FILE} or {GRAPH_FILE} is damaged; fetch them again") from error
    if saved.version.producer < 1:  # the first layout of the file, with hashes of something else
        return
    if (saved.saved_model_checksum, saved.checkpoint_hash) != (now.saved_model_checksum, now.checkpoint_hash):
        raise CheckpointError(
            f"{GRAPH_FILE} or variables.index does not match {FINGERPRINT_FILE}: one of them is damaged or of another "
            "save; fetch all of them again"
        )


class Variables:
    """The checkpoint in variables/, found through its own object graph; every array is checked by its CRC."""

    def __init__(self, folder: Path, objects: Any):
        import tensorflow as tf

        try:
            self.reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
            self._check_size(folder)
            self.keys = self._match(objects)
        except CheckpointError:
            raise
        except (*READ_ERRORS, tf.errors.OpError) as error:
            raise CheckpointError(DAMAGED_VARIABLES) from error

    def _check_size(self, folder: Path) -> None:
        """A forged shape in the index would fill the memory before its values are missed."""
        types = self.reader.get_variable_to_dtype_map()
        shapes = self.reader.get_variable_to_shape_map()
        promised = sum(math.prod(shape) * max(types[key].size, 1) for key, shape in shapes.items())
        present = sum(path.stat().st_size for path in (folder / "variables").glob("variables.data-*"))
        if promised > present:
            raise CheckpointError(
                f"variables.index promises {promised} bytes, but variables/ holds {present}; fetch the files again"
            )

    def _match(self, objects: Any) -> dict[int, str]:
        """Index in the saved object graph -> key in the checkpoint, by walking both from their roots by name."""
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        checkpoint = trackable_object_graph_pb2.TrackableObjectGraph()
        checkpoint.ParseFromString(self.reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        keys: dict[int, str] = {}
        partner, queue = {0: 0}, deque([0])
        while queue:
            index = queue.popleft()
            stored = checkpoint.nodes[partner[index]]
            keys.update((index, a.checkpoint_key) for a in stored.attributes if a.name == "VARIABLE_VALUE")
            children = {child.local_name: child.node_id for child in stored.children}
            for child in objects.nodes[index].children:
                if child.local_name in children and child.node_id not in partner:
                    partner[child.node_id] = children[child.local_name]
                    queue.append(child.node_id)
        return keys

    def load(self, index: int) -> np.ndarray:
        import tensorflow as tf

        if index not in self.keys:
            raise CheckpointError("the SavedModel is damaged: its graph uses a variable that variables/ does not hold")
        try:
            return self.reader.get_tensor(self.keys[index])
        except (*READ_ERRORS, tf.errors.OpError) as error:
            raise CheckpointError(DAMAGED_VARIABLES) from error


def metadata_literals(folder: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Every literal table of `shape` that keras_metadata.pb spells out, as float32; none without that file."""
    if not (folder / METADATA_FILE).is_file():
        return
    from google.protobuf.message import DecodeError

    metadata = _metadata_message()
    try:
        metadata.ParseFromString((folder / METADATA_FILE).read_bytes())
        documents = [json.loads(node.metadata) for node in metadata.nodes if node.metadata]
    except (DecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{METADATA_FILE} is truncated or damaged; fetch it again") from error
    pending: list[Any] = documents
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            if len(item) == shape[0] and all(isinstance(row, list) and len(row) == shape[1] for row in item):
                yield np.array(item, np.float32)
            else:
                pending.extend(item)


def _metadata_message() -> Any:
    """An empty message for keras_metadata.pb, of which only the JSON text of each node matters here."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="keras_metadata.proto", package="cct_viz", syntax="proto3")
    node = file.message_type.add(name="Node")
    node.field.add(name="metadata", number=5, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    nodes = file.message_type.add(name="Nodes").field
    nodes.add(name="nodes", number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=".cct_viz.Node")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cct_viz.Nodes"))()
