"""What several commands share: the model, the trace of a file, notes on stderr, metrics."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..architecture.config import CCTConfig
from ..checkpoints.hub import print_progress
from ..images.decode import ImageWarning

if TYPE_CHECKING:
    from ..inference.classifier import Classifier
    from ..inference.trace import Trace

AddCommand = Callable[..., argparse.ArgumentParser]  # `_command` of the parser: (run, text, *, loads, answers, aliases)


def load_model(options: argparse.Namespace) -> Any:
    from ..inference.load import load

    return load(options.model, revision=options.revision, offline=options.offline, progress=print_progress)


def trace_image(classifier: Classifier, image: str, options: argparse.Namespace) -> Trace:
    """The trace of an image file; what is unusual about the image goes to stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # the trace's note says the same
        trace = classifier.trace(image, stretch=options.stretch)
    if trace.note:
        print(f"cct_viz: note: {trace.note}", file=sys.stderr)
    return trace


def print_assumptions(config: CCTConfig) -> None:
    """What the file of the weights did not say, once for each command."""
    for text in config.assumptions:
        print(f"cct_viz: note: {text}", file=sys.stderr)


def note_not_applicable(methods: Iterable[str]) -> None:
    if methods := list(methods):
        print(f"cct_viz: note: not applicable to this model: {', '.join(methods)}", file=sys.stderr)


@contextlib.contextmanager
def skipping(options: argparse.Namespace) -> Iterator[Callable[[Path, str], None]]:
    """What a reader of folders shall do with files that are no readable pictures: leave them out. They are listed on
    stderr at the end, where --strict refuses them.

    Raises:
        ValueError: there are some, and --strict was given.
    """
    bad: dict[Path, str] = {}
    try:
        yield bad.__setitem__
    finally:
        if bad:
            verb = "refused" if options.strict else "skipped"
            print(f"cct_viz: {verb} {len(bad)} files, which are no readable pictures:", file=sys.stderr)
            list_bad(bad)
    if bad and options.strict:
        raise ValueError("nothing was done, because --strict refuses such files")


def list_bad(bad: Mapping[Path, str]) -> None:
    """A line for each file that is no readable picture."""
    for path, problem in bad.items():
        print(f"  {path}: {problem.removeprefix(f'{path.name} is ')}", file=sys.stderr)


def add_strict(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--strict", action="store_true", help="do nothing if a file is no readable picture; list them all"
    )


def note_resumed(count: int) -> None:
    if count:
        print(f"cct_viz: note: {count} pictures were done by an earlier run", file=sys.stderr)


def print_metrics(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
    else:
        right = "right answers (yes from 50 %)"
        if "top5" in summary:
            right, top5 = "top-1 accuracy", f", top-5 {summary['top5']:.2%}"
        else:
            top5 = ""
        print(
            f"{right} {summary['accuracy']:.2%}{top5}, loss {summary['loss']:.4f}, "
            f"calibration error {summary['ece']:.4f} on {summary['images']:,} images"
        )
