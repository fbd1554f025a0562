"""Health of the app: the report of /healthz, and a watchdog that ends a process that cannot recover."""

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

TOO_MANY = b"Service Unavailable"  # uvicorn's response when there are too many connections: the process works
DEAD = 70  # exit status, EX_SOFTWARE
Checks = Mapping[str, Callable[[], bool]]


def make_report(page: gr.Blocks, checks: Checks) -> Callable[[], dict[str, bool]]:
    """A function that reports for each part whether it works: the queue and the parts in `checks`."""

    def report() -> dict[str, bool]:
        return {"queue": page.is_running and not page._queue.stopped} | {
            name: check() for name, check in checks.items()
        }

    return report


def ask(address: str) -> str:
    """Why the app at `address` cannot recover, in one sentence; an empty string if it works."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}healthz", timeout=settings.WATCH_SECONDS) as answer:
            report = answer.read()
    except urllib.error.HTTPError as error:
        report = error.read()
    except OSError:
        return "The app no longer responds."
    try:
        works = json.loads(report).get("queue", True)  # an app that is stopping says only that
    except ValueError:
        works = report == TOO_MANY
    return "" if works else "The queue has stopped, so no request is served."


def watch(address: str, *, end: Callable[[int], None] = os._exit) -> None:
    """End the process after several failed checks in a row, so that its supervisor can restart it.

    It counts failures instead of measuring time, because a busy or suspended machine is not a failure.
    """
    failures = 0
    while failures < settings.WATCH_FAILURES:
        time.sleep(settings.WATCH_SECONDS)
        problem = ask(address)
        failures = failures + 1 if problem else 0
    print(f"{problem} The process exits; start it again.", file=sys.stderr, flush=True)
    end(DEAD)


def start_watchdog(address: str) -> None:
    threading.Thread(target=watch, args=(address,), name="watchdog", daemon=True).start()
