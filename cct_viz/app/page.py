"""The page: the explorer in one HTML component, and what only the server can do for it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection
from html import escape
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from ..architecture.cost import count_macs
from ..checkpoints import CheckpointError
from ..checkpoints.safetensors import to_bytes
from ..inference.classifier import Classifier
from ..methods.strongest import read_sheet
from ..server.settings import KEEP_SECONDS
from ..web.html import TITLE, describe_gallery, describe_model, pack_files, page_script, page_style
from .api import add_endpoints
from .models import Models
from .page_calls import add_page_calls

# A model beyond one of these runs on the server: its weights as float16, and the multiply-accumulates of a pass.
MOST_BYTES, MOST_MACS = 16_000_000, 2_000_000_000

_STYLE = "cct-explorer-style"
# The style sheet goes into <head>, because Gradio rewrites the rules of a component's own.
_ON_LOAD = f"""
const STYLE = %s;
if (!document.getElementById("{_STYLE}")) {{
  const style = document.createElement("style");
  style.id = "{_STYLE}";
  style.textContent = STYLE;
  document.head.append(style);
}}
%s
globalThis.cctExplorer = cctExplorer;
cctExplorer.session = cctExplorer.openApp({{element: element.querySelector(".cct-app"), props}});
"""


def build_page(models: Models, report: str | None = None) -> gr.Blocks:
    """The whole app as Gradio blocks, not yet launched. The page runs the models in the visitor's browser.

    Args:
        report: HTML of a data set's report, shown in a tab of its own where no script runs.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, KEEP_SECONDS)) as page:
        with contextlib.nullcontext() if report is None else gr.Tab("Explorer"):
            explorer = gr.HTML(
                html_template='<div class="cct-app"></div>',
                js_on_load=_ON_LOAD % (json.dumps(page_style()), page_script()),
                apply_default_css=False,
                padding=False,
                elem_id="explorer",
            )
        if report is not None:
            with gr.Tab("Data set"):
                frame = f'<iframe title="Report of a data set" sandbox srcdoc="{escape(report)}"></iframe>'
                gr.HTML(frame, apply_default_css=False, padding=False, elem_id="report")
        files = PageFiles(explorer)
        explorer.value = json.dumps(
            {
                "models": _describe(models, files),
                "pictures": describe_gallery(),
                "languages": files.languages(),
            }
        )

        def tell_news(shown: Collection[str]) -> str:
            line = models.hub_line()
            hub = {"text": line.text, "busy": line.busy, "canRetry": line.can_retry}
            files.languages()  # written again if a cleaner took them
            news = [model for model in _describe(models, files) if model["id"] not in shown]
            return json.dumps({"models": news, "hub": hub})

        add_endpoints(models)
        add_page_calls(models, tell_news)
    return page


class PageFiles:
    """What visitors' pages fetch: weights and sheets of strongest patches of each model, and the texts of each language
    besides English. Each file is written again if a cleaner took it."""

    def __init__(self, owner: gr.HTML):
        self._owner = owner
        self._paths: dict[str, str | None] = {}

    def address(self, classifier: Classifier) -> str | None:
        """Where a page fetches the weights, relative to it; None if the model is too large for a page."""
        return self._address(f"{classifier.source.sha256[:16]}.safetensors", lambda: _weights(classifier))

    def patches(self, classifier: Classifier) -> list[str | None]:
        """Where a page fetches the sheet of strongest patches of each conv stage; None if the model has none."""

        def address(stage: int) -> str | None:
            name = f"{classifier.source.sha256[:16]}-{stage + 1}.jpg"
            return self._address(name, lambda: read_sheet(classifier.folder, classifier.config, stage))

        return [address(stage) for stage in range(len(classifier.config.tokenizer))]

    def languages(self) -> dict[str, str | None]:
        """Where a page fetches its texts, relative to it, by the language's code."""
        return {code: self._address(f"{code}.json", path.read_bytes) for code, path in pack_files().items()}

    def _address(self, name: str, content: Callable[[], bytes | None]) -> str | None:
        path = self._paths.get(name, "")
        if path is not None and not os.path.exists(path):
            path = self._paths[name] = self._write(name, content())
        return path and f"gradio_api/file={path}"

    def _write(self, name: str, content: bytes | None) -> str | None:
        if content is None:
            return None
        path = save_bytes_to_cache(content, name, self._owner.GRADIO_CACHE)
        self._owner.keep_in_cache.add(path)
        return path


def _weights(classifier: Classifier) -> bytes | None:
    """As float16; None if the model is too large for a page, or a weight is too large for float16."""
    if not _fits(classifier):
        return None
    try:
        return to_bytes(classifier.weights, dtype="float16")
    except CheckpointError:
        return None


def _fits(classifier: Classifier) -> bool:
    return classifier.num_parameters * 2 <= MOST_BYTES and count_macs(classifier.config) <= MOST_MACS


def _describe(models: Models, files: PageFiles) -> list[dict[str, Any]]:
    described = []
    for name in models.names():
        classifier = models.get(name)
        address = files.address(classifier)
        weights = None if address is None else {"address": address}
        described.append({**describe_model(classifier, weights, files.patches(classifier)), "id": name})
    return described
