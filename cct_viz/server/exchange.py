"""One request and its response: limits on the body, room on the disk, what a refusal says, and headers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse

from . import settings
from .calls import DISK_FULL, is_disk_full

if TYPE_CHECKING:
    from .guard import Guard

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"
FILE = "/gradio_api/file="
RUN = re.compile(r"/gradio_api/run/([^/]+)/?")
MCP = re.compile(r"/gradio_api/mcp(/.*)?")
FORM_BYTES = 100_000  # for the multipart headers of an upload
DRAIN_SECONDS = 5.0
NO_ROOM = "The app has no room for more pictures now; try again in a few minutes."
NOT_KNOWN = b"404: Not Found"  # in the event stream of a session that this process does not have
RELOAD = b'"session_not_found":true'  # Gradio's page would load itself again and again, instead of saying what happened
NOT_HERE = (
    b"The app does not know this call. It was restarted, or it runs in several processes: "
    b"then each visitor must always reach the same one."
)


def with_length(scope: Message, body: bytes) -> Message:
    """The request with another body, which its Content-Length tells."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a whole body first, then what the real one gives."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give


class BodyError(MultiPartException):
    """A request body is refused with `status`. Gradio's parser removes its files when this error is raised."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Exchange:
    """One request and its response: limits the size and time of the body, and adds the headers."""

    def __init__(self, guard: Guard, scope: Message, receive: Receive, send: Send, path: str) -> None:
        self.upload = upload = path.rstrip("/") == UPLOAD and scope["method"] == "POST"
        self.run = scope["method"] == "POST" and bool(RUN.fullmatch(path))
        self.mcp = guard.mcp and scope["method"] == "POST" and bool(MCP.fullmatch(path))
        self.data_urls = self.run or self.mcp
        picture = settings.MAX_UPLOAD_MB * settings.MB
        self.limit = settings.MAX_JSON_BYTES
        if upload:
            self.limit = picture + FORM_BYTES
        if self.data_urls:  # base64 has four characters for three bytes
            self.limit += picture * 4 // 3
        self.seconds = settings.UPLOAD_SECONDS if upload or self.data_urls else settings.JSON_SECONDS
        self.deadline = time.monotonic() + self.seconds
        self.guard, self.scope, self.path, self._receive, self._send = guard, scope, path, receive, send
        self.headers = Headers(scope=scope)
        content_length = self.headers.get("content-length", "")
        self.length = int(content_length) if content_length.isdecimal() else self.limit
        self.size, self.complete, self.started, self.event_stream = 0, False, False, False
        self.reserved_bytes, self.parts, self.tail, self.end = 0, 0, b"", b""
        self.held = 0  # bytes of a body with data: URLs in memory
        self.boundary = b"--" + parse_options_header(self.headers.get("content-type"))[1].get(b"boundary", b"")
        self.closed = self.boundary == b"--"  # whether the closing boundary came; without a boundary, Gradio refuses
        self.fault: BodyError | None = None

    def check_length(self) -> None:
        """Refuse a body whose Content-Length is too large, before reading it."""
        if self.length > self.limit:
            self.fail(413, "")

    def fail(self, status: int, text: str) -> NoReturn:
        if not text:
            limit = f"{self.limit // settings.MB} MB" if self.limit >= settings.MB else f"{self.limit // 1000} kB"
            text = f"The request is larger than the maximum allowed size of {limit}."
        self.fault = BodyError(status, text)
        raise self.fault

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            BodyError: the body is too large, takes too long or is incomplete.
        """
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self.deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.fail(408, f"The request did not arrive within {self.seconds:.0f} s. Try again.")
        if message["type"] == "http.disconnect":
            self.fail(400, "The connection closed before the request was complete.")
        self.complete = not message.get("more_body", False)
        self.size += len(message.get("body", b""))
        if self.size > self.limit:
            self.fail(413, "")
        if self.data_urls:
            self.hold(len(message.get("body", b"")))
        if self.upload:
            self.take_room(message.get("body", b""))
            if self.complete and not self.closed:
                self.fail(400, "The upload ends before its closing boundary; send it again.")
        return message

    def hold(self, length: int) -> None:
        """Count bytes that stay in memory until all have arrived, over all requests.

        Raises:
            BodyError: there are too many.
        """
        self.held += length
        self.guard.held += length
        if self.guard.held > settings.MAX_HELD_BYTES:
            self.fail(503, NO_ROOM)

    def take_room(self, body: bytes) -> None:
        """Reserve disk space for these bytes as they arrive: an announced length alone reserves nothing.

        Raises:
            BodyError: no space is left, or there are too many files, each of which takes a disk block and a folder.
        """
        window = self.tail + body
        files = window.count(self.boundary)
        self.tail = window[-len(self.boundary) + 1 :]
        self.end += body
        self.closed = self.closed or self.boundary + b"--" in self.end
        self.end = self.end[-len(self.boundary) - 1 :]
        self.parts += files
        if self.parts > settings.MAX_FILES + 1:  # the closing boundary counts too
            self.fail(413, f"An upload can have at most {settings.MAX_FILES} files; send the others separately.")
        if not self.guard.has_space():  # Gradio's parser removes what arrived
            self.fail(507, DISK_FULL)
        room = len(body) + files * settings.FILE_BYTES
        if not self.guard.admit(room):
            self.fail(503, NO_ROOM)
        self.reserved_bytes += room

    async def pass_on(self) -> Message:
        return await self._receive()

    async def read(self) -> list[bytes]:
        """The whole body, in parts as they arrived."""
        parts = []
        while not self.complete:
            parts.append((await self.receive()).get("body", b""))
        return parts

    async def drain(self) -> None:
        """Read and discard the rest for a short time: a client that is still sending does not read a response."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.complete:
                    message = await self._receive()
                    self.complete = not message.get("more_body", False)
        except TimeoutError:
            return

    async def refuse(self, status: int, text: str) -> None:
        if self.started:  # too late for another response, so only end it
            raise RuntimeError(text)
        await self.drain()
        self.fault = None
        await self.reply(status, {"detail": text})

    async def give_up(self, error: Exception) -> None:
        """Answer a request at which Gradio failed: mostly at its form, because calls only join the queue here."""
        if self.started:
            if not self.event_stream:
                raise RuntimeError("The response ended early.") from None
            return await self._send({"type": "http.response.body", "body": b""})
        if is_disk_full(error):
            return await self.refuse(507, DISK_FULL)
        if self.scope["method"] == "POST" and isinstance(error, (LookupError, TypeError, ValueError)):
            return await self.refuse(400, "The request does not have the expected form; see /gradio_api/info.")
        await self.refuse(500, "The app failed at this request; its log says why.")

    async def reply(self, status: int, content: object) -> None:
        headers = {"Cache-Control": "no-store"} | ({"Retry-After": "60"} if status == 503 else {})
        response = JSONResponse(content, status, headers=headers)
        await response(self.scope, self.pass_on, self.send)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.fault:  # Gradio's parser handled the error and set another status
                await self.drain()
                message = {**message, "status": self.fault.status}
            headers = MutableHeaders(scope=message)
            self.event_stream = headers.get("content-type", "").startswith("text/event-stream")
            for name, value in self.guard.headers.items():
                headers[name] = value
            if self.path.startswith("/gradio_api/file"):
                headers["Content-Security-Policy"] = settings.FILE_POLICY
                if self.path.removeprefix("/gradio_api/file")[1:] not in self.guard.shown():
                    headers["Cache-Control"] = "no-store"
            # Gradio's page shows a fixed sentence for 503 and the response's text for any other status. Only browsers
            # send this header; gradio_client handles 503.
            full = message["status"] == 503 and self.path == JOIN and "sec-fetch-mode" in self.headers
            message = {**message, "status": 429} if full else message
        elif self.event_stream and NOT_KNOWN in message.get("body", b""):
            body = message["body"].replace(NOT_KNOWN, NOT_HERE)
            message = {**message, "body": body.replace(RELOAD, RELOAD.replace(b"true", b"false"))}
        await self._send(message)
