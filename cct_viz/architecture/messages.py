"""Error messages that quote names from files which may be anyone's."""

from __future__ import annotations

MOST = 600  # characters; a terminal shows them in a few lines


def one_line(text: str) -> str:
    """`text` in printable characters on one line, cut after MOST: a name in a file may be long or hold escape codes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:MOST])
    return shown[: MOST - 4] + " ..." if len(shown) > MOST or len(text) > MOST else shown
