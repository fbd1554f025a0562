"""The endpoints as tools of the Model Context Protocol (MCP): what a language model may hand over as a picture.

Gradio asks it for the URL of any picture on the web and fetches that. This app fetches nothing for callers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio.mcp
from anyio import to_thread
from gradio_client import handle_file
from gradio_client.utils import is_file_obj_with_meta

from . import settings
from .data_urls import NOT_READABLE, REFUSED
from .exchange import FILE
from .janitor import holds
from .log import one_line

PICTURE = (
    f"A picture: a data: URL (data:image/png;base64,...) of at most {settings.MAX_UPLOAD_MB} MB, or a file uploaded to "
    f"this app: the path that its /gradio_api/upload answers, or the address of that file under {FILE}. If there is a "
    "tool upload_file_to_gradio, what it answers works too. No other address is fetched."
)
NOT_UPLOADED = (
    "This app has no such picture, or no longer, and fetches none from elsewhere. Send a data: URL, or upload the "
    "picture to /gradio_api/upload and send the path that it answers."
)


class Tools(gradio.mcp.GradioMCPServer):
    """Gradio's MCP server, which takes pictures as data: URLs and as uploads of this app."""

    @property
    def _file_data_tool_description(self) -> str:
        return ""  # the schema says it

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        simple, positions = super().simplify_filedata_schema(schema)
        for name, *_ in positions:
            simple["properties"][name] = {"type": "string", "description": PICTURE}
        return simple, positions

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        files = {name for name, *_ in filedata_positions}
        folder = self.blocks.GRADIO_CACHE
        return {
            name: handle_file(find_upload(item, folder)) if name in files and isinstance(item, str) else item
            for name, item in value.items()
        }

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        """The contents of an answer: JSON as JSON, pictures, and of a JSON file its "summary" and its address."""
        contents: list[Any] = []
        for output in data:
            is_file = is_file_obj_with_meta(output)
            if not is_file and not isinstance(output, str):
                contents.append(self._text(json.dumps(output, ensure_ascii=False)))
                continue
            summary = read_summary(output["path"], self.blocks.GRADIO_CACHE) if is_file else None
            told: list[Any] = super().postprocess_output_data([output], root_url)
            if summary is not None:
                told = [self._text(summary), self._text(f"All numbers, as JSON: {told[0].text}")]
            contents += told
        return contents

    def _text(self, text: str) -> Any:
        return self.types.TextContent(type="text", text=text)

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        result = await to_thread.run_sync(job.result)
        return list(result) if isinstance(result, (list, tuple)) else [result]  # Gradio shows several as one text


def find_upload(text: str, folder: str) -> str:
    """The path of a picture in the app's folder of uploads, from its path or its address at any host.

    Raises:
        ValueError: there is no such file, or the guard refused a data: URL.
    """
    if text.startswith(REFUSED):
        raise ValueError(one_line(text.removeprefix(REFUSED)))
    if text.startswith("data:"):  # with escapes that the guard does not read
        raise ValueError(NOT_READABLE)
    _, is_address, path = text.partition(FILE)
    path = unquote(path) if is_address else text
    if not holds(folder, path):
        raise ValueError(NOT_UPLOADED)
    return path


def read_summary(path: str, folder: str) -> str | None:
    """The "summary" of a JSON file in the app's folder, as JSON; None for other files."""
    if not path.endswith(".json") or not holds(folder, path):
        return None
    content = json.loads(Path(path).read_bytes())
    return json.dumps(content["summary"], ensure_ascii=False) if "summary" in content else None


@contextlib.contextmanager
def tools() -> Iterator[None]:
    """Pages that are launched in this block with `mcp_server=True` have these tools; Gradio has no argument for it."""
    original = gradio.mcp.GradioMCPServer
    gradio.mcp.GradioMCPServer = Tools  # type: ignore[misc]
    try:
        yield
    finally:
        gradio.mcp.GradioMCPServer = original  # type: ignore[misc]
