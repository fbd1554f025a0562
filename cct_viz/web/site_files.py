"""The files next to the page of a static site: for installing it, working offline and publishing it as a Space."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from ..architecture.files import check_folder
from ..reports.figures import colourise
from ..reports.palette import ACCENT, BACKGROUND

TITLE = "CCT Explorer"
ICON_SIDES = (192, 512)  # browsers require both for an installable page
HEAD = f"""<meta name="theme-color" content="{ACCENT}">
<link rel="manifest" href="manifest.webmanifest">
<link rel="icon" href="icon-192.png">
<link rel="apple-touch-icon" href="icon-192.png">
"""
# The README.md of a static Space.
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

One page with its models inside: drop a photo into it, and the page classifies and explains it. No picture leaves
your device. Made by `python -m cct_viz site --space`.
"""

# These identify files of an earlier run: the last line of the card, and a link in the page.
_OWN_CARD = SPACE_CARD.splitlines()[-1]
_OWN_PAGE = '<link rel="manifest" href="manifest.webmanifest">'


def check_place(out: Path, *, space: bool) -> None:
    """Check that `out` can be written, and has no index.html (or README.md, with `space`) of another origin.

    Raises:
        OSError: it cannot be written, has a file that no earlier run wrote, or one that cannot be read.
    """
    check_folder(out)
    for name, mark in [("index.html", _OWN_PAGE), *([("README.md", _OWN_CARD)] if space else [])]:
        path = out / name
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        is_own = mark in text and TITLE in text if name == "index.html" else text.rstrip().endswith(mark)
        if not is_own:
            raise FileExistsError(
                f"{path} already exists and was not written by this command; move it away, or choose another --out"
            )


def site_files(page: str, *, space: bool) -> dict[str, bytes]:
    """Name -> content of all files of a site with the index.html `page`; `space` adds the README.md of a Space."""
    files = {"index.html": page.encode()}
    files |= {f"icon-{side}.png": _draw_icon(side) for side in ICON_SIDES}
    files["manifest.webmanifest"] = json.dumps(_manifest(), indent=2).encode()
    files["service_worker.js"] = _service_worker(files)
    return files | ({"README.md": SPACE_CARD.encode()} if space else {})


def _manifest() -> dict[str, object]:
    return {
        "name": TITLE,
        "short_name": "CCT",
        "description": "See how a compact transformer classifies a photo, without a server.",
        "start_url": "./",
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": ACCENT,
        "icons": [
            {"src": f"icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png", "purpose": "any maskable"}
            for side in ICON_SIDES
        ],
    }


def _service_worker(files: dict[str, bytes]) -> bytes:
    """The service worker, with the names of the files to cache and a version that changes if any of them changes."""
    version = hashlib.sha256(b"".join(files.values())).hexdigest()[:16]
    names = ["./", *(name for name in files if name != "index.html")]
    source = (Path(__file__).parent / "service_worker.js").read_text()
    return f"const VERSION = {json.dumps(version)}, FILES = {json.dumps(names)};\n{source}".encode()


def _draw_icon(side: int) -> bytes:
    """A token map with one peak, in the colours of the pooling weights, as PNG."""
    y, x = np.mgrid[:6, :6]
    hill = np.exp(-((y - 2) ** 2 + (x - 3.2) ** 2) / 5)
    buffer = io.BytesIO()
    Image.fromarray(colourise(hill, signed=False, limit=1.0)).resize((side, side), Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    return buffer.getvalue()
