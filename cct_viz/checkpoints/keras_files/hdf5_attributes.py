"""The variable-length texts in an HDF5 object's attributes, from the bytes of the file.

The library reserves as much memory as a text says it is long, up to 4 GB, before it looks for the text, and in a
damaged heap of texts it searches without end. So texts are read here, within the size of the file.

Reference: The HDF Group, HDF5 File Format Specification Version 3.0, sections III.E (global heap), IV.A.1 (headers) and
IV.A.2.m (attributes), https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]  # (position, count) -> bytes of the file, fewer at its end

ATTRIBUTE, CONTINUATION = 0x0C, 0x10
VARIABLE_LENGTH = 9  # the class of a datatype
REFERENCE = struct.Struct("<IQI")  # length of a text, the heap that it is in, and its number there
HEAP_OBJECT = struct.Struct("<HHIQ")  # number, references, nothing, size
MAX_BLOCKS, MAX_BLOCK = 64, 1 << 20  # of a header; Keras's fit in one or two, of some thousand bytes


def read_texts(read: Read, address: int, size: int) -> dict[str, list[str]]:
    """Name of each attribute of variable-length texts -> its texts.

    Args:
        read: reads from the file.
        address: where the object's header begins.
        size: of the file, in bytes; all texts together are not longer.

    Raises:
        ValueError, struct.error: header, heap or text is damaged.
    """
    texts: dict[str, list[str]] = {}
    heaps: dict[int, dict[int, bytes]] = {}
    for body in _attributes(read, address):
        version, _, name_size, type_size, space_size = struct.unpack_from("<BBHHH", body)
        place = 9 if version == 3 else 8
        pad = (lambda n: -(-n // 8) * 8) if version == 1 else (lambda n: n)
        name = body[place : place + name_size].split(b"\0")[0].decode()
        type_at = place + pad(name_size)
        data = body[type_at + pad(type_size) + pad(space_size) :]
        if type_at >= len(body) or body[type_at] & 0x0F != VARIABLE_LENGTH:
            continue
        texts[name] = []
        for length, heap, number in REFERENCE.iter_unpack(data[: len(data) // REFERENCE.size * REFERENCE.size]):
            if heap not in heaps:
                heaps[heap] = _read_heap(read, heap, size)
            text = heaps[heap][number][:length] if length else b""
            size -= length
            if len(text) < length or size < 0:
                raise ValueError(f"the text {name} is longer than the file")
            texts[name].append(text.decode())
    return texts


def _read_heap(read: Read, address: int, limit: int) -> dict[int, bytes]:
    """Number -> content of each object in a heap."""
    head = read(address, 16)
    size = int.from_bytes(head[8:], "little")
    if head[:4] != b"GCOL" or size > limit:
        raise ValueError("no heap of texts")
    content = read(address, size)
    objects, at = {}, 16
    while at + HEAP_OBJECT.size <= len(content):
        number, _, _, length = HEAP_OBJECT.unpack_from(content, at)
        if number == 0:  # the free rest
            break
        at += HEAP_OBJECT.size
        objects[number] = content[at : at + length]
        at += -(-length // 8) * 8
    return objects


def _attributes(read: Read, address: int) -> Iterator[bytes]:
    """The attribute messages of an object's header, of its first or its second version."""
    start = read(address, 32)
    is_second = start[:4] == b"OHDR"
    if is_second:
        flags = start[5]
        size_at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(read(address + size_at, width), "little")
        blocks = [(address + size_at + width, size)]
        head, extra = 4, 2 if flags & 4 else 0
    else:
        if start[:1] != b"\x01":
            raise ValueError("no header")
        blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
        head, extra = 8, 0
    for count, (position, size) in enumerate(blocks):
        if count >= MAX_BLOCKS or size > MAX_BLOCK:
            raise ValueError("too long a header")
        block = read(position, size)
        at = 0
        while at + head + extra <= len(block):
            kind, length = struct.unpack_from("<BH" if is_second else "<HH", block, at)
            body = block[at + head + extra : at + head + extra + length]
            if kind == ATTRIBUTE:
                yield body
            elif kind == CONTINUATION and len(body) >= 16:
                where, size = struct.unpack_from("<QQ", body)
                blocks.append((where + 4, size - 8) if is_second else (where, size))  # without signature and checksum
            at += head + extra + length
