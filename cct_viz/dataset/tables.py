"""Pictures in the rows of Parquet files, as the Hugging Face library `datasets` writes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from .arrow import is_damage, require_parquet
from .chunks import CHUNK, Broken, Chunk, Item

SUFFIXES = (".parquet",)
TOGETHER = 16  # rows in memory at a time


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop` (exclusive) of one Parquet file. `name` is that of the file in the data set.

    Attributes:
        images, labels: columns; there may be none of labels.
        classes: names of the classes that numbers in `labels` stand for; empty if the file has none.
        size: of the file in bytes.
    """

    fs: Any
    path: str
    name: str
    images: str
    labels: str | None
    classes: tuple[str, ...]
    start: int
    stop: int
    size: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, names: Collection[str] | None = None) -> Iterator[Item]:
        for row, image, label in self._cells():
            item = self._item(row, image, label)
            if names is None or item.name in names:
                yield item

    def listing(self) -> Iterator[str]:
        yield f"{self.name}\t{self.size}\t{self.images}\t{self.labels}\t{self.start}\t{self.stop}"

    def _cells(self) -> Iterator[tuple[int, Any, Any]]:
        """(row, image, label) of each row; the image of one that cannot be read is the error.

        The row groups around are read in small batches, so that memory stays small.
        """
        with self.fs.open(self.path, "rb") as handle:
            try:
                file = require_parquet().ParquetFile(handle, buffer_size=1 << 20, pre_buffer=False)
            except (OSError, ValueError) as error:
                yield from self._damaged(error, self.start, self.stop)
                return
            first = 0  # row of the file
            for group in range(file.num_row_groups):
                after = first + file.metadata.row_group(group).num_rows
                row, stop = max(first, self.start), min(after, self.stop)
                try:
                    for cells in self._cells_of(file, group, row - first, stop - first):
                        yield row, *cells
                        row += 1
                except (OSError, ValueError) as error:
                    yield from self._damaged(error, row, stop)
                first = after

    def _cells_of(self, file: Any, group: int, start: int, stop: int) -> Iterator[tuple[Any, Any]]:
        """(image, label) of rows `start` to `stop` of a row group."""
        columns = [self.images, *([self.labels] if self.labels else [])]
        at = 0
        if start >= stop:
            return
        for batch in file.iter_batches(TOGETHER, row_groups=[group], columns=columns, use_threads=False):
            low, high = max(start - at, 0), min(stop - at, len(batch))
            if low < high:
                part = batch.slice(low, high - low)
                images = part.column(self.images).to_pylist()
                labels = part.column(self.labels).to_pylist() if self.labels else [None] * len(images)
                yield from zip(images, labels, strict=True)
            at += len(batch)
            if at >= stop:
                return

    def _damaged(self, error: Exception, start: int, stop: int) -> Iterator[tuple[int, Any, Any]]:
        if not is_damage(error):
            raise error
        for row in range(start, stop):
            yield row, error, None

    def _item(self, row: int, image: Any, label: Any) -> Item:
        name = f"{self.name}#{row}"
        if isinstance(image, Exception):
            return Item(name, problem=f"This row of the file cannot be read ({str(image).splitlines()[0][:200]}).")
        data = image.get("bytes") if isinstance(image, dict) else image
        if isinstance(label, int) and self.classes:
            label = self.classes[label] if 0 <= label < len(self.classes) else None
        if not isinstance(data, bytes):
            return Item(name, problem="Its row has no bytes of a picture.")
        return Item(name, data, label if isinstance(label, (str, int)) else None)


def list_table(fs: Any, path: str, name: str) -> Iterator[Chunk]:
    """The chunks of a Parquet file. Reads its footer only."""
    parquet = require_parquet()
    try:
        with fs.open(path, "rb") as handle:
            file = parquet.ParquetFile(handle)
            schema, count = file.schema_arrow, file.metadata.num_rows
            size = handle.seek(0, 2)
    except (OSError, ValueError) as error:
        if not is_damage(error):
            raise
        yield Broken(name, "It is no Parquet file, or damaged.")
        return
    features = _features(schema)
    images = _find_images(schema, features)
    if images is None:
        yield Broken(name, f"It has no column of pictures (bytes): {', '.join(schema.names)[:200]}.")
        return
    labels, classes = _find_labels(schema, features)
    for start in range(0, count, CHUNK):
        yield Rows(fs, path, name, images, labels, classes, start, min(start + CHUNK, count), size)


def _features(schema: Any) -> dict[str, Any]:
    """What `datasets` says of the columns; empty in other files."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {k: v for k, v in features.items() if isinstance(v, dict)} if isinstance(features, dict) else {}


def _find_images(schema: Any, features: dict[str, Any]) -> str | None:
    """The column of type Image in `features`, else the first with bytes, or with records of bytes."""
    import pyarrow as pa

    def is_binary(kind: Any) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    named = [name for name, feature in features.items() if feature.get("_type") == "Image" and name in schema.names]
    for field in schema:
        kind = field.type
        record = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if is_binary(kind) or (record and is_binary(kind.field("bytes").type)):
            named.append(field.name)
    return named[0] if named else None


def _find_labels(schema: Any, features: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The first column of classes with their names, else the column "label"."""
    for name, feature in features.items():
        if feature.get("_type") == "ClassLabel" and name in schema.names:
            return name, tuple(map(str, feature.get("names") or ()))
    return ("label" if "label" in schema.names else None), ()
