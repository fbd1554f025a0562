"""ENGINES: how chunks reach workers. Each yields the number of pictures of a chunk as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..inference.classifier import Classifier
from ..inference.parallel import LANES, spread
from .chunks import Chunk
from .on_ray import run_on_ray
from .worker import Job, Worker

Numbered = Sequence[tuple[int, Chunk]]


def run_in_threads(job: Job, classifier: Classifier, chunks: Numbered, workers: int | None) -> Iterator[int]:
    """Threads of this process, three by default, which share one open model; one chunk more than threads is begun."""
    worker = Worker(job, classifier)
    yield from spread(lambda numbered: worker(*numbered), chunks, workers or LANES)


ENGINES: dict[str, Callable[[Job, Classifier, Numbered, int | None], Iterator[int]]] = {
    "threads": run_in_threads,
    "ray": run_on_ray,
}
