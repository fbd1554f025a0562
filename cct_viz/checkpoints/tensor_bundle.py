"""TensorFlow's files of variables: an index, and data with a checksum for each array."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .common import CheckpointError

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


@contextlib.contextmanager
def parsing(name: str) -> Iterator[None]:
    """Name the file that cannot be parsed. Each parser of TensorFlow raises errors of its own kinds."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{name} is missing, truncated or damaged; download it again") from error


def open_bundle(prefix: Path, what: str) -> tuple[Any, Any]:
    """TensorFlow's reader of the variables at `prefix`, and the graph of the objects that own them.

    Args:
        prefix: the path of the index without ".index".
        what: how messages call the files.

    Raises:
        CheckpointError: a file is damaged, or names no objects.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    with parsing(what):
        reader = tf.train.load_checkpoint(str(prefix))
        types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        expected = sum(math.prod(shape) * max(types[key].size, 1) for key, shape in shapes.items())
        present = sum(path.stat().st_size for path in prefix.parent.glob(f"{prefix.name}.data-*"))
        if expected > present:  # a forged shape would fill the memory before its missing values are noticed
            raise CheckpointError(
                f"{prefix.name}.index lists {expected} bytes, but the files of data hold {present}; download them again"
            )
        if OBJECTS not in shapes:
            raise CheckpointError(f"{prefix.name}.index names no objects: it was not saved by TensorFlow 2")
        return reader, TrackableObjectGraph.FromString(reader.get_tensor(OBJECTS))
