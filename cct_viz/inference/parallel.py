"""Spreads a batch over threads: small models gain nothing from several threads for one image, but much for many."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(2, os.cpu_count() or 1)  # per call of a model; more do not help for images of 32 pixels
CHUNK = 16  # images per thread and call: more do not help, fewer lose time between calls
LANES = THREADS + 1  # threads that compute chunks: the extra one works while another waits for the GIL


def spread(function: Callable[[T], R], items: Iterable[T], lanes: int = LANES) -> Iterator[R]:
    """Apply `function` to each item in `lanes` threads; results come in order, with at most `lanes` + 1 in progress.

    For functions that release the GIL, as ONNX Runtime does. Items are taken in the caller's thread; if that fails, the
    results of the items before are yielded first.
    """
    if lanes < 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="cct_viz") as threads:

        def begin() -> Iterator[Future[R]]:
            try:
                for item in items:
                    try:
                        future = threads.submit(function, item)
                    except RuntimeError:  # the interpreter is shutting down and starts no more threads
                        future = Future()
                        future.set_result(function(item))
                    yield future
            except Exception as error:  # raised after the earlier results
                failed: Future[R] = Future()
                failed.set_exception(error)
                yield failed

        waiting: deque[Future[R]] = deque()
        try:
            for future in begin():
                waiting.append(future)
                if len(waiting) > lanes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the caller stopped early
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Chunks of `size` items (itertools.batched, which Python 3.11 lacks)."""
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk
