"""What is finished: one Parquet file a chunk, each written under another name and then renamed, and a manifest.

A part of pictures/ is there whole or not at all, so it says that its chunk is done. A chunk that is done twice, as
after a worker was lost, replaces its part by an equal one: nothing is lost and nothing is there twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..architecture.config import read_json
from ..architecture.files import replace_file
from ..methods.strongest import Strongest, to_rows
from .arrow import require_parquet

MANIFEST, PICTURES, PROBLEMS, PATCHES = "manifest.json", "pictures", "problems", "patches"
TABLES = (PICTURES, PROBLEMS, PATCHES)
FORMAT = 2  # of the tables; another number where a column means something else
LONGEST_MANIFEST = 1 << 24  # bytes
# What entries of the manifest are about, in words; the others are options.
ABOUT = {
    "sha256": "weights",
    "config": "weights",
    "listing": "pictures",
    "pictures": "pictures",
    "chunks": "pictures",
    "columns": "columns",
}
TEXTS = ("image", "sha256", "note", "label")  # the first columns of the table of pictures
_PART = re.compile(r"part-(\d{6,})\.parquet")


def open_folder(out: Path, manifest: Mapping[str, Any]) -> None:
    """Make the folder of an analysis, or go on with it if its manifest is the same.

    Raises:
        ValueError: the folder holds an analysis of other pictures, of another model or with other options.
        OSError: the folder cannot be written.
    """
    if (out / MANIFEST).exists():
        other = read_manifest(out)
        names = {**manifest, **other}.keys() - {"source", "model"}  # the same pictures and weights may move
        changed = {ABOUT.get(name, "options") for name in names if manifest.get(name) != other.get(name)}
        if changed:
            raise ValueError(f"{out} has an analysis with other {' and '.join(sorted(changed))}; choose another --out")
    else:
        if (out / PICTURES).exists() and find_parts(out):
            raise ValueError(f"{out} has parts of an analysis, but no {MANIFEST}; choose another --out")
        for name in TABLES:
            (out / name).mkdir(parents=True, exist_ok=True)
        text = json.dumps(manifest, indent=1) + "\n"
        replace_file(out / MANIFEST, lambda new: new.write_text(text, encoding="utf-8"))


def read_manifest(out: Path) -> dict[str, Any]:
    """The manifest of an analysis.

    Raises:
        ValueError: there is none, it is damaged, or another version of this program wrote it.
    """
    try:
        manifest = read_json(out / MANIFEST, most=LONGEST_MANIFEST)
    except (OSError, ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise ValueError(f"{out} holds no analysis: {MANIFEST} is missing or damaged")
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{out} holds an analysis of another version of this program; analyse the pictures again")
    return manifest


def find_parts(out: Path) -> set[int]:
    """The numbers of the chunks that are done."""
    matches = (_PART.fullmatch(path.name) for path in (out / PICTURES).iterdir())
    return {int(match[1]) for match in matches if match}


def part_path(out: Path, table: str, number: int) -> Path:
    """Where the part of a chunk is, in one of the TABLES."""
    return out / table / f"part-{number:06d}.parquet"


def has_part(out: Path, number: int) -> bool:
    """Whether a chunk is done."""
    return part_path(out, PICTURES, number).exists()


def remove_leftovers(out: Path) -> None:
    """Remove what workers that were killed have left half written."""
    for table in TABLES:
        for path in (out / table).glob(".*.parquet"):
            path.unlink(missing_ok=True)


def write_part(
    out: Path,
    number: int,
    rows: Sequence[Mapping[str, Any]],
    problems: Sequence[Mapping[str, str]],
    columns: Mapping[str, Mapping[str, Any]],
    strongest: Sequence[Strongest],
) -> None:
    """Write what came of a chunk; last its part of PICTURES, which says that the chunk is done.

    Args:
        rows: of each picture the TEXTS and `columns`, as `measures.describe_columns` has them.
        problems: "image" and "problem" of each that is damaged.
        strongest: of each conv stage the strongest patches of the chunk; their pictures are numbers of `rows`.

    Raises:
        OSError: a file cannot be written.
    """
    import pyarrow as pa

    if problems:
        kinds = pa.schema([("image", pa.string()), ("problem", pa.string())])
        table = pa.Table.from_pylist([{k: _printable(v) for k, v in row.items()} for row in problems], kinds)
        _write(table, part_path(out, PROBLEMS, number))
    else:  # an earlier run that was stopped here may have had some
        part_path(out, PROBLEMS, number).unlink(missing_ok=True)
    _write(_table_of_patches(strongest, [row["image"] for row in rows]), part_path(out, PATCHES, number))
    arrays: dict[str, Any] = {name: _texts([row[name] for row in rows]) for name in TEXTS}
    for name, column in columns.items():
        values = [row[name] for row in rows]
        arrays[name] = _texts(values) if column["shape"] is None else _numbers(values, column["shape"])
    _write(pa.table(arrays), part_path(out, PICTURES, number))


def _table_of_patches(strongest: Sequence[Strongest], images: Sequence[str]) -> Any:
    """The rows of `strongest.to_rows`, with the name of the picture in place of its number."""
    import pyarrow as pa

    rows = to_rows(strongest)
    numbers = rows.pop("picture")
    return pa.table({**rows, "image": _texts([images[number] for number in numbers])})


def _write(table: Any, path: Path) -> None:
    parquet = require_parquet()
    replace_file(path, lambda new: parquet.write_table(table, new, compression="zstd"))


def _texts(values: Sequence[str | None]) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else _printable(value) for value in values], pa.string())


def _numbers(values: Sequence[Any], shape: Sequence[int]) -> Any:
    """A column of numbers, or of lists of as many numbers as arrays of `shape` have; float32."""
    import pyarrow as pa

    flat = pa.array(np.asarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape))) if shape else flat


def _printable(text: str) -> str:
    """Text without bytes that are no text, as names of files may have."""
    return text.encode("utf-8", "backslashreplace").decode()
