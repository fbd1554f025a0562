"""The log: one line for an event, each kind once a minute, without control characters.

Otherwise callers decide what the log holds and how fast it grows: tracebacks of 5 kB for a request of 70 bytes, with
names of their choice.
"""

from __future__ import annotations

import logging
import os
import time
import traceback

from . import settings

LOG = logging.getLogger("cct_viz.server")
MAX_CHARACTERS = 300  # of a message
FRAMES = 4  # of a traceback, innermost first


def one_line(text: str) -> str:
    """`text` in one line of limited length, control characters escaped."""
    text = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def describe_error(error: BaseException) -> str:
    """The kind, message and innermost places of an error, or of its cause, in one line."""
    error = error.__cause__ or error
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    return one_line(f"{type(error).__name__}: {error}") + (f" ({places})" if places else "")


class OneLine(logging.Filter):
    """Makes each record one line, and drops those of a kind that was logged within the last minute.

    Records are of one kind if the same line of code logs an error of the same type.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[object, ...], tuple[float, int]] = {}  # kind -> when the next may come, dropped since

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        kind = (record.pathname, record.lineno, type(error))
        until, dropped = self._kinds.get(kind, (0.0, 0))
        now = time.monotonic()
        if now < until:
            self._kinds[kind] = (until, dropped + 1)
            return False
        self._kinds[kind] = (now + settings.LOG_SECONDS, 0)
        text = one_line(record.getMessage().strip())
        text += f": {describe_error(error)}" if error else ""
        text += f" ({dropped} more like this before)" if dropped else ""
        record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = text, (), None, None, None
        return True


def limit_log(*, whole_process: bool) -> None:
    """Apply the filter to uvicorn's messages. `whole_process`: also to those of loggers without a handler, where the
    process is a server and nothing else."""
    handlers = [*logging.getLogger("uvicorn").handlers, *([logging.lastResort] if whole_process else [])]
    spare = OneLine()
    for handler in handlers:
        if handler is not None:
            handler.filters = [other for other in handler.filters if not isinstance(other, OneLine)]
            handler.addFilter(spare)
