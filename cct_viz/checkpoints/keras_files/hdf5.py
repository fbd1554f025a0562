"""An HDF5 file as a tree of plain arrays and a few texts; whatever else the format can hold is refused.

HDF5 can point outside of the file (external links, external storage, virtual datasets), declare arrays of any size
that are not stored, and store objects in cycles. A file of weights needs none of that. Everything is checked against
the size of the file before an array is read, so that memory stays in proportion to it.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..common import CheckpointError
from .hdf5_attributes import read_texts

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS, MAX_DEPTH = 50_000, 64  # the largest preset, saved with its optimizer, has 2,000 objects in 8 levels
MAX_TEXTS = 100_000  # a short one takes fifty times as much memory as in the file
MIN_CHUNKS = 1 << 20  # bytes
CHECKSUM = 4  # bytes, of a piece of an array
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # filters, by their numbers in HDF5
TEXTS = ("name", "keras_version", "backend", "layer_names", "weight_names", "model_config", "dtype")
SKIPPED = ("optimizer", "optimizer_weights", "_optimizer", "metrics", "_metrics", "compile_metrics", "_compile_metrics")


@dataclass
class Group:
    """One group of the file.

    Attributes:
        texts: attribute name -> text, or list of texts; of the names in TEXTS alone.
        groups: name -> group inside it.
        arrays: name -> array; floating-point arrays as float32, others as they are.
    """

    texts: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def find(self, path: str) -> Group | None:
        """The group at a path of names with "/" between them, or None."""
        group: Group | None = self
        for name in filter(None, path.split("/")):
            group = group.groups.get(name) if group else None
        return group

    def text(self, name: str) -> str:
        """The attribute `name`, "" if it is missing or a list."""
        value = self.texts.get(name, "")
        return value if isinstance(value, str) else ""

    def texts_of(self, name: str) -> list[str]:
        """The list `name`, which Keras splits into name0, name1 .. where it is long."""
        keys = [
            name,
            *sorted((k for k in self.texts if k.startswith(name) and k != name), key=lambda k: int(k[len(name) :])),
        ]
        return [text for key in keys if isinstance(self.texts.get(key), list) for text in self.texts[key]]


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 files do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_tree(source: Path | bytes, name: str) -> Group:
    """Everything in an HDF5 file except what belongs to an optimizer or a metric.

    Args:
        source: the file, or its content.
        name: how messages call it.

    Raises:
        CheckpointError: the file is damaged, or holds what a file of weights does not need.
    """
    import h5py

    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    damaged = f"{name} is truncated or damaged; download it again, or save it again"
    try:
        with contextlib.ExitStack() as stack:
            content = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(source.open("rb"))
            raw = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(source.open("rb"))
            file = stack.enter_context(h5py.File(content, "r"))
            return _Walk(name, size, raw).read(file)
    except CheckpointError:
        raise
    # The library raises errors of many kinds, by which byte is wrong.
    except (
        struct.error,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        zlib.error,
    ) as e:
        raise CheckpointError(damaged) from e


class _Walk:
    """One pass over a file, which counts objects and bytes."""

    def __init__(self, name: str, size: int, raw: BinaryIO):
        self.name, self.size, self.objects, self.seen = name, size, 0, set[int]()
        self.raw = raw
        self.bytes_left = 2 * size  # an array stored as float16 doubles in memory
        self.chunks_left = 4 * size + MIN_CHUNKS  # those at an edge reach beyond the array
        self.texts_left = MAX_TEXTS

    def refuse(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.name} {what}; a file of weights needs none of that, so it was not read")

    def read(self, group: Any, depth: int = 0) -> Group:
        import h5py

        result = Group(texts=self._texts(group))
        if depth > MAX_DEPTH:
            raise self.refuse(f"has groups inside groups, more than {MAX_DEPTH} deep")
        for name in group:
            if depth == 0 and name in SKIPPED:
                continue
            self.objects += 1
            if self.objects > MAX_OBJECTS:
                raise self.refuse(f"holds more than {MAX_OBJECTS:,} objects")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
                raise self.refuse(f"holds {kind} link")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in self.seen:
                raise self.refuse("holds one object under two names")
            self.seen.add(address)
            if isinstance(item, h5py.Group):
                result.groups[name] = self.read(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                result.arrays[name] = self._array(item, item.name.lstrip("/"))
            else:
                raise self.refuse(f"holds a type of its own ({name})")
        return result

    def _read_raw(self, position: int, count: int) -> bytes:
        self.raw.seek(position)
        return self.raw.read(count)

    def _texts(self, group: Any) -> dict[str, Any]:
        import h5py

        texts: dict[str, Any] = {}
        variable: dict[str, list[str]] | None = None
        for key in group.attrs:
            if not any(key == name or (key.startswith(name) and key[len(name) :].isdigit()) for name in TEXTS):
                continue
            attribute = group.attrs.get_id(key)
            kind, count = attribute.get_type(), math.prod(attribute.shape)
            self.texts_left -= count
            if self.texts_left < 0:
                raise self.refuse(f"holds more texts than a model has names, in the attribute {key}")
            if count == 0:  # an empty list, of any type
                texts[key] = []
            elif kind.get_class() == h5py.h5t.STRING and kind.is_variable_str():
                if variable is None:
                    variable = read_texts(self._read_raw, h5py.h5o.get_info(group.id).addr, self.size)
                if key not in variable:  # the newest layout of HDF5, which Keras does not ask for
                    raise self.refuse("keeps its texts apart from its objects")
                texts[key] = variable[key] if attribute.shape else variable[key][0]
            elif kind.get_class() == h5py.h5t.STRING and count * kind.get_size() <= self.bytes_left:
                self.bytes_left -= count * kind.get_size()
                texts[key] = _decode(group.attrs[key])
            else:
                raise self.refuse(f"has an attribute {key} that is no text")
        return texts

    def _array(self, dataset: Any, name: str) -> np.ndarray:
        plist = dataset.id.get_create_plist()
        if dataset.is_virtual:
            raise self.refuse("holds a virtual dataset, which reads other files")
        if plist.get_external_count():
            raise self.refuse("keeps arrays in other files (external storage)")
        kind = dataset.dtype
        is_bfloat16 = kind.kind == "V" and kind.itemsize == 2 and not kind.names
        if kind.kind not in "fiub" and not is_bfloat16:
            raise self.refuse(f"holds {name}, which is no array of numbers")
        if kind.kind == "f" and kind.itemsize not in (2, 4, 8):
            raise self.refuse(f"holds {name}, numbers of {kind.itemsize} bytes")
        needed = math.prod(dataset.shape) * max(kind.itemsize, 4)
        filtered = plist.get_nfilters() > 0
        if needed > self.bytes_left or (not filtered and dataset.id.get_storage_size() < dataset.size * kind.itemsize):
            raise CheckpointError(
                f"{self.name} is truncated or damaged: it says that {name} has the shape {dataset.shape}, which is "
                "more than the file holds"
            )
        self.bytes_left -= needed
        self._check_chunks(dataset, [plist.get_filter(i)[0] for i in range(plist.get_nfilters())], name)
        array = dataset[()]
        if is_bfloat16:
            return _widen(np.asarray(array).view(np.uint16))
        return np.asarray(array, np.float32) if kind.kind == "f" else np.asarray(array)

    def _check_chunks(self, dataset: Any, filters: list[int], name: str) -> None:
        """Refuse pieces of an array that the library would make room for, though the array needs less."""
        if dataset.chunks is None:
            return
        if len(set(filters)) < len(filters) or not set(filters) <= {DEFLATE, SHUFFLE, FLETCHER32}:
            raise self.refuse(f"compresses {name} in another way than gzip")
        full = math.prod(dataset.chunks) * dataset.dtype.itemsize

        def check(chunk: Any) -> None:
            self.chunks_left -= full
            if self.chunks_left < 0:
                raise self.refuse(f"cuts {name} into pieces that are larger than the array")
            if DEFLATE in filters and not chunk.filter_mask & (1 << filters.index(DEFLATE)):  # a set bit skips one
                packed = self._read_raw(chunk.byte_offset, chunk.size)
                if len(zlib.decompressobj().decompress(packed, full + CHECKSUM + 1)) > full + CHECKSUM:
                    raise self.refuse(f"holds pieces of {name} that unpack to more than their size")

        dataset.id.chunk_iter(check)


def _widen(bits: np.ndarray) -> np.ndarray:
    """float32 numbers from the bits of bfloat16, which are their upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _decode(value: Any) -> Any:
    """Text, or a list of texts, of an attribute of fixed length."""
    if isinstance(value, bytes):
        return value.decode()
    return [item.decode() for item in np.asarray(value).ravel().tolist()]


def iterate(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Group]]:
    """Every group with its path, a group before those inside it."""
    yield path, group
    for name, inner in group.groups.items():
        yield from iterate(inner, (*path, name))
