"""The index of TensorFlow's files of variables, read as data and checked before TensorFlow sees it.

TensorFlow ends the whole process at a type that it does not know, and reserves what an index claims. The index is a
sorted table: blocks of entries, whose keys share their beginnings, and a block that lists them.

Reference: TensorFlow, tensor_bundle.proto and lib/io/table (the format of LevelDB's tables),
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/tensor_bundle/tensor_bundle.h
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .common import CheckpointError

FOOTER, MAGIC = 48, 0xDB4775248B80FB57
CHECKSUM = 4  # bytes
STRING = 7
# DataType in types.proto -> bytes of one number
SIZES = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 14: 2, 17: 2, 19: 2, 22: 4, 23: 8}
MOST_AXES = 8
FACTOR, SPARE = 4, 1 << 16  # of all keys together, written out


@dataclass(frozen=True)
class Entry:
    """Where an array lies: its type (a DataType), shape, data file, and place in it in bytes."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_index(content: bytes, lengths: Sequence[int], name: str, parse: Callable[[bytes], Any]) -> dict[str, Entry]:
    """Key -> entry of every array in an index.

    Args:
        content: of the index.
        lengths: of the files of data, in bytes.
        name: what messages call the index.
        parse: reads a BundleEntryProto.

    Raises:
        CheckpointError: it lists more than the files of data hold.
        ValueError, LookupError, struct.error, DecodeError: it is damaged, or no TensorFlow writes such a thing.
    """
    entries: dict[str, Entry] = {}
    for key, value in _table(content):
        if not key:  # the header
            continue
        proto = parse(value)
        if proto.slices or proto.shape.unknown_rank:
            raise ValueError("a variable in slices, or without a shape")
        shape = tuple(dim.size for dim in proto.shape.dim)
        entries[key.decode()] = Entry(proto.dtype, shape, proto.shard_id, proto.offset, proto.size)
    total, present = sum(entry.size for entry in entries.values()), sum(lengths)
    if total > present:  # also where many entries share one place
        raise CheckpointError(f"{name} lists {total} bytes, but the files of data hold {present}; download them again")
    for entry in entries.values():
        _check(entry, lengths)
    return entries


def check_text(start: bytes, entry: Entry) -> None:
    """Check that a single text, of which `start` is the beginning, is as long as its entry.

    Raises:
        ValueError, LookupError: it is not. TensorFlow would reserve what it claims.
    """
    length, at = _varint(start, 0)
    if entry.kind != STRING or entry.shape or at + CHECKSUM + length != entry.size:
        raise ValueError("no text of its size")


def _check(entry: Entry, lengths: Sequence[int]) -> None:
    if min((0, *entry.shape, entry.shard, entry.offset, entry.size)) < 0 or len(entry.shape) > MOST_AXES:
        raise ValueError("a size below 0, or too many axes")
    count = math.prod(entry.shape)
    fits = count <= entry.size if entry.kind == STRING else count * SIZES[entry.kind] == entry.size
    if not fits or entry.offset + entry.size > lengths[entry.shard]:
        raise ValueError("an array of another size than its place")


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a table, whose keys ascend."""
    footer = content[-FOOTER:]
    if len(footer) < FOOTER or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("no table")
    at = 0
    for _ in range(2):  # offset and size of the block of meta data, which TensorFlow leaves empty
        _, at = _varint(footer, at)
    keys_left = FACTOR * len(content) + SPARE  # a key may repeat the beginning of the one before it without end
    last = b""
    for _, handle in _block(content, *_handle(footer, at), keys_left):
        for key, value in _block(content, *_handle(handle, 0), keys_left):
            keys_left -= len(key)
            if keys_left < 0 or (last and key <= last):
                raise ValueError("keys longer than the file, or out of order")
            last = key
            yield key, value


def _handle(data: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(data, at)
    return offset, _varint(data, at)[0]


def _block(content: bytes, offset: int, size: int, keys_left: int) -> Iterator[tuple[bytes, bytes]]:
    block = content[offset : offset + size]
    if len(block) < size or content[offset + size] != 0:  # it may be compressed, but TensorFlow never does that
        raise ValueError("a block that is cut, or compressed")
    (count,) = struct.unpack_from("<I", block, size - 4)
    end = size - 4 - 4 * count
    if end < 0:
        raise ValueError("more restarts than the block has")
    restarts = {0} | set(struct.unpack_from(f"<{count}I", block, end))
    at, key = 0, b""
    while at < end:
        place = at
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise ValueError("an entry that is longer than its block")
        key = key[:shared] + block[at : at + own]
        keys_left -= len(key)
        if keys_left < 0:
            raise ValueError("keys longer than the file")
        if not shared:
            restarts.discard(place)  # where TensorFlow may begin to read
        at += own + length
        yield key, block[at - length : at]
    if restarts - {0}:
        raise ValueError("a restart inside an entry")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    number = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("no number")
