"""What a command that runs for minutes says meanwhile: how many of how many, the rate and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 30.0  # between two lines


class Progress:
    """Counts pictures on stderr: on a terminal in one line that changes, in a log every half minute."""

    def __init__(self, total: int, *, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self.total, self.out, self.clock = total, out or sys.stderr, clock
        self.done, self.terminal = 0, self.out.isatty()
        self.began = self.said = clock()
        self.every = TERMINAL_SECONDS if self.terminal else LOG_SECONDS

    def step(self, pictures: int = 1) -> None:
        """So many more pictures are done."""
        self.done += pictures
        now = self.clock()
        if self.total > 1 and now - self.said >= self.every:
            self.said = now
            self._say(now)

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        if self.terminal and self.total > 1:
            print("\r\033[K", end="", file=self.out, flush=True)

    def _say(self, now: float) -> None:
        rate = self.done / (now - self.began)
        left = clock_text((self.total - self.done) / rate)
        text = f"{self.done:,} of {self.total:,} pictures, {rate:,.3g}/s, {left} left"
        start, end = ("\r\033[K", "") if self.terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=self.out, flush=True)


def clock_text(seconds: float) -> str:
    """h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
