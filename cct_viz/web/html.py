"""HTML files that hold explorers with their payloads: they open from disk, with no network and no server."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .modules import FOLDER, script

_PAGE = (FOLDER / "page.html").read_text()
_START = "loadExplorer().then(({ openPage, ...loaded }) => openPage(loaded));"


def page_html(
    payloads: Mapping[str, str],
    *,
    title: str,
    facts: str = "",
    models: Sequence[Mapping[str, Any]] = (),
    head: str = "",
) -> str:
    """Payloads (name -> text, from `make_payload`) as a page of their own, with a button each where there are several.

    The page's own policy forbids it to ask anybody for anything, so it cannot tell who opened it, nor what they showed
    it. Title and facts are texts, not markup.

    Args:
        models: from `pack_model`; with them inside, the page names and explains any photo that is dropped into it. The
            first is the one that the payloads were made with.
        head: markup that links to what lies beside the page, which it then may use: icons, manifest, service worker.

    Raises:
        ValueError: no payload.
    """
    if not payloads:
        raise ValueError("a page needs at least one picture")
    pictures = [[name, json.loads(payload)] for name, payload in payloads.items()]
    code = f"{script('live.js' if models else 'page.js')}{_START}"
    parts = {
        "POLICY": _policy(code, workers=bool(models), beside=bool(head)),
        "HEAD": head,
        "TITLE": escape(title),
        "FACTS": escape(facts),
        "PICTURES": _carry(pictures),
        "MODELS": _carry(list(models)),
        "SCRIPT": code,
    }
    page = _PAGE
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def _carry(value: Any) -> str:
    """JSON that stands in an element: it stays the same, and no text in it can close the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _policy(code: str, *, workers: bool, beside: bool) -> str:
    """The page's Content-Security-Policy: no script but its own, which makes its modules and workers itself."""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    own = " 'self'" if beside else ""
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}' blob:",
        "style-src": "'unsafe-inline'",
        "img-src": f"data: blob:{own}",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if workers:
        rules["worker-src"] = f"blob:{own}"
    if beside:
        rules["manifest-src"] = "'self'"
    return "; ".join(f"{name} {value}" for name, value in rules.items())
