"""Waiting for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 90.0  # seconds; only a failing test waits this long, however busy the machine is


def wait_until(condition: Callable[[], object], *, patience: float = PATIENCE, why: Callable[[], str] = str) -> None:
    """Return as soon as `condition()` is true.

    Raises:
        AssertionError: it is still false after `patience` seconds; `why` gives the message.
    """
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, why() or "the condition did not come true"
        time.sleep(0.01)


def wait_for_rest(page) -> None:
    """Let the browser draw two frames, then wait until no animation or transition runs, in shadow trees neither."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    page.wait_for_function(
        """() => {
          const hosts = [...document.querySelectorAll('*')].filter((element) => element.shadowRoot);
          const moving = [document, ...hosts.map((host) => host.shadowRoot)].flatMap((root) => root.getAnimations());
          const endless = (one) => one.effect.getComputedTiming().endTime === Infinity;
          return moving.every((one) => one.playState !== 'running' || endless(one));
        }"""
    )
