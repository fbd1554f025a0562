"""`analyse`: the tables of a data set, and `Analysis`, which reads them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.arguments import require_whole
from ..inference.classifier import Classifier
from .arrow import require_parquet
from .chunks import CHUNK
from .engines import ENGINES
from .measures import METHODS, ask, describe_columns
from .parts import (
    FORMAT,
    PATCHES,
    PICTURES,
    PROBLEMS,
    find_parts,
    open_folder,
    part_path,
    read_manifest,
    remove_leftovers,
)
from .sources import digest_listing, list_chunks
from .worker import Job


@dataclass(frozen=True)
class Analysis:
    """The tables of a data set on disk, as docs/dataset.md describes them.

    Attributes:
        folder: where they are.
        manifest: what was analysed and how; "columns" has the shape of each column and the names of its entries.
    """

    folder: Path
    manifest: dict[str, Any]

    def __repr__(self) -> str:
        good, problems = self._count(PICTURES), self._count(PROBLEMS)
        return f"<Analysis: {good:,} pictures and {problems:,} problems in {self.folder}>"

    def pictures(self, columns: Sequence[str] | None = None) -> Any:
        """The table of pictures, a `pyarrow.Table` in the order of the source, with all columns or those named."""
        return self._read(PICTURES, columns)

    def problems(self) -> Any:
        """The table of files that are no readable pictures, a `pyarrow.Table` of "image" and "problem"."""
        return self._read(PROBLEMS, ["image", "problem"])

    def patches(self) -> Iterator[tuple[int, Any]]:
        """Where each channel of the tokenizer is strongest in each chunk: its number in the source, and a
        `pyarrow.Table` with a row for each patch."""
        for number in range(self.manifest["chunks"]):
            yield number, require_parquet().read_table(part_path(self.folder, PATCHES, number))

    def array(self, name: str) -> np.ndarray:
        """(n, ...) float32: a column of numbers, in the shape that the manifest gives each picture.

        Raises:
            ValueError: no such column of numbers.
        """
        if self.manifest["columns"].get(name, {}).get("shape") is None:
            numbers = [key for key, column in self.manifest["columns"].items() if column["shape"] is not None]
            raise ValueError(f"{name!r} is no column of numbers; there are {', '.join(numbers)}")
        return self.numbers(self.pictures([name]), name)

    def numbers(self, table: Any, name: str) -> np.ndarray:
        """(n, ...) float32: as `array`, of the pictures of a `table`."""
        shape = self.manifest["columns"][name]["shape"]
        column = table.column(name).combine_chunks()
        return (column.flatten() if shape else column).to_numpy(zero_copy_only=False).reshape(-1, *shape)

    def parts(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """The table of pictures part by part, for data sets that do not fit into memory: the number of the chunk in
        the source, and a `pyarrow.Table` of its rows."""
        for number in range(self.manifest["chunks"]):
            path = part_path(self.folder, PICTURES, number)
            yield number, require_parquet().read_table(path, columns=list(columns))

    def _read(self, table: str, columns: Sequence[str] | None) -> Any:
        import pyarrow as pa

        parquet = require_parquet()
        names = None if columns is None else list(columns)
        tables = [parquet.read_table(path, columns=names) for path in self._paths(table)]
        if not tables:  # no part has problems
            return pa.table({name: pa.array([], pa.string()) for name in names or ()})
        return pa.concat_tables(tables)

    def _count(self, table: str) -> int:
        return sum(require_parquet().read_metadata(path).num_rows for path in self._paths(table))

    def _paths(self, table: str) -> list[Path]:
        paths = (part_path(self.folder, table, number) for number in range(self.manifest["chunks"]))
        return [path for path in paths if path.exists()]


def analyse(
    classifier: Classifier,
    source: str | Path,
    out: str | Path,
    *,
    engine: str = "threads",
    workers: int | None = None,
    methods: Sequence[str] = METHODS,
    faithfulness: bool = False,
    stretch: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Analyse every picture of a data set; write maps, scores and more to Parquet files in `out`.

    The same call goes on where an earlier one was stopped. It ends with the same rows, whatever the engine was and
    however often it was stopped; numbers of methods that need gradients are the same to 1e-6. Needs pyarrow.

    Args:
        source: a folder, a pattern, Parquet or tar files, or an address that fsspec reads; see `sources.list_chunks`.
        out: a folder, new or of the same analysis. With Ray on several machines, all must reach it and the source.
        engine: "threads" of this process, or "ray".
        workers: threads or actors of Ray; by default three threads, or as many actors as the cluster has processors.
        methods: the maps to record, names in METHODS; those that do not apply are in `manifest["not_applicable"]`.
        faithfulness: also measure how faithful each map is, which takes about sixty times as long.
        stretch: as in `Classifier.trace`.
        progress: called at the start and after each chunk with the number of pictures done, and of all that an
            earlier call left.

    Raises:
        ValueError: pyarrow or Ray is missing, nothing to read, no such engine or method, or `out` has another analysis.
        OSError: a file cannot be read or written for now; repeat the call to go on.
    """
    require_parquet()
    if engine not in ENGINES:
        raise ValueError(f"no engine is called {engine!r}; choose one of {', '.join(ENGINES)}")
    if workers is not None:
        require_whole("workers", workers, low=1)
    out, inside = Path(out).resolve(), Path(source)
    if inside.is_dir() and out.is_relative_to(inside.resolve()):
        raise ValueError(f"{out} is in {source}, where its tables would be pictures; choose another --out")
    question, reasons = ask(classifier, methods, faithfulness=faithfulness, stretch=stretch)
    chunks = list_chunks(str(source))
    manifest = {
        "format": FORMAT,
        "source": str(source) if "://" in str(source) else os.path.abspath(source),
        "model": classifier.source.name,
        "sha256": _digest(classifier),
        "config": json.loads(json.dumps(classifier.config.to_dict())),  # as it is read back: lists instead of tuples
        "pictures": sum(map(len, chunks)),
        "listing": digest_listing(chunks),
        "chunks": len(chunks),
        "pictures_a_chunk": CHUNK,
        "methods": list(question.methods),
        "not_applicable": reasons,
        "faithfulness": faithfulness,
        "stretch": stretch,
        "columns": describe_columns(classifier, question),
    }
    open_folder(out, manifest)
    done = find_parts(out)
    left = [(number, chunk) for number, chunk in enumerate(chunks) if number not in done]
    count, total = 0, sum(len(chunk) for _, chunk in left)
    if progress:
        progress(count, total)
    job = Job(classifier.config, dict(classifier.weights), question, out)
    for pictures in ENGINES[engine](job, classifier, left, workers) if left else ():
        count += pictures
        if progress:
            progress(count, total)
    remove_leftovers(out)
    return read_analysis(out)


def _digest(classifier: Classifier) -> str:
    """SHA-256, 64 hex digits, of all that decides what a model answers: its configuration and its weights."""
    digest = hashlib.sha256(json.dumps(classifier.config.to_dict()).encode())
    for name, array in sorted(classifier.weights.items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


def read_analysis(folder: str | Path) -> Analysis:
    """The tables that `analyse` wrote.

    Raises:
        ValueError: there are none, or they are not finished.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    missing = manifest["chunks"] - len(find_parts(folder))
    if missing:
        raise ValueError(f"{folder} is not finished: {missing} of {manifest['chunks']} parts are missing")
    return Analysis(folder, manifest)
