"""The table of faithfulness over many images: kept image by image, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.classifier import Classifier
from ..methods import METHODS, NotApplicable, explain, find_method
from .faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, check_settings, score_image, summarise

ROWS = "score_rows.jsonl"  # one line of settings, then one an image: its digest and what `score_image` gave


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

    score_rows.jsonl keeps what each image gave. A run with the same settings goes on from the images that both begin
    with, and a run on fewer of them leaves the others' rows there.

    Args:
        images: (n, H, W, 3) uint8, n >= 1.
        methods: names in METHODS; those that do not apply to this model are named under "not_applicable".
        points: steps of each curve; every token by default.
        permutations: random orders an image, an even number.
        seed: of the random orders; image i uses seed + i.
        command: how to make the table again, for its readers.
        progress: called with images done and images in all.

    Returns what score.json holds. With one image the intervals are null.

    Raises:
        ValueError: no such method, none that applies, no images, or a setting out of its range. Nothing is written.
        OSError: `out` cannot be written.
    """
    methods = list(dict.fromkeys(find_method(method) for method in methods))
    _check_arguments(images, methods)
    check_settings(points=points, permutations=permutations, seed=seed)
    reasons = _reasons_against(classifier, images[0], methods)
    applicable = [method for method in methods if method not in reasons]
    if not applicable:
        raise ValueError(f"none of the methods asked for ({', '.join(methods)}) applies to this model")
    settings = {
        "model": classifier.source.name,
        "sha256": classifier.source.sha256,
        "methods": methods,
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
    record = {
        **settings,
        "images": len(images),
        "command": command,
        "not_applicable": reasons,
        "table": summarise([row["scores"] for row in rows[: len(images)]]),
    }
    (out / "score.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "score.md").write_text(format_table(record), encoding="utf-8")
    return record


def format_table(record: dict[str, Any]) -> str:
    """score.json's record as Markdown."""
    protocols = record["protocols"]
    steps = f"{record['points']} steps" if record["points"] else "one step a token"
    lines = [
        f"# Faithfulness of the maps of {record['model']}",
        "",
        f"On {record['images']:,} images, for the class the model chose. SRG is the area under the insertion curve",
        "less that under the deletion curve of the class's probability: 0 is chance, higher is better. Means with 95 %",
        f"intervals over images; curves of {steps}; in brackets the mean percentile of the map among",
        f"{record['permutations']} random orders of the same image's tokens. Treat gaps under .02 as ties.",
        "",
        "| map | mean SRG | " + " | ".join(p.replace("_", " ") for p in protocols) + " |",
        "|---|---|" + "---|" * len(protocols),
    ]
    for entry in record["table"]:
        cells = [f"{entry['srg']:.3f} ± {_width(entry['interval'])}"]
        for protocol in protocols:
            found = entry["protocols"][protocol]
            cells.append(f"{found['srg']:.3f} ± {_width(found['interval'])} ({100 * found['percentile']:.0f})")
        lines.append(f"| {entry['method']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Protocols: token drop removes tokens from the encoder; the others paint the pixels nearest to a token",
    ]
    lines += ["black, in the image's mean colour, or from a blurred copy.", ""]
    if record["not_applicable"]:
        lines += [f"Not applicable to this model: {', '.join(record['not_applicable'])}.", ""]
    if record["command"]:
        lines += [f"Made with `{record['command']}`", f"on weights with sha256 `{record['sha256']}`.", ""]
    return "\n".join(lines)


def _width(half: float | None) -> str:
    return "?" if half is None else f"{half:.3f}"


def _check_arguments(images: np.ndarray, methods: list[str]) -> None:
    if not methods:
        raise ValueError(f"no method was named; there are {', '.join(METHODS)}")
    given = np.asarray(images)
    if given.ndim != 4 or given.shape[-1] != 3 or given.dtype != np.uint8 or not len(given):
        raise ValueError(f"the images are {given.dtype} {given.shape}; expected uint8 (n, H, W, 3), one or more")


def _reasons_against(classifier: Classifier, image: np.ndarray, methods: list[str]) -> dict[str, str]:
    """Method -> why it does not apply to this model, which no image changes."""
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
    """The rows of an earlier run with the same settings, up to the first of another image.

    A line cut off by a stop is done again. Rows beyond the images asked for now are among them.
    """
    if not path.is_file():
        return []
    found: list[Any] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    if not found or found[0] != settings:
        return []
    rows = found[1:]
    for i, (row, digest) in enumerate(zip(rows, digests, strict=False)):
        if not isinstance(row, dict) or row.get("image") != digest:
            return rows[:i]
    return rows


def _replace_rows(path: Path, lines: list[Any]) -> None:
    """Write the rows in one step: a run stopped here leaves the old file or the new one."""
    partial = path.with_name(f"partial_{path.name}")
    partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    os.replace(partial, path)
