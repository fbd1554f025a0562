"""Import Gradio without the type stubs for editors that it writes beside its source, a fifth of the app's start."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def without_stubs() -> Iterator[None]:
    """Classes of components that are defined in this block, Gradio's own among them, get no stub.

    For each of its 80 classes Gradio parses the source and the stub, compiles a template and compares, at every start.
    It leaves out classes that come from no file, which is what this pretends.
    """
    find = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and hasattr(thing, "EVENTS"):
            raise OSError("a component")
        return find(thing)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = find
