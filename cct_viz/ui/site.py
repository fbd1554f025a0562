"""The ten examples, and a static site of them with models inside: a folder that can be put on any web space."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..images import decode
from ..plots import colourise
from .explorer import FOLDER
from .explorer.export import page_html
from .explorer.inside import pack_model
from .explorer.payload import About, make_payload
from .words import describe_number

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..trace import Trace

EXAMPLES = tuple(sorted((Path(__file__).parent / "examples").glob("*.png")))
TITLE = "CCT Explorer"
ICON_SIDES = (192, 512)  # what browsers ask of a page that can be installed
COLOUR = "#4338ca"
HEAD = f"""<meta name="theme-color" content="{COLOUR}">
<link rel="manifest" href="manifest.webmanifest">
<link rel="icon" href="icon-192.png">
<link rel="apple-touch-icon" href="icon-192.png">
"""
# What a static Space needs; its page is index.html.
SPACE_CARD = """---
title: CCT Explorer
emoji: 🔎
colorFrom: indigo
colorTo: yellow
sdk: static
app_file: index.html
license: apache-2.0
short_description: A compact transformer explained inside your browser
tags:
  - explainability
  - vision-transformer
  - education
---

# CCT Explorer

One page that holds its models: drop a photo into it, and it is named and explained where you are. No picture leaves
your device. Made by `python -m cct_viz site --space`.
"""


@cache
def _example_pictures() -> dict[str, np.ndarray]:
    return {path.stem: decode(path) for path in EXAMPLES}


def name_example(image: np.ndarray) -> str | None:
    """The name of the example that `image` (h, w, 3) uint8 shows, pixel by pixel, however it came here; else None."""
    for name, picture in _example_pictures().items():
        if picture.shape == image.shape and (picture == image).all():
            return name
    return None


def write_site(
    classifiers: Sequence[Classifier], out: Path, images: Sequence[Path] = EXAMPLES, *, space: bool = False
) -> Path:
    """Explain `images` by the first of `classifiers`, and write `out`/index.html with all of them inside; its path.

    The page opens from disk as well. Served over https it can be installed, and works offline from the second visit.

    Args:
        space: also a README.md, which makes the folder a static Space.

    Raises:
        ImageError: one of the images cannot be read.
        CheckpointError: a weight that float16 cannot hold.
        OSError: `out` cannot be written.
    """
    first = classifiers[0]
    payloads = {image.stem: _explain(first, first.trace(image), image.stem) for image in images}
    words = (
        f"{len(payloads)} pictures, and any of yours, explained token by token. Everything is computed on your device."
    )
    models = [pack_model(one, _facts(one)) for one in classifiers]
    page = page_html(payloads, title=TITLE, facts=words, models=models, head=HEAD)
    files = {"index.html": page.encode()}
    files |= {f"icon-{side}.png": _draw_icon(side) for side in ICON_SIDES}
    files["manifest.webmanifest"] = json.dumps(_manifest(), indent=2).encode()
    files["service_worker.js"] = _service_worker(files)
    if space:
        files["README.md"] = SPACE_CARD.encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return out / "index.html"


def write_page(classifier: Classifier, trace: Trace, path: Path, *, name: str) -> None:
    """Write one HTML file with the explorer of `trace` and the model inside, for any other photo.

    Raises:
        CheckpointError: a weight that float16 cannot hold.
        OSError: `path` cannot be written.
    """
    title = f"{trace.labels[trace.class_index()]}: {name}"
    facts = _facts(classifier)
    words = f"{classifier.source.name} ({', '.join(facts)})"
    models = [pack_model(classifier, facts)]
    page = page_html({name: _explain(classifier, trace, name)}, title=title, facts=words, models=models)
    path.write_text(page, encoding="utf-8")


def _explain(classifier: Classifier, trace: Trace, name: str) -> str:
    return make_payload(trace, About(classifier.source.name, _facts(classifier), name, classifier.position_prior))


def _facts(classifier: Classifier) -> tuple[str, ...]:
    return f"{describe_number(classifier.num_parameters)} parameters", f"weights {classifier.source.sha256[:10]}"


def _manifest() -> dict[str, object]:
    return {
        "name": TITLE,
        "short_name": "CCT",
        "description": "See what a compact transformer makes of a photo, with no server.",
        "start_url": "./",
        "display": "standalone",
        "background_color": "#fbfbfd",
        "theme_color": COLOUR,
        "icons": [
            {"src": f"icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png", "purpose": "any maskable"}
            for side in ICON_SIDES
        ],
    }


def _service_worker(files: dict[str, bytes]) -> bytes:
    """The service worker with the names of the files that it keeps, and a version that changes with any of them."""
    version = hashlib.sha256(b"".join(files.values())).hexdigest()[:16]
    kept = ["./", *(name for name in files if name != "index.html")]
    source = (FOLDER / "service_worker.js").read_text()
    return f"const VERSION = {json.dumps(version)}, FILES = {json.dumps(kept)};\n{source}".encode()


def _draw_icon(side: int) -> bytes:
    """A map of tokens with one hill, in the colours of the pooling weights, as PNG."""
    y, x = np.mgrid[:6, :6]
    hill = np.exp(-((y - 2) ** 2 + (x - 3.2) ** 2) / 5)
    buffer = io.BytesIO()
    Image.fromarray(colourise(hill, signed=False, limit=1.0)).resize((side, side), Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    return buffer.getvalue()
