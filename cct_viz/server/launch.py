"""Serve a Gradio page behind the guard, janitor and watchdog. The limits are in settings.py."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from anyio import to_thread
from fastapi import FastAPI
from gradio.processing_utils import save_bytes_to_cache
from starlette.middleware import Middleware

from .calls import explain_failures, kinds_of_calls
from .connections import limited_connections
from .guard import Guard
from .health import Checks, make_report, start_watchdog
from .janitor import Janitor
from .log import limit_log
from .queue import Door, count_calls, drop_closed_sessions, limit_queue
from .sessions import keep_only_state
from .settings import LAUNCH, MAX_SESSIONS, MAX_THREADS, QUEUE, headers
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
    root_path: str | None = None,
    frame_ancestors: Iterable[str] = (),
    begin: Callable[[], object] | None = None,
) -> Any:
    """Serve `page` at `host` (None: 127.0.0.1) and `port` (None: 7860, or the next free port).

    The server contacts no other machine, sends no tracebacks and no files of the repository, and limits the memory,
    time and disk space of each request as set in settings.py.

    Args:
        page: built after `make_folder`, so that its files are in the folder that is swept.
        checks: name -> whether that part works, besides the queue, for /healthz.
        appearance: arguments of Gradio's `launch` for the look of the page.
        mcp: also serve the endpoints as tools for language models; needs the package `mcp`.
        root_path: the path under which a proxy publishes the app, such as "/cct".
        frame_ancestors: URLs of pages on other hosts that may show the app in a frame.
        begin: called when the server starts, for work that can wait until then; must return at once.

    Returns:
        The FastAPI app, its local address and its public one (always None), when not blocking.

    Raises:
        OSError: no such address on this machine, or the port is in use; the message is one sentence.
        ValueError: not a URL in `frame_ancestors`.
    """
    host = host or "127.0.0.1"
    if mcp and importlib.util.find_spec("mcp") is None:
        raise OSError("The package for MCP is not installed: run pip install 'mcp>=1.21,<2', or start without --mcp.")
    _try_address(host, port)
    _use_no_proxy(host)
    if block and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    traffic = Traffic()
    app_kwargs = _protect(page, checks or {}, frame_ancestors, traffic, begin, mcp=mcp, max_threads=MAX_THREADS)
    limit_log(whole_process=block)
    with limited_connections(), _tools(mcp):
        served = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            blocked_paths=[str(PRIVATE)],
            mcp_server=mcp,
            root_path=root_path,
            app_kwargs=app_kwargs,
            **(appearance or {}),
            **LAUNCH,
        )
    limit_log(whole_process=block)  # again, because uvicorn has set up its own
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


def mount(
    app: FastAPI,
    page: gr.Blocks,
    path: str,
    *,
    checks: Checks | None = None,
    appearance: Mapping[str, Any] | None = None,
    frame_ancestors: Iterable[str] = (),
    begin: Callable[[], object] | None = None,
) -> None:
    """Serve `page` under `path` of a FastAPI app, with guard, headers, janitor and `path`/healthz as `launch` does.

    The app's own routes are not touched: they get no headers and no limits. Limits of connections and of the log, and
    what happens at SIGTERM, are the host's business.

    Args:
        page, checks, appearance, frame_ancestors, begin: as in `launch`.

    Raises:
        ValueError: the path is not like "/cct", or not a URL in `frame_ancestors`.
    """
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError(f"{path!r} is not a path to mount at; expected one like '/cct'")
    page.max_threads = MAX_THREADS
    page.state_session_capacity = MAX_SESSIONS
    app_kwargs = _protect(page, checks or {}, frame_ancestors, Traffic(), begin)
    takes = inspect.signature(gr.mount_gradio_app).parameters
    common = {name: value for name, value in LAUNCH.items() if name in takes}
    gr.mount_gradio_app(
        app, page, path, blocked_paths=[str(PRIVATE)], app_kwargs=app_kwargs, **(appearance or {}), **common
    )
    keep_only_state(app.routes[-1].app, page)  # type: ignore[attr-defined]  # the route that it has just added


def _protect(
    page: gr.Blocks,
    checks: Checks,
    frame_ancestors: Iterable[str],
    traffic: Traffic,
    begin: Callable[[], object] | None,
    *,
    mcp: bool = False,
    max_threads: int | None = None,
) -> dict[str, Any]:
    """Set the page's queue up. Returns arguments for FastAPI that bring guard and janitor.

    `max_threads` limits all threads for requests, where the process serves nothing else.
    """
    page.queue(**QUEUE)
    limit_queue(page._queue)
    explain_failures(page)
    kinds = kinds_of_calls(page)
    janitor = Janitor(Path(page.GRADIO_CACHE), keep=lambda: _shown_files(page))
    guard = Middleware(
        Guard,
        health=make_report(page, {**checks, "disk": janitor.has_space}),
        admit=janitor.admit,
        give_back=janitor.give_back,
        has_space=janitor.has_space,
        traffic=traffic,
        endpoints=kinds,
        shown=lambda: _shown_files(page),
        mcp=mcp,
        enter=Door(page._queue, kinds).enter,
        save=lambda content, name: save_bytes_to_cache(content, name, page.GRADIO_CACHE),
        folder=page.GRADIO_CACHE,
        headers=headers(frame_ancestors),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if max_threads:
            to_thread.current_default_thread_limiter().total_tokens = max_threads
        page.is_running = True  # which Gradio sets only in its own server
        async with janitor.at_work(lambda removed: _forget(page, removed)):
            if begin:
                begin()
            yield

    return {"middleware": [guard], "lifespan": lifespan}


def _tools(mcp: bool) -> contextlib.AbstractContextManager[None]:
    if not mcp:
        return contextlib.nullcontext()
    from .mcp import tools  # needs Gradio's module for MCP

    return tools()


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
