"""TensorFlow's files of variables: an index, and data with a checksum for each array."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .bundle_index import STRING, check_text, read_index
from .common import CheckpointError

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
LONGEST_NUMBER = 10  # bytes
Load = Callable[[str], np.ndarray]


@contextlib.contextmanager
def parsing(name: str) -> Iterator[None]:
    """Name the file that cannot be parsed. Each parser of TensorFlow raises errors of its own kinds."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{name} is missing, truncated or damaged; download it again") from error


def open_bundle(prefix: Path, what: str) -> tuple[Load, Any]:
    """A function that loads a variable by its key, and the graph of the objects that own the variables.

    TensorFlow compares the checksum of each array that is loaded.

    Args:
        prefix: the path of the index without ".index".
        what: how messages call the files.

    Raises:
        CheckpointError: a file is damaged, or names no objects.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    index = prefix.with_name(f"{prefix.name}.index")
    shards = sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    lengths = [shard.stat().st_size for shard in shards]
    with parsing(what):
        entries = read_index(index.read_bytes(), lengths, index.name, BundleEntryProto.FromString)
        if OBJECTS not in entries:
            raise CheckpointError(f"{index.name} names no objects: it was not saved by TensorFlow 2")
        objects = entries[OBJECTS]
        with shards[objects.shard].open("rb") as file:
            file.seek(objects.offset)
            check_text(file.read(LONGEST_NUMBER), objects)
        reader = tf.train.load_checkpoint(str(prefix))
        graph = TrackableObjectGraph.FromString(reader.get_tensor(OBJECTS))
    bytes_left = sum(lengths)

    def load(key: str) -> np.ndarray:
        nonlocal bytes_left
        with parsing(what):
            entry = entries[key]
            bytes_left -= entry.size
            if entry.kind == STRING or bytes_left < 0:  # each variable is loaded once
                raise ValueError("a text, or one variable many times")
            return np.asarray(reader.get_tensor(key))

    return load, graph
