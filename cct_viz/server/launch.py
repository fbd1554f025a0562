"""Serve a Gradio page behind the guard, janitor and watchdog. The limits are in settings.py."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from anyio import to_thread
from starlette.middleware import Middleware

from .calls import endpoint_names, explain_failures
from .connections import limited_connections
from .guard import Guard
from .health import Checks, make_report, start_watchdog
from .janitor import Janitor
from .log import limit_log
from .queue import count_calls, drop_closed_sessions, limit_queue
from .sessions import keep_only_state
from .settings import LAUNCH, MAX_THREADS, QUEUE
from .shutdown import Traffic

_PACKAGE = Path(__file__).resolve().parents[1]
# No file of these may be fetched: the repository, or an installed package (beside it lie Gradio's own files).
PRIVATE = _PACKAGE.parent if (_PACKAGE.parent / "app.py").is_file() else _PACKAGE


def launch(
    page: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    block: bool = True,
    checks: Checks | None = None,
    mcp: bool = False,
    appearance: Mapping[str, Any] | None = None,
) -> Any:
    """Serve `page` at `host` (None: 127.0.0.1) and `port` (None: 7860, or the next free port).

    The server contacts no other machine, sends no tracebacks and no files of the repository, and limits the memory,
    time and disk space of each request as set in settings.py.

    Args:
        page: built after `make_folder`, so that its files are in the folder that is swept.
        checks: name -> whether that part works, besides the queue, for /healthz.
        appearance: arguments of Gradio's `launch` for the look of the page.
        mcp: also serve the endpoints as tools for language models; needs `pip install 'gradio[mcp]'`.

    Returns:
        The FastAPI app, its local address and its public one (always None), when not blocking.

    Raises:
        OSError: no such address on this machine, or the port is in use; the message is one sentence.
    """
    host = host or "127.0.0.1"
    if mcp and importlib.util.find_spec("mcp") is None:
        raise OSError("The package for MCP is not installed: run pip install 'gradio[mcp]', or start without --mcp.")
    _try_address(host, port)
    _use_no_proxy(host)
    if block and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    page.queue(**QUEUE)
    limit_queue(page._queue)
    explain_failures(page)
    janitor = Janitor(Path(page.GRADIO_CACHE), keep=lambda: _shown_files(page))
    traffic = Traffic()
    guard = Middleware(
        Guard,
        health=make_report(page, {**(checks or {}), "disk": janitor.has_space}),
        admit=janitor.admit,
        give_back=janitor.give_back,
        has_space=janitor.has_space,
        traffic=traffic,
        endpoints=endpoint_names(page),
        shown=lambda: _shown_files(page),
        mcp=mcp,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = MAX_THREADS
        async with janitor.at_work(lambda removed: _forget(page, removed)):
            yield

    limit_log()
    with limited_connections():
        served = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            blocked_paths=[str(PRIVATE)],
            mcp_server=mcp,
            app_kwargs={"middleware": [guard], "lifespan": lifespan},
            **(appearance or {}),
            **LAUNCH,
        )
    limit_log()  # again, because uvicorn has set up its own
    keep_only_state(served[0], page)
    print(f"CCT Explorer is at {served[1]} (Ctrl+C to stop).", flush=True)
    if block:
        start_watchdog(served[1].replace("//0.0.0.0", "//127.0.0.1"))
        try:
            page.block_thread()
        except SystemExit:
            traffic.finish(lambda: count_calls(page._queue))
            raise
    return served


def _end(number: int, _: object) -> NoReturn:
    """Exit cleanly, so that visitors' files are removed; a second signal ends the process immediately."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)


def _shown_files(page: gr.Blocks) -> set[str]:
    """Gradio's copies of the pictures that the page shows to every visitor."""
    return set().union(*(block.keep_in_cache for block in page.blocks.values()))


def _forget(page: gr.Blocks, removed: set[str]) -> None:
    """Delete Gradio's records of removed files and of closed sessions."""
    for files in page.temp_file_sets:
        files.difference_update(removed)
    drop_closed_sessions(page._queue)


def _use_no_proxy(host: str) -> None:
    """Gradio requests its own page when it starts, which a proxy of the environment cannot reach."""
    for name in ("no_proxy", "NO_PROXY"):
        given = filter(None, os.environ.get(name, "").split(","))
        os.environ[name] = ",".join(dict.fromkeys([*given, "localhost", "127.0.0.1", host]))


def _try_address(host: str, port: int | None) -> None:
    """Listen for a moment, because Gradio reports neither a wrong host nor the reason why a port fails."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        where = host if port is None else f"{host}, port {port}"
        raise OSError(f"The app cannot listen on {where}: {reason}. Choose another host or port.") from error
