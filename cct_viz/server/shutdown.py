"""The end of the app: what is under way is finished, what is new is refused."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import settings


class Traffic:
    """How many requests are under way, and whether new ones are still accepted.

    Attributes:
        under_way: requests that are being answered, without the streams that a page holds open while it is shown.
        stopping: whether new work is refused.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self.stopping = False

    def finish(self, waiting: Callable[[], int]) -> None:
        """Refuse new work and return when all is done, or after `settings.GRACE_SECONDS`.

        Args:
            waiting: how many calls wait or run in the queue.
        """
        self.stopping = True
        end = time.monotonic() + settings.GRACE_SECONDS
        while (waiting() or self.under_way) and time.monotonic() < end:
            time.sleep(0.05)
