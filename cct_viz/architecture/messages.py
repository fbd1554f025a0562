"""Error messages that quote names from files which may be anyone's."""

from __future__ import annotations

MOST = 600  # characters; a terminal shows them in a few lines
_CUT = " ... "


def one_line(text: str) -> str:
    """`text` in printable characters on one line, cut in the middle to MOST: a name in a file may be long or hold
    escape codes, and what to do stands at the end."""
    shown = _escape(text if len(text) <= MOST else text[:MOST] + text[-MOST:])
    half = (MOST - len(_CUT)) // 2
    return shown if len(shown) <= MOST else shown[:half] + _CUT + shown[-half:]


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
