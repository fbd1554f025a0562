"""pyarrow and fsspec, which only data sets need."""

from __future__ import annotations

from typing import Any


def require_parquet() -> Any:
    """The module `pyarrow.parquet`.

    Raises:
        ValueError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError("Parquet needs the package pyarrow: run pip install pyarrow") from None
    return pyarrow.parquet
