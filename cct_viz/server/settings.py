"""All settings of the served app: limits, switches, headers, and environment variables that libraries read at import.

Gradio's defaults are made for one user and a notebook. Each setting here differs from its default for a reason. The
tests fail if a new version of Gradio has an argument that is not reviewed. Importing this module imports nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

MB = 1_000_000
MAX_UPLOAD_MB = 20
# Of any request except uploads. For a large model the page sends its pixels: 590 kB for 384 x 384.
MAX_JSON_BYTES = 1_000_000
MAX_HELD_BYTES = 30_000_000  # of requests with pictures as data: URLs, in memory until they have arrived
UPLOAD_SECONDS = 120.0  # for the whole body: 20 MB at 1.4 Mbit/s
JSON_SECONDS = 20.0
KEEP_SECONDS = 3600  # how long a visitor's files are kept
ABANDONED_SECONDS = 600  # how long the parts of an incomplete upload are kept
MAX_TEMP_MB = 500  # of all visitors' files; the oldest are removed first, and uploads are refused above twice as much
MAX_TEMP_FILES = 2000  # of all visitors, because file systems also limit the number of files
MAX_FILES = 8  # in one upload; gradio_client sends one at a time, Gradio's limit is a thousand
FILE_BYTES = 8192  # on disk for a file and its folder, in addition to its content
SWEEP_SECONDS = 60.0
MAX_WAITING = 32  # calls in the queue, of each kind (Gradio's concurrency_id)
MAX_VALUES = 2000  # lists, objects and their members in one JSON body: parsed, each takes up to 30 times its bytes
MAX_SESSIONS = 48  # of visitors, whose gr.State values are kept
MAX_MAILBOXES = 256  # sessions with unfetched answers; Gradio keeps 2,000 of about 100 kB each
MAX_CALLS = 16  # of one session that wait, run or are not fetched
MAX_UNREAD = 1000  # messages in all mailboxes; the fullest is emptied first
MAX_CONNECTIONS = 1000  # fewer if the system allows fewer open files
BACKLOG = 128  # connections that asyncio accepts at once, up to three times before the first is counted
OWN_FILES = 500  # open files that are not connections, and connections that are not counted yet
REQUEST_SECONDS = 20.0  # until the headers of a request have arrived
RESPONSE_SECONDS = 60.0  # without progress while a response is read
KEEP_ALIVE_SECONDS = 5  # after a response
GRACE_SECONDS = 10.0  # for what is under way when the app is terminated
LOG_SECONDS = 60.0  # between two log lines of one kind
MAX_THREADS = 8  # for requests; as many again run the functions of the page
WATCH_SECONDS = 10.0
WATCH_FAILURES = 6  # in a row, before the watchdog ends the process

# Environment variables that libraries read once, at import. More threads only make visitors wait for each other:
# OpenBLAS alone would start one busy-waiting thread per core.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime would send telemetry, from a database in the home folder
    # Gradio would send statistics, and after each call analyse its last 10,000 with pandas for a page that is disabled.
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "64",
}

# Memory settings of the C library: glibc's names and numbers of mallopt. By default glibc keeps the memory of photos in
# one heap per thread: after 2,000 calls the app used 906 MB, with these values a third of that.
MEMORY = {
    "M_MMAP_THRESHOLD": (-3, 2**16),  # bytes: larger arrays go back to the system as soon as they are freed
    "M_TRIM_THRESHOLD": (-1, 2**17),
    "M_ARENA_MAX": (-8, 1),
}

QUEUE: dict[str, Any] = {
    "api_open": False,  # all calls go through the queue
    "max_size": None,  # queue.py limits each kind of call by itself
    "default_concurrency_limit": 1,
}

LAUNCH: dict[str, Any] = {
    "quiet": True,  # Gradio would suggest sharing the app publicly
    "max_threads": MAX_THREADS,
    "max_file_size": f"{MAX_UPLOAD_MB}mb",
    "show_error": False,  # clients get no tracebacks and paths
    "enable_monitoring": False,  # None would leave a summary page open
    "run_history": False,
    "ssr_mode": False,
    "strict_cors": True,
    "share": False,
    "inbrowser": False,
    "pwa": False,
    "state_session_capacity": MAX_SESSIONS,
    "allowed_paths": [],
    "footer_links": [],
}

# Gradio's page needs inline scripts and, for HTML components, eval; the explorer's modules are Blobs. No other host may
# be contacted. The Hub shows its Spaces in frames.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",  # the last: `headers` adds to it
    ]
)
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*://(?:\*\.)?[a-zA-Z0-9.-]+(?::(?:[0-9]+|\*))?)(?:/\S*)?")
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
FILE_POLICY = "sandbox; default-src 'none'"  # an uploaded file is shown as a picture and never executed


def headers(frame_ancestors: Iterable[str] = ()) -> dict[str, str]:
    """HEADERS, where pages at `frame_ancestors` (URLs, of which the origin counts) may show the app in a frame too.

    Raises:
        ValueError: not a URL with a scheme and a host.
    """
    origins = []
    for url in frame_ancestors:
        match = ORIGIN.fullmatch(url)
        if not match:
            raise ValueError(f"{url!r} is not the URL of a page; expected one like https://course.example.org")
        origins.append(match[1])
    return HEADERS | {"Content-Security-Policy": " ".join([CONTENT_SECURITY_POLICY, *origins])}


def set_environment(*, threads: bool = True) -> None:
    """Set the environment variables that libraries read at import. Call it before importing any of them.

    Without `threads`, those that limit threads are left alone: the process also does other work.
    """
    for name, value in ENVIRONMENT.items():
        if not threads and name.endswith("_NUM_THREADS"):
            continue
        if name.startswith("GRADIO_"):
            os.environ[name] = value
        else:  # the machine's owner decides how many cores to use
            os.environ.setdefault(name, value)


def is_behind_proxy() -> bool:
    """Whether X-Forwarded headers are trusted: on a Space, or if uvicorn's own variable names the proxy's addresses."""
    return bool(os.environ.get("FORWARDED_ALLOW_IPS") or os.environ.get("SPACE_ID"))


def set_memory() -> None:
    """Make glibc return memory to the system; other C libraries are not changed."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        tell = ctypes.CDLL("libc.so.6").mallopt
        for number, value in MEMORY.values():
            tell(number, value)
