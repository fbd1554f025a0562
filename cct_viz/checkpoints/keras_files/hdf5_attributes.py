"""The lengths of texts in an HDF5 object's attributes, from the bytes of its header.

The library reserves as much memory as such a length says, up to 4 GB, before it looks for the text. So lengths are
read here first, and an attribute that is not found here is not read.

Reference: The HDF Group, HDF5 File Format Specification Version 3.0, sections IV.A.1 (headers) and IV.A.2.m
(attributes), https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]  # (position, count) -> bytes of the file, fewer at its end

ATTRIBUTE, CONTINUATION = 0x0C, 0x10
VARIABLE_LENGTH = 9  # the class of a datatype
REFERENCE = struct.Struct("<IQI")  # length of a text, and where it is
MAX_BLOCKS, MAX_BLOCK = 64, 1 << 20  # of a header; Keras's fit in one or two, of some thousand bytes


def text_lengths(read: Read, address: int) -> dict[str, int]:
    """Name of each attribute of variable-length texts -> the sum of their lengths, in bytes.

    Args:
        read: reads from the file.
        address: where the object's header begins.

    Raises:
        ValueError, struct.error: the header is damaged.
    """
    lengths = {}
    for body in _attributes(read, address):
        version, _, name_size, type_size, space_size = struct.unpack_from("<BBHHH", body)
        place = 9 if version == 3 else 8
        pad = (lambda n: -(-n // 8) * 8) if version == 1 else (lambda n: n)
        name = body[place : place + name_size].split(b"\0")[0].decode(errors="replace")
        type_at = place + pad(name_size)
        data = body[type_at + pad(type_size) + pad(space_size) :]
        if type_at < len(body) and body[type_at] & 0x0F == VARIABLE_LENGTH:
            whole = len(data) // REFERENCE.size * REFERENCE.size
            lengths[name] = sum(length for length, _, _ in REFERENCE.iter_unpack(data[:whole]))
    return lengths


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
