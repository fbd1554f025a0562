"""The engine `ray`: actors of Ray Data, each with an open model, on this machine or on a cluster.

Ray hands out chunks as lists of names, no pictures: an actor reads its chunk from the source, writes its part and
answers with the number of pictures. So Ray holds back what it cannot place, starts a lost actor again and gives a lost
chunk to another one, and the driver holds nothing of a picture but its name.

Reference: https://docs.ray.io/en/latest/data/data.html
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from ..inference.classifier import Classifier
from .chunks import Chunk
from .worker import Job, Worker


class Actor:
    """A worker in a process of its own."""

    def __init__(self, job: Job):
        self.worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The number of pictures of a chunk, or the error that stopped it, which Ray would wrap beyond recognition."""
        try:
            answer: Any = self.worker(*pickle.loads(batch["chunk"][0]))
        except (OSError, ValueError) as error:
            answer = error
        return {"answer": [pickle.dumps(answer)]}


def run_on_ray(
    job: Job, classifier: Classifier, chunks: Sequence[tuple[int, Chunk]], workers: int | None
) -> Iterator[int]:
    """Actors of Ray, by default one for each processor of the cluster; any of them may be lost.

    It uses the cluster that RAY_ADDRESS names, or that this process is connected to already; otherwise it starts Ray on
    this machine and stops it at the end.

    Raises:
        ValueError: Ray is not installed, or it gave up.
        OSError: as `Worker`.
    """
    ray = _require_ray()
    started = not ray.is_initialized()
    if started:
        # Without "local" Ray would also join one that someone else has started on this machine.
        here = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        ray.init(**({} if os.environ.get("RAY_ADDRESS") else here), log_to_driver=False, logging_level=logging.ERROR)
    try:
        workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        items = [{"chunk": pickle.dumps(numbered)} for numbered in chunks]
        counts = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
        )
        for batch in counts.iter_batches(batch_size=None, prefetch_batches=0):
            for answer in map(pickle.loads, batch["answer"]):
                if isinstance(answer, Exception):
                    raise answer
                yield answer
    except ray.exceptions.RayError as error:
        raise ValueError(f"Ray gave up; what is done stays, so repeat the command: {_last_line(error)}") from error
    finally:
        if started:
            ray.shutdown()


def _require_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray.data
    except ImportError:
        raise ValueError("This engine needs the package ray: run pip install 'ray[data]'") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
