"""The table of faithfulness over many images, saved after every image so that a stopped run can continue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..architecture.files import replace_file
from ..inference.classifier import Classifier
from ..methods import METHODS, NotApplicable, explain, find_method
from .controls import CONTROLS
from .faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, check_settings, score_image
from .table import find_headline, format_table, summarise

ROWS = "score_rows.jsonl"  # one line of settings, then one per image: its digest and its `score_image`


def write_scores(
    classifier: Classifier,
    images: np.ndarray,
    out: Path,
    *,
    methods: Sequence[str] = RANKINGS,
    points: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score every method on every image under every protocol; write score.json and score.md to `out`.

    score_rows.jsonl has one row per image. A run with the same settings reuses the rows of the images that both runs
    start with, and a run on fewer images keeps the other rows.

    Args:
        images: (n, H, W, 3) uint8, n >= 1.
        methods: names in METHODS; those that do not apply to this model are listed under "not_applicable".
        points: steps of each curve; by default one step per token.
        permutations: number of random orders per image, even.
        seed: seed of the random orders; image i uses seed + i.
        command: the command that makes the table, for its readers.
        progress: called with the number of images done and of all images.

    Returns the contents of score.json. With one image the intervals are null.

    Raises:
        ValueError: no such method, no method that applies, no images, or a setting out of range. Nothing is written.
        OSError: `out` cannot be written.
    """
    methods = list(dict.fromkeys(find_method(method) for method in methods))
    _check_arguments(images, methods)
    check_settings(points=points, permutations=permutations, seed=seed)
    reasons = _reasons_against(classifier, images[0], methods)
    applicable = [method for method in methods if method not in reasons]
    if not applicable:
        raise ValueError(f"no requested method applies to this model ({', '.join(methods)}); choose others")
    settings = {
        "model": classifier.source.name,
        "sha256": classifier.source.sha256,
        "methods": methods,
        "controls": list(CONTROLS),
        "protocols": list(PROTOCOLS),
        "points": points,
        "permutations": permutations,
        "seed": seed,
    }
    out.mkdir(parents=True, exist_ok=True)
    digests = [_digest(image) for image in images]
    rows = _read_rows(out / ROWS, settings, digests)
    _replace_rows(out / ROWS, [settings, *rows])
    with (out / ROWS).open("a", encoding="utf-8") as file:
        for i in range(len(rows), len(images)):
            trace = classifier.trace(images[i])
            scores = score_image(
                classifier, trace, methods=applicable, points=points, permutations=permutations, seed=seed + i
            )
            rows.append({"image": digests[i], "scores": scores})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            if progress:
                progress(i + 1, len(images))
    table = summarise([row["scores"] for row in rows[: len(images)]])
    record = {
        **settings,
        "images": len(images),
        "command": command,
        "not_applicable": reasons,
        "headline": find_headline(table),
        "table": table,
    }
    (out / "score.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "score.md").write_text(format_table(record), encoding="utf-8")
    return record


def _check_arguments(images: np.ndarray, methods: list[str]) -> None:
    if not methods:
        raise ValueError(f"no method was named; choose from {', '.join(METHODS)}")
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not len(array):
        raise ValueError(f"the images are {array.dtype} {array.shape}; expected uint8 (n, H, W, 3), one or more")


def _reasons_against(classifier: Classifier, image: np.ndarray, methods: list[str]) -> dict[str, str]:
    """Method -> why it does not apply to this model; the same for every image."""
    trace, reasons = classifier.trace(image), {}
    for method in methods:
        try:
            explain(trace, method, classifier=classifier)
        except NotApplicable as error:
            reasons[method] = str(error)
    return reasons


def _digest(image: np.ndarray) -> str:
    """sha256 of an image's shape and pixels."""
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()


def _read_rows(path: Path, settings: dict[str, Any], digests: list[str]) -> list[Any]:
    """The rows of an earlier run with the same settings, up to the first row of another image.

    It ignores an incomplete last line. Rows of further images are included.
    """
    if not path.is_file():
        return []
    entries: list[Any] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    if not entries or entries[0] != settings:
        return []
    rows = entries[1:]
    for i, (row, digest) in enumerate(zip(rows, digests, strict=False)):
        if not isinstance(row, dict) or row.get("image") != digest:
            return rows[:i]
    return rows


def _replace_rows(path: Path, lines: list[Any]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    replace_file(path, lambda new: new.write_text(text, encoding="utf-8"))
