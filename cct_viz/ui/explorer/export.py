"""HTML files that hold explorers with their payloads: they open from disk, with no network and no server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from . import FOLDER, script

_PAGE = (FOLDER / "page.html").read_text()


def page_html(payloads: Mapping[str, str], *, title: str, facts: str = "") -> str:
    """Payloads (name -> text, from `make_payload`) as a page of their own, with a button each where there are several.

    Title and facts are texts, not markup. The page's own policy forbids it to ask for anything, so it cannot tell
    anybody who opened it.

    Raises:
        ValueError: no payload.
    """
    if not payloads:
        raise ValueError("a page needs at least one picture")
    pictures = json.dumps([[name, json.loads(payload)] for name, payload in payloads.items()], separators=(",", ":"))
    parts = {
        "TITLE": escape(title),
        "FACTS": escape(facts),
        "PICTURES": pictures.replace(
            "<", "\\u003c"
        ),  # the JSON stays the same, and no text in it can close the element
        "SCRIPT": script(),
    }
    page = _PAGE
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page
