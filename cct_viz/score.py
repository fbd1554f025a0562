"""The table of faithfulness over many images: kept image by image, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .classifier import Classifier
from .explain import METHODS
from .faithfulness import PERMUTATIONS, PROTOCOLS, RANKINGS, score_image, summarise

ROWS = "score_rows.jsonl"  # one line of settings, then one an image


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

    score_rows.jsonl keeps what each image gave; a run with the same settings goes on from it.

    Args:
        images: (n, H, W, 3) uint8.
        methods: names in METHODS.
        points: steps of each curve; every token by default.
        permutations: random orders an image, an even number.
        seed: of the random orders; image i uses seed + i.
        command: how to make the table again, for its readers.
        progress: called with images done and images in all.

    Returns what score.json holds.

    Raises:
        ValueError: no such method.
        OSError: `out` cannot be written.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"no method is called {', '.join(unknown)}; there are {', '.join(METHODS)}")
    settings = {
        "model": classifier.source.name,
        "sha256": classifier.source.sha256,
        "methods": list(methods),
        "protocols": list(PROTOCOLS),
        "points": points,
        "permutations": permutations,
        "seed": seed,
    }
    out.mkdir(parents=True, exist_ok=True)
    rows = _read_rows(out / ROWS, settings)[: len(images)]
    with (out / ROWS).open("w", encoding="utf-8") as file:
        for line in (settings, *rows):
            file.write(json.dumps(line) + "\n")
        for i in range(len(rows), len(images)):
            options = {"methods": methods, "points": points, "permutations": permutations, "seed": seed + i}
            rows.append(score_image(classifier, classifier.trace(images[i]), **options))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            if progress:
                progress(i + 1, len(images))
    record = {**settings, "images": len(rows), "command": command, "table": summarise(rows)}
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
    if record["command"]:
        lines += [f"Made with `{record['command']}`", f"on weights with sha256 `{record['sha256']}`.", ""]
    return "\n".join(lines)


def _width(half: float) -> str:
    return "?" if math.isnan(half) else f"{half:.3f}"


def _read_rows(path: Path, settings: dict[str, Any]) -> list[Any]:
    """The images of an earlier run with the same settings; a line cut off by a stop is done again."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows[1:] if rows and rows[0] == settings else []
