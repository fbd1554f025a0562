"""Everything that says how the app is served: limits, switches, headers, and what the libraries read at import.

Gradio's defaults suit one person and a notebook. Each setting here differs from its default for a reason, and the tests
fail when Gradio gains an argument that nobody has looked at. Importing this imports nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

MB = 1_000_000
MAX_UPLOAD_MB = 20
MAX_JSON_BYTES = 512_000  # of any request that is no upload; the page sends some hundred bytes
UPLOAD_SECONDS = 120.0  # for the whole body: 20 MB at 1.4 Mbit/s
JSON_SECONDS = 20.0
KEEP_SECONDS = 3600  # how long a visitor's files are kept
ABANDONED_SECONDS = 600  # how long the pieces of an upload that was broken off are kept
MAX_TEMP_MB = 500  # of visitors' files together; the oldest go first, and no upload is taken beyond twice as much
MAX_TEMP_FILES = 2000  # of visitors together, for file systems run out of names before they run out of room
MAX_FILES = 8  # in one upload; the page sends one, and Gradio would take a thousand
FILE_BYTES = 8192  # of the disk for a file and its folder, besides what is in it
SWEEP_SECONDS = 60.0
MAX_WAITING = 32  # calls in the queue, over all functions
MAX_SESSIONS = 48  # whose last picture is remembered, 4 MB each where it was large
MAX_MAILBOXES = 256  # sessions whose answers wait to be fetched; Gradio keeps 2,000, of some 100 kB each
MAX_THREADS = 8  # that answer requests; as many more run what the page calls
WATCH_SECONDS = 10.0
WATCH_FAILURES = 6  # in a row, until the process is ended

# For the libraries' eyes at import. More threads only make visitors wait for each other: OpenBLAS alone would start one
# for each core, and each of them would spin.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime would report to its maker, from a database in the home folder
    # Gradio would send statistics, and run pandas over its last 10,000 calls after each, for a page that is closed.
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "64",
}

# For the memory of the C library: glibc's names and numbers of mallopt. As it comes, it keeps what photos have taken,
# in a heap for each thread: after 2,000 calls the app had 906 MB, with these values a third of it.
MEMORY = {
    "M_MMAP_THRESHOLD": (-3, 2**16),  # bytes: larger arrays go back to the system as soon as they are forgotten
    "M_TRIM_THRESHOLD": (-1, 2**17),
    "M_ARENA_MAX": (-8, 1),
}

QUEUE: dict[str, Any] = {
    "api_open": False,  # nothing passes by the queue
    "max_size": MAX_WAITING,
    "default_concurrency_limit": 1,
}

LAUNCH: dict[str, Any] = {
    "quiet": True,  # Gradio would advise to share the app in public
    "max_threads": MAX_THREADS,
    "max_file_size": f"{MAX_UPLOAD_MB}mb",
    "show_error": False,  # tracebacks and paths stay here
    "enable_monitoring": False,  # None leaves a summary page open
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

# Gradio's page needs inline scripts and, for HTML components, eval; the explorer's modules are Blobs. Nothing may come
# from or go to another host. The Hub frames its Spaces.
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
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
FILE_POLICY = "sandbox; default-src 'none'"  # what a visitor uploaded is shown as a picture and never runs


def set_environment() -> None:
    """Set what the libraries read when they are imported. To be called before any of them is."""
    for name, value in ENVIRONMENT.items():
        if name.startswith("GRADIO_"):
            os.environ[name] = value
        else:  # how many cores to use is for the machine's owner to say
            os.environ.setdefault(name, value)


def set_memory() -> None:
    """Tell the C library to give memory back; does nothing where it is not glibc."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        tell = ctypes.CDLL("libc.so.6").mallopt
        for number, value in MEMORY.values():
            tell(number, value)
