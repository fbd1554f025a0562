"""The table of faithfulness over many images, saved after every image so that a stopped run can continue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.classifier import Classifier
from ..methods import METHODS, NotApplicable, explain, find_method
from .controls import CONTROLS
from .faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, check_settings, score_image
from .objects import find_photos, score_photo, summarise_objects
from .rows import collect_rows
from .table import find_headline, format_table, summarise

ROWS, OBJECT_ROWS = "score_rows.jsonl", "object_rows.jsonl"  # of `score_image` and `score_photo`


def write_scores(
    classifier: Classifier,
    images: np.ndarray,
    out: Path,
    *,
    methods: Sequence[str] = RANKINGS,
    points: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    objects: Path | None = None,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score every method on every image under every protocol; write score.json and score.md to `out`.

    score_rows.jsonl has one row per image. A run with the same settings reuses the rows of the images that both runs
    start with, and a run on fewer images keeps the other rows. object_rows.jsonl does the same for photos, on which
    `points` and `permutations` have no influence.

    Args:
        images: (n, H, W, 3) uint8, n >= 1.
        methods: names in METHODS; those that do not apply to this model are listed under "not_applicable".
        points: steps of each curve; by default one step per token.
        permutations: number of random orders per image, even.
        seed: seed of the random orders; image i uses seed + i.
        objects: a folder of photos with masks or boxes, see `objects.find_photos`; how well each map points at the
            object is then a table of its own.
        command: the command that makes the table, for its readers.
        progress: called with the number of images done and of all images.

    Returns the contents of score.json. With one image the intervals are null. "objects" is there if it was measured.

    Raises:
        ValueError: no such method, no method that applies, no images, or a setting out of range. Nothing is written.
        ValueError: a mask of another size than its photo, or no photo that can tell maps apart.
        OSError: `out` cannot be written.
    """
    methods = list(dict.fromkeys(find_method(method) for method in methods))
    _check_arguments(images, methods)
    check_settings(points=points, permutations=permutations, seed=seed)
    reasons = _reasons_against(classifier, images[0], methods)
    applicable = [method for method in methods if method not in reasons]
    if not applicable:
        raise ValueError(f"no requested method applies to this model ({', '.join(methods)}); choose others")
    of_maps = {
        "model": classifier.source.name,
        "sha256": classifier.source.sha256,
        "methods": methods,
        "controls": list(CONTROLS),
    }
    curves = {"protocols": list(PROTOCOLS), "points": points, "permutations": permutations}
    settings = {**of_maps, **curves, "seed": seed}
    photos = find_photos(objects) if objects else []
    out.mkdir(parents=True, exist_ok=True)

    def score_one(i: int) -> Any:
        trace = classifier.trace(images[i])
        return score_image(
            classifier, trace, methods=applicable, points=points, permutations=permutations, seed=seed + i
        )

    def point_one(i: int) -> Any:
        return score_photo(classifier, photos[i], methods=applicable, seed=seed + i)

    rows = collect_rows(out / ROWS, settings, [_digest(image) for image in images], score_one, progress)
    pointed = []
    if photos:  # no setting of the curves changes what a map points at
        digests = [photo.digest for photo in photos]
        pointed = collect_rows(out / OBJECT_ROWS, {**of_maps, "seed": seed}, digests, point_one, progress)
    table = summarise(rows)
    record = {
        **settings,
        "images": len(images),
        "command": command,
        "not_applicable": reasons,
        "headline": find_headline(table),
        "table": table,
        **({"objects": summarise_objects(pointed)} if pointed else {}),
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
