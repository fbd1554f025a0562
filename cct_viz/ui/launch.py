"""How the page is served: its look, and the parts that guard it put together. The numbers are in settings.py."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from anyio import to_thread
from starlette.middleware import Middleware

from ..settings import KEEP_SECONDS, LAUNCH, MAX_THREADS, MAX_UPLOAD_MB, QUEUE
from .guard import Guard
from .health import Checks, make_report, start_watchdog
from .janitor import Janitor
from .sessions import remember_little
from .waiting import forget_the_gone, harden

__all__ = ["KEEP_SECONDS", "MAX_UPLOAD_MB", "REPOSITORY", "launch", "theme"]

REPOSITORY = Path(__file__).resolve().parents[2]

# Gradio confines css to the inside of the box whose wide margins a phone has no room for.
NARROW = "<style>@media (max-width: 640px) { .gradio-container > .main { padding: .75rem .6rem !important; } }</style>"
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]


def theme() -> gr.themes.Base:
    """Quiet cards with hairlines and one accent; text passes AA contrast in light and dark. No fonts are fetched."""
    made = gr.themes.Base(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=FONT, font_mono=MONO, radius_size="md"
    )
    return made.set(
        body_background_fill="#fbfbfd",
        body_background_fill_dark="#0f1320",
        background_fill_primary="white",
        background_fill_primary_dark="#171c2b",
        background_fill_secondary="#f4f5f9",
        background_fill_secondary_dark="#1d2334",
        body_text_color="#1a1f2e",
        body_text_color_dark="#e8eaf2",
        body_text_color_subdued="#4f576b",
        body_text_color_subdued_dark="#aab2c5",
        block_background_fill="white",
        block_background_fill_dark="#171c2b",
        block_border_color="#e1e4ec",
        block_border_color_dark="#2a3145",
        block_border_width="1px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="white",
        block_label_background_fill_dark="#171c2b",
        block_label_text_color="#3c4357",
        block_label_text_color_dark="#c6ccdb",
        block_title_text_color="#3c4357",
        block_title_text_color_dark="#c6ccdb",
        block_info_text_color="#4f576b",
        block_info_text_color_dark="#aab2c5",
        input_background_fill="white",
        input_background_fill_dark="#1d2334",
        input_border_color="#c9cfdd",
        input_border_color_dark="#3a435c",
        input_placeholder_color="#5d667c",
        input_placeholder_color_dark="#9aa3b8",
        slider_color="#4338ca",
        slider_color_dark="#8b85f5",
        color_accent="#4338ca",
        color_accent_soft="#eef0fe",
        color_accent_soft_dark="#272c4d",
        button_primary_background_fill="#4338ca",
        button_primary_background_fill_dark="#4f46e5",
        button_secondary_background_fill="#eef0f5",
        button_secondary_background_fill_dark="#262d40",
        button_secondary_text_color="#1a1f2e",
        button_secondary_text_color_dark="#e8eaf2",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="#1d2334",
        checkbox_label_background_fill_selected="#eef0fe",
        checkbox_label_background_fill_selected_dark="#272c4d",
        checkbox_label_text_color_selected="#1a1f2e",
        checkbox_label_text_color_selected_dark="#e8eaf2",
        checkbox_background_color_selected="#4338ca",
        checkbox_background_color_selected_dark="#8b85f5",
        link_text_color="#4338ca",
        link_text_color_dark="#a5b4fc",
        error_text_color="#a11212",
        error_text_color_dark="#ffb4ab",
    )


def launch(
    page: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    block: bool = True,
    checks: Checks | None = None,
    mcp: bool = False,
) -> Any:
    """Serve `page` at `host` (None: 127.0.0.1) and `port` (None: 7860, or the next that is free).

    Nothing is asked of any other machine, tracebacks stay here, no file of the repository can be fetched, and no
    request can take more memory, time or disk than settings.py allows.

    Args:
        page: built after `make_folder`, so that its files lie where they may be swept.
        checks: name -> whether that part works, besides the queue, for /healthz.
        mcp: also serve the endpoints as tools for language models; needs `pip install 'gradio[mcp]'`.

    Returns:
        The FastAPI app, its local address and its public one (always None), when not blocking.

    Raises:
        OSError: no such address on this machine, or the port is taken; the message is one sentence.
    """
    host = host or "127.0.0.1"
    if mcp and importlib.util.find_spec("mcp") is None:
        raise OSError("The package for MCP is missing: run pip install 'gradio[mcp]', or start without --mcp.")
    _try_address(host, port)
    if block and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    page.queue(**QUEUE)
    harden(page._queue)
    janitor = Janitor(Path(page.GRADIO_CACHE), keep=lambda: _shown_files(page))
    room = {"admit": janitor.admit, "give_back": janitor.give_back}
    guard = Middleware(Guard, health=make_report(page, checks or {}), mcp=mcp, **room)

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = MAX_THREADS
        async with janitor.at_work(lambda gone: _forget(page, gone)):
            yield

    served = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        theme=theme(),
        head=NARROW,
        css_paths=Path(__file__).parent / "style.css",
        blocked_paths=[str(REPOSITORY)],
        mcp_server=mcp,
        app_kwargs={"middleware": [guard], "lifespan": lifespan},
        **LAUNCH,
    )
    remember_little(served[0], page)
    print(f"CCT Explorer is at {served[1]} (Ctrl+C ends it).", flush=True)
    if block:
        start_watchdog(served[1].replace("//0.0.0.0", "//127.0.0.1"))
        page.block_thread()
    return served


def _end(number: int, _: object) -> NoReturn:
    """End in order, so that visitors' files go; a second signal ends at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)


def _shown_files(page: gr.Blocks) -> set[str]:
    """The copies of the pictures that every visitor is shown first."""
    return set().union(*(block.keep_in_cache for block in page.blocks.values()))


def _forget(page: gr.Blocks, gone: set[str]) -> None:
    """Drop Gradio's book-keeping of files that are gone and of sessions that nobody will ask for."""
    for files in page.temp_file_sets:
        files.difference_update(gone)
    forget_the_gone(page._queue)


def _try_address(host: str, port: int | None) -> None:
    """Listen for a moment, because Gradio tells neither a wrong host nor what is wrong with a port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        where = host if port is None else f"{host}, port {port}"
        raise OSError(f"The app cannot listen on {where}: {reason}. Give another host or port.") from error
