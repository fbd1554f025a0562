"""One request, one answer: POST /gradio_api/run/NAME.

Gradio's other calls take three requests (upload, call, answer), which must reach the same process. Its own route of
this name would not wait its turn in the queue; so this makes a call and waits for the answer.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import Any

from .exchange import RUN, App, Message, Receive, replay, with_length
from .janitor import holds

CALL = "/gradio_api/call/"
LOST = "The app ended the call without an answer; try again."


async def run(app: App, scope: Message, path: str, body: bytes, receive: Receive) -> tuple[int, dict[str, Any]]:
    """Call the endpoint that `path` names with `body`, {"data": [inputs]}, and wait for its answer.

    Args:
        receive: tells when the caller has left.

    Returns:
        Status and JSON: 200 and {"data": [outputs]}, or 4xx or 503 and {"detail": a sentence}.
    """
    prefix, name = scope["path"].removesuffix(path), RUN.fullmatch(path)[1]  # type: ignore[index]
    call = f"{prefix}{CALL}{name}"
    status, joined = await _ask(app, scope, call, body, receive)
    if status != 200:
        return status, json.loads(joined)
    event = json.loads(joined)["event_id"]
    _, stream = await _ask(app, {**scope, "method": "GET"}, f"{call}/{event}", b"", receive)
    kind, data = _last_event(stream)
    if kind == "complete":
        return 200, {"data": data}
    reason = data.get("error") if isinstance(data, dict) else None
    return 422, {"detail": reason or LOST}


async def _ask(app: App, scope: Message, path: str, body: bytes, receive: Receive) -> tuple[int, bytes]:
    inner = {**with_length(scope, body), "path": path, "raw_path": path.encode(), "query_string": b""}
    status, parts = 0, []

    async def take(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    await app(inner, replay(body, receive), take)
    return status, b"".join(parts)


def _last_event(stream: bytes) -> tuple[str, Any]:
    """Kind and data of the last event of a stream; heartbeats have no data."""
    last: tuple[str, Any] = "", None
    for block in stream.decode().split("\n\n"):
        kind, _, data = block.removeprefix("event: ").partition("\ndata: ")
        if kind in ("complete", "error"):
            last = kind, json.loads(data)
    return last


def with_contents(value: Any, folder: str) -> Any:
    """An answer with each file of `folder` as a data: URL in "url", because another process cannot send it later."""
    if isinstance(value, list):
        return [with_contents(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    path = value.get("path")
    if isinstance(path, str) and holds(folder, path):
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        content = base64.b64encode(Path(path).read_bytes()).decode()
        return {**value, "url": f"data:{kind};base64,{content}"}
    return {key: with_contents(item, folder) for key, item in value.items()}
