"""Middleware in front of Gradio: closed routes, limits on request bodies, and security headers on every response.

Gradio only limits the size of an uploaded file. It reads JSON of any size into memory, accepts pictures as data URLs of
any size, fetches public URLs, and has no time limit for a body.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse

from . import settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# The routes that the page and gradio_client use. Gradio has others, which fetch URLs for callers, write sessions to
# disk for links, serve its editor, and accept any number of recordings.
OPEN = re.compile(
    r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon)?/?"
    r"|/(assets|static|svelte|pwa_icon)/.+"
    r"|/gradio_api/(info|openapi\.json|startup-events|app_id|user|login_check|theme\.css|upload|upload_progress|cancel"
    r"|reset|queue/(join|data|status))/?"
    r"|/gradio_api/(heartbeat|call)/.+"
    r"|/gradio_api/file(=|/)(?![a-zA-Z][a-zA-Z0-9+.-]+:).+"
)
MCP = re.compile(r"/gradio_api/mcp(/.*)?")
UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"
FORM_BYTES = 100_000  # for the multipart headers of an upload
DRAIN_SECONDS = 5.0
SCHEME = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]+:")  # two letters or more: one letter is a Windows drive


class BodyError(MultiPartException):
    """A request body is refused with `status`. Gradio's parser removes its files when this error is raised."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """ASGI middleware around Gradio's routes."""

    def __init__(
        self,
        app: App,
        *,
        health: Callable[[], dict[str, bool]],
        admit: Callable[[int], bool],
        give_back: Callable[[int], None],
        mcp: bool = False,
        headers: Mapping[str, str] = settings.HEADERS,
    ) -> None:
        """`health` gives the response of /healthz; `admit(n)` says whether `n` more bytes may be stored; `give_back(n)`
        releases admitted bytes that were not stored."""
        self.app, self.health, self.mcp, self.headers = app, health, mcp, headers
        self.admit, self.give_back = admit, give_back

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        exchange = Exchange(self, scope, receive, send, path)
        try:
            await self.answer(exchange, scope, path)
        except BodyError as error:
            await exchange.refuse(error.status, error.message)

    async def answer(self, exchange: Exchange, scope: Message, path: str) -> None:
        if path == "/healthz":
            report = self.health()
            return await exchange.reply(200 if all(report.values()) else 503, report)
        if not OPEN.fullmatch(path) and not (self.mcp and MCP.fullmatch(path)):
            return await exchange.refuse(404, "Not found.")
        exchange.check_length()
        if exchange.upload:
            exchange.take_room(b"")
            try:
                return await self.app(scope, exchange.receive, exchange.send)
            finally:
                if exchange.fault:  # Gradio's parser has removed its files
                    self.give_back(exchange.reserved_bytes)
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):  # event streams stay open for hours: no time limit
            return await self.app(scope, exchange.pass_on, exchange.send)
        body = await exchange.read()
        check_paths(body)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await exchange.pass_on()

        await self.app(scope, replay, exchange.send)


class Exchange:
    """One request and its response: limits the size and time of the body, and adds the headers."""

    def __init__(self, guard: Guard, scope: Message, receive: Receive, send: Send, path: str) -> None:
        self.upload = upload = path.rstrip("/") == UPLOAD and scope["method"] == "POST"
        self.limit = settings.MAX_UPLOAD_MB * settings.MB + FORM_BYTES if upload else settings.MAX_JSON_BYTES
        self.seconds = settings.UPLOAD_SECONDS if upload else settings.JSON_SECONDS
        self.deadline = time.monotonic() + self.seconds
        self.guard, self.scope, self.path, self._receive, self._send = guard, scope, path, receive, send
        self.headers = Headers(scope=scope)
        content_length = self.headers.get("content-length", "")
        self.length = int(content_length) if content_length.isdecimal() else self.limit
        self.size, self.complete, self.started = 0, False, False
        self.reserved_bytes, self.parts, self.tail = 0, 0, b""
        self.boundary = b"--" + parse_options_header(self.headers.get("content-type"))[1].get(b"boundary", b"")
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
        if self.upload:
            self.take_room(message.get("body", b""))
        return message

    def take_room(self, body: bytes) -> None:
        """Reserve disk space for these bytes as they arrive: an announced length alone reserves nothing.

        Raises:
            BodyError: no space is left, or there are too many files, each of which takes a disk block and a folder.
        """
        window = self.tail + body
        files = window.count(self.boundary)
        self.tail = window[-len(self.boundary) + 1 :]
        self.parts += files
        if self.parts > settings.MAX_FILES + 1:  # the closing boundary counts too
            self.fail(413, f"An upload can have at most {settings.MAX_FILES} files; send the others separately.")
        room = len(body) + files * settings.FILE_BYTES
        if not self.guard.admit(room):
            self.fail(503, "The app has no room for more pictures now; try again in a few minutes.")
        self.reserved_bytes += room

    async def pass_on(self) -> Message:
        return await self._receive()

    async def read(self) -> bytes:
        """The whole body."""
        parts = []
        while not self.complete:
            parts.append((await self.receive()).get("body", b""))
        return b"".join(parts)

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

    async def reply(self, status: int, content: object) -> None:
        response = JSONResponse(content, status, headers={"Cache-Control": "no-store"})
        await response(self.scope, self.pass_on, self.send)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.fault:  # Gradio's parser handled the error and set another status
                await self.drain()
                message = {**message, "status": self.fault.status}
            headers = MutableHeaders(scope=message)
            for name, value in self.guard.headers.items():
                headers[name] = value
            if self.path.startswith("/gradio_api/file"):
                headers["Content-Security-Policy"] = settings.FILE_POLICY
            # Gradio's page shows a fixed sentence for 503 and the response's text for any other status. Only browsers
            # send this header; gradio_client handles 503.
            full = message["status"] == 503 and self.path == JOIN and "sec-fetch-mode" in self.headers
            message = {**message, "status": 429} if full else message
        await self._send(message)


def check_paths(body: bytes) -> None:
    """Refuse JSON with a URL as a file's path: Gradio would fetch or decode it without a size limit.

    Raises:
        BodyError: it has such a path, or is nested too deeply to check.
    """
    if not body:
        return
    try:
        pending = [json.loads(body)]
    except RecursionError:
        raise BodyError(400, "The JSON of the request is nested too deeply.") from None
    except ValueError:
        return  # not JSON: Gradio responds itself
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and SCHEME.match(path):
                raise BodyError(400, "The request has a picture as a URL; upload it as a file.")
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
