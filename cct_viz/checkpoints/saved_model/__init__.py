"""Compact transformers of the keras.io example, saved by tf-keras as a TensorFlow SavedModel; parsed, never executed.

- `signature`: the files and their checksums, read up to the output of the serving signature.
- `graph`: a TensorFlow graph as data, followed through function calls, with constants folded by numpy.
- `parts`: recognises each part of a compact transformer in the graph, or refuses it by name.
- `reader`: puts the parts together to a configuration and canonical weights.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from .reader import FORMAT, read
from .signature import FINGERPRINT_FILE, GRAPH_FILE, METADATA_FILE

__all__ = ["FORMAT", "files", "read", "recognises"]

_INDEX, _SHARD = "variables/variables.index", re.compile(r"variables/variables\.data-\d{5}-of-(\d{5})")


def recognises(names: Collection[str]) -> bool:
    return GRAPH_FILE in names


def files(names: Collection[str]) -> list[str]:
    """The graph, all shards of the variables with their index, and of the optional files those that are there."""
    shards = sorted(filter(_SHARD.fullmatch, names))
    totals = {int(shard.rpartition("-")[2]) for shard in shards}
    if totals != {len(shards)} or _INDEX not in names or GRAPH_FILE not in names:
        return []
    optional = [name for name in (METADATA_FILE, FINGERPRINT_FILE) if name in names]
    return [*optional, *shards, _INDEX, GRAPH_FILE]
