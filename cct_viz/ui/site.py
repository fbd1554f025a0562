"""The ten examples, and a static site of them: one index.html that can be put on any web space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..images import decode
from .explorer.export import page_html
from .explorer.payload import About, make_payload
from .words import describe_number

if TYPE_CHECKING:
    from ..classifier import Classifier

EXAMPLES = tuple(sorted((Path(__file__).parent / "examples").glob("*.png")))


@cache
def _example_pictures() -> dict[str, np.ndarray]:
    return {path.stem: decode(path) for path in EXAMPLES}


def name_example(image: np.ndarray) -> str | None:
    """The name of the example that `image` (h, w, 3) uint8 shows, pixel by pixel, however it came here; else None."""
    for name, picture in _example_pictures().items():
        if picture.shape == image.shape and (picture == image).all():
            return name
    return None


def write_site(classifier: Classifier, out: Path, images: Sequence[Path] = EXAMPLES) -> Path:
    """Explain `images` and write `out`/index.html; returns its path.

    Raises:
        ImageError: one of the images cannot be read.
        OSError: `out` cannot be written.
    """
    facts = (f"{describe_number(classifier.num_parameters)} parameters", f"weights {classifier.source.sha256[:10]}")
    payloads: dict[str, str] = {}
    for image in images:
        about = About(classifier.source.name, facts, image.stem, classifier.position_prior)
        payloads[image.stem] = make_payload(classifier.trace(image), about)
    words = f"How {classifier.source.name} ({', '.join(facts)}) names {len(payloads)} pictures, token by token."
    page = page_html(payloads, title="CCT Explorer", facts=words)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    path.write_text(page, encoding="utf-8")
    return path
