"""A table with one row a picture, written as rows come, so that an interrupted run continues."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..dataset.arrow import require_parquet

KINDS = (".csv", ".jsonl", ".parquet")


class Table:
    """Rows by the picture's name, in a .csv, .jsonl (JSON lines) or .parquet file.

    A Parquet file cannot grow: its rows are in FILE.jsonl until `close`, and stay there if the run ends before.
    """

    def __init__(self, path: Path, columns: Sequence[str], model: str):
        """Open `path`, which may have rows of an earlier run of the same `model` with the same `columns`.

        Raises:
            ValueError: no such kind of table, rows of another run, or nothing that writes Parquet.
            OSError: the file cannot be written.
        """
        if path.suffix not in KINDS:
            raise ValueError(f"{path.name} is no kind of table; expected a name that ends in {', '.join(KINDS)}")
        if path.suffix == ".parquet":
            require_parquet()  # refuses before any work
        self.path, self.columns, self.model = path, list(columns), model
        self._grows = path.with_name(f"{path.name}.jsonl") if path.suffix == ".parquet" else path
        if path.suffix == ".parquet" and path.exists() and not self._grows.exists():
            rows = require_parquet().read_table(path).to_pylist()
            self._grows.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._done = self._read()
        self._file: IO[str] = self._grows.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        if self._grows.suffix == ".csv" and not self._file.tell():
            csv.writer(self._file).writerow([*self.columns, "model"])

    def __len__(self) -> int:
        return len(self._done)

    def has(self, name: str, sha256: str) -> bool:
        """Whether the picture of this name and content has a row.

        Raises:
            ValueError: the row of this name is of a picture with another content.
        """
        if self._done.get(name, sha256) != sha256:
            raise ValueError(f"{self.path} has another picture that is called {name}; choose another --out")
        return name in self._done

    def add(self, row: dict[str, Any]) -> None:
        """Write a row: "image", "sha256" and the other columns; one that is missing stays empty."""
        values = {name: row.get(name) for name in self.columns} | {"model": self.model}
        if self._grows.suffix == ".csv":
            csv.writer(self._file).writerow(values.values())
        else:
            self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        self._done[row["image"]] = row["sha256"]

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        if self.path.suffix == ".parquet":
            import pyarrow

            lines = self._grows.read_text(encoding="utf-8").splitlines()
            table = pyarrow.Table.from_pylist([json.loads(line) for line in lines])
            require_parquet().write_table(table, self.path)
            self._grows.unlink()

    def _read(self) -> dict[str, str]:
        """Name -> SHA-256 in the rows of an earlier run; a last line that was cut short is removed."""
        if not self._grows.exists():
            return {}
        content = self._grows.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            self._grows.write_bytes(whole)
        text = whole.decode("utf-8", errors="surrogateescape")
        if self._grows.suffix == ".csv":
            rows = list(csv.DictReader(io.StringIO(text, newline="")))  # a name may hold a line separator
        else:
            rows = [json.loads(line) for line in text.split("\n")[:-1]]
        for row in rows:
            if list(row) != [*self.columns, "model"] or row["model"] != self.model:
                raise ValueError(f"{self.path} has rows of another model or of other options; choose another file")
        return {row["image"]: row["sha256"] for row in rows}
