"""HTML files that contain explorers with their payloads: they open from disk, without network or server."""

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
    """A self-contained page for `payloads` (name -> text, from `make_payload`), with one button for each if several.

    The page's Content-Security-Policy forbids all requests, so it can report neither its visitors nor their pictures.
    Title and facts are texts, not markup.

    Args:
        models: from `pack_model`; with models inside, the page classifies and explains any photo dropped into it. The
            payloads come from the first one.
        head: markup that links to files next to the page, which the policy then allows: icons, manifest, service
            worker.

    Raises:
        ValueError: `payloads` is empty.
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
    """JSON to embed in an element: its value is unchanged, and no text in it can close the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _policy(code: str, *, workers: bool, beside: bool) -> str:
    """The page's Content-Security-Policy: only its own script, which creates its modules and workers from blobs."""
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
