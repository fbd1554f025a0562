"""Whether the app works: what /healthz tells, and a watchdog that ends a process which will never work again."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import gradio as gr

from . import settings

DEAD = 70  # exit status, EX_SOFTWARE
Checks = Mapping[str, Callable[[], bool]]


def make_report(page: gr.Blocks, checks: Checks) -> Callable[[], dict[str, bool]]:
    """A function that tells of each part whether it works: the queue and whatever `checks` names."""

    def report() -> dict[str, bool]:
        return {"queue": page.is_running and not page._queue.stopped} | {
            name: check() for name, check in checks.items()
        }

    return report


def ask(address: str) -> str:
    """What is wrong with the app at `address` beyond mending: one sentence, or an empty text."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}healthz", timeout=settings.WATCH_SECONDS) as answer:
            told = answer.read()
    except urllib.error.HTTPError as error:
        told = error.read()
    except OSError:
        return "The app does not answer any more."
    try:
        works = json.loads(told)["queue"]
    except (ValueError, KeyError, TypeError):
        works = False
    return "" if works else "The queue has stopped, so that nobody is served any more."


def watch(address: str, *, end: Callable[[int], None] = os._exit) -> None:
    """End the process, so that whoever started it can start it anew, when it is beyond mending for some time.

    A busy machine, or one that was put to sleep, is no reason: the failures are counted, not timed.
    """
    failures = 0
    while failures < settings.WATCH_FAILURES:
        time.sleep(settings.WATCH_SECONDS)
        problem = ask(address)
        failures = failures + 1 if problem else 0
    print(f"{problem} The process ends; start it again.", file=sys.stderr, flush=True)
    end(DEAD)


def start_watchdog(address: str) -> None:
    threading.Thread(target=watch, args=(address,), name="watchdog", daemon=True).start()
