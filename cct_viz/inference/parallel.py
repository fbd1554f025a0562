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

THREADS = min(2, os.cpu_count() or 1)  # that one call of a model may use; more gain nothing on images of 32 pixels
CHUNK = 16  # images that one thread computes at a time: more gain nothing, fewer lose time between them
LANES = THREADS + 1  # threads that compute chunks: the extra one goes on while another waits for Python


def spread(function: Callable[[T], R], items: Iterable[T], lanes: int = LANES) -> Iterator[R]:
    """`function` of each item, in order, computed in `lanes` threads; at most `lanes` + 1 items are under way.

    For functions that release Python's lock, as ONNX Runtime does. The items are taken in the caller's thread; where
    that fails, the results of the items before come first.
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
                    except RuntimeError:  # the interpreter is ending, and starts no more work in threads
                        future = Future()
                        future.set_result(function(item))
                    yield future
            except Exception as error:  # of any kind: it is raised after the results before it
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
            for future in waiting:  # the caller wants no more
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Chunks of `size` items (itertools.batched, which Python 3.11 lacks)."""
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk
