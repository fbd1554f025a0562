"""The work itself, the same for every engine: one chunk of pictures becomes one part of the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..architecture.config import CCTConfig
from ..images.decode import ImageError
from ..images.preprocessing import Preprocessed
from ..inference.classifier import Classifier
from ..inference.load import open_weights
from ..inference.parallel import CHUNK as TOGETHER
from ..inference.parallel import batched
from ..inference.trace import Trace
from ..methods.strongest import add_picture, no_patches
from .chunks import CHUNK, Chunk, Item, read_chunk
from .measures import Question, describe_columns, find_label, measure_picture
from .parts import has_part, write_part


@dataclass(frozen=True)
class Job:
    """What a worker needs to know, in a form that can be sent to another machine.

    Attributes:
        config, weights: of the model, as in `Classifier`.
        question: what is asked of every picture.
        out: the folder of the tables, which every worker can reach.
    """

    config: CCTConfig
    weights: Mapping[str, np.ndarray]
    question: Question
    out: Path


class Worker:
    """Holds an open model. `worker(number, chunk)` finishes a chunk; safe to call from several threads."""

    def __init__(self, job: Job, classifier: Classifier | None = None):
        self.job = job
        self.classifier = classifier or open_weights(job.config, job.weights)

    def __call__(self, number: int, chunk: Chunk) -> int:
        """Write the part of a chunk, unless it is there; returns the number of pictures, damaged ones included.

        Raises:
            OSError: a file of the data set or of the tables cannot be read or written for now.
        """
        if not has_part(self.job.out, number):
            rows: list[dict[str, Any]] = []
            problems: list[dict[str, Any]] = []
            strongest = no_patches(self.job.config)
            for row, trace in self._rows(number, chunk):
                if trace:
                    strongest = add_picture(strongest, trace, len(rows))
                (rows if trace else problems).append(row)
            write_part(self.job.out, number, rows, problems, self._columns, strongest)
        return len(chunk)

    @cached_property
    def _columns(self) -> dict[str, dict[str, Any]]:
        return describe_columns(self.classifier, self.job.question)

    def _rows(self, number: int, chunk: Chunk) -> Iterator[tuple[dict[str, Any], Trace | None]]:
        """The row of each picture and its trace, or the row of a damaged one.

        Pictures run through the model in batches that depend on the chunk alone, so that the numbers do not depend on
        the engine or on an earlier run.
        """
        place = number * CHUNK
        for items in batched(read_chunk(chunk), TOGETHER):
            prepared = [self._prepare(item) for item in items]
            good = [one for one in prepared if isinstance(one, Preprocessed)]
            traces = iter(self.classifier.trace_batch(good) if good else ())
            for item, one in zip(items, prepared, strict=True):
                if isinstance(one, str):
                    yield {"image": item.name, "problem": one}, None
                else:
                    trace = next(traces)
                    row = {
                        "image": item.name,
                        "sha256": hashlib.sha256(item.data or b"").hexdigest(),
                        "note": one.note,
                        "label": find_label(self.job.config.labels, item.label),
                        **measure_picture(self.classifier, trace, self.job.question, place),
                    }
                    yield row, trace
                place += 1

    def _prepare(self, item: Item) -> Preprocessed | str:
        """The model's input, or what is wrong with the picture."""
        if item.data is None:
            return item.problem
        try:
            return self.classifier.preprocess(item.data, stretch=self.job.question.stretch)
        except ImageError as error:
            return str(error)
