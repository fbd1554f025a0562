"""pyarrow, which only Parquet needs."""

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


def is_damage(error: Exception) -> bool:
    """Whether an error of pyarrow says that a file is damaged, so that it will not pass.

    Its own errors are ValueErrors, or plain OSErrors without a number; those of disks have one, and those of networks
    are of kinds of their own.
    """
    return isinstance(error, ValueError) or (type(error) is OSError and error.errno is None)
