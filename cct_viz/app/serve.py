"""Reads the arguments of the app and serves the page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..server import settings
from ..server.stubs import without_stubs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python app.py` and `cct-viz app`."""
    parser.add_argument(
        "--model", action="append", default=[], metavar="FOLDER_OR_REPO", help="also serve this model; can be repeated"
    )
    parser.add_argument("--host", help="address to listen on (GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (GRADIO_SERVER_PORT, else 7860 or the next free)")
    parser.add_argument("--no-hub", action="store_true", help="make no request to the Hugging Face Hub")
    parser.add_argument(
        "--root-path",
        metavar="PATH",
        help="path under which a proxy publishes the app, such as /cct",
    )
    parser.add_argument(
        "--frame-ancestors",
        nargs="+",
        action="extend",
        default=[],
        metavar="URL",
        help="pages on other hosts that may show the app in a frame, such as https://course.example.org",
    )
    text = "the HTML file that `cct-viz report` wrote, to be shown in a tab of its own"
    parser.add_argument("--report", type=Path, metavar="FILE", help=text)
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints to language models as MCP tools")


def read_address(arguments: argparse.Namespace) -> tuple[str | None, int | None]:
    """Host and port from the arguments, else from Gradio's environment variables, else None.

    The variables are removed from the environment: Gradio fails on invalid ones, and tries other ports after this one.

    Raises:
        OSError: the port is not a number from 1 to 65535.
    """
    host, text = (os.environ.pop(f"GRADIO_SERVER_{name}", None) for name in ("NAME", "PORT"))
    text = text if arguments.port is None else arguments.port
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        shown = text if len(text) <= 20 else f"{text[:20]}..."
        raise OSError(f"{shown!r} is not a port; --port and GRADIO_SERVER_PORT take a number from 1 to 65535.")
    return arguments.host or host, int(text) if text else None


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until the process is ended. The entry points call `settings.set_environment` before.

    Raises:
        CheckpointError: a requested model cannot be loaded.
        OSError: the address does not exist, or the port is taken.
        ValueError: not a URL in --frame-ancestors.
    """
    host, port = read_address(arguments)  # before Gradio is imported, which fails on a bad port
    with without_stubs():
        from ..server.launch import launch
        from .embed import make_page

        page = make_page(arguments.model, hub=not arguments.no_hub, report=arguments.report)
    launch(
        host=host,
        port=port,
        mcp=arguments.mcp,
        root_path=arguments.root_path,
        frame_ancestors=arguments.frame_ancestors,
        **page,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """`python app.py`: the exit status, 1 with one sentence on stderr where the app cannot start."""
    settings.set_environment()  # before any other import: the libraries read it once
    settings.set_memory()
    parser = argparse.ArgumentParser(description="Serve the explorer for Compact Convolutional Transformers.")
    add_arguments(parser)
    parsed = parser.parse_args(arguments)
    from ..checkpoints import CheckpointError

    try:
        serve(parsed)
    except (CheckpointError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
