"""The app inside something else: a notebook, or another web app."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..server import settings

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

# Where notebooks run on this machine: JupyterLab and Jupyter choose any port.
LOCAL = ("http://localhost:*", "http://127.0.0.1:*")
COLAB = ("https://colab.research.google.com", "https://*.googleusercontent.com")


@dataclass(frozen=True, eq=False)
class Running:
    """An app that runs beside a notebook's cells.

    Attributes:
        url: its address on this machine.
        page: Gradio's blocks.
    """

    url: str
    page: gr.Blocks

    def close(self) -> None:
        """Stop the app and free its port."""
        self.page.close(verbose=False)

    def __repr__(self) -> str:
        return f"<CCT Explorer at {self.url}; .close() stops it>"


def make_page(sources: Sequence[str], *, hub: bool, report: Path | None = None) -> dict[str, Any]:
    """The arguments of the server's `launch` and `mount` that are about the page. With `hub`, missing models are
    downloaded once it serves.

    Args:
        report: the HTML file of a data set's report, for a tab of its own.

    Raises:
        CheckpointError: a source cannot be loaded.
        OSError: the report cannot be read.
    """
    html = None if report is None else _read_report(report)
    from ..server.janitor import make_folder
    from .models import Models

    models = Models(sources, hub=hub)
    make_folder()  # before the page is built, because its pictures are stored there
    from .page import build_page
    from .theme import appearance

    checks = {"model": models.is_there, "inference": models.works}
    return {"page": build_page(models, html), "checks": checks, "appearance": appearance(), "begin": models.download}


def _read_report(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OSError(f"{path} cannot be read ({reason}); give the HTML file that `cct-viz report` wrote") from error


def launch(
    *models: str,
    hub: bool = True,
    port: int | None = None,
    height: int = 800,
    frame_ancestors: Iterable[str] = (),
) -> Running:
    """Serve the app beside the cells of a notebook, which shows it in a frame; elsewhere, open the printed address.

    A notebook whose kernel runs on another machine cannot reach that address, except in Colab; there,
    `trace.explore()` needs no server.

    Args:
        models: served besides the bundled ones: folders or Hub repositories.
        hub: whether to use the Hugging Face Hub.
        port: by default 7860 or the next free one.
        height: of the frame, in CSS pixels.
        frame_ancestors: URLs of other pages that may show the app in a frame.

    Raises:
        CheckpointError: a model cannot be loaded.
        OSError: the port is in use.
        ValueError: not a URL in `frame_ancestors`.
    """
    settings.set_environment(threads=False)
    from ..server.launch import launch as launch_server

    made = make_page(models, hub=hub)
    made["appearance"] |= {"height": height}
    ancestors = [*LOCAL, *(COLAB if "google.colab" in sys.modules else ()), *frame_ancestors]
    _, url, _ = launch_server(port=port, block=False, frame_ancestors=ancestors, **made)
    return Running(url, made["page"])


def mount(app: FastAPI, path: str, *models: str, hub: bool = False, frame_ancestors: Iterable[str] = ()) -> None:
    """Serve the app under `path` of a FastAPI app, such as "/cct", with its limits, its headers and `path`/healthz.

    Args:
        models, frame_ancestors: as in `launch`.
        hub: as in `launch`, but off unless asked for: the host decides where its process connects to.

    Raises:
        CheckpointError: a model cannot be loaded.
        ValueError: the path is not like "/cct", or not a URL in `frame_ancestors`.
    """
    settings.set_environment(threads=False)
    from ..server.launch import mount as mount_page

    mount_page(app, path=path, frame_ancestors=frame_ancestors, **make_page(models, hub=hub))
