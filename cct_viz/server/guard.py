"""What stands between the network and Gradio: closed routes, limits on bodies, and headers on every answer.

Gradio limits the size of an uploaded file and nothing else: JSON of any size is read into memory, pictures arrive as
data URLs of any size, public URLs are fetched, and a body may take for ever.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
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

# What the page and gradio_client ask for. Gradio has more: it fetches URLs for callers, writes sessions to the disk for
# links, serves its editor, and takes recordings of any number.
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
FORM_BYTES = 100_000  # what surrounds the files in an upload
DRAIN_SECONDS = 5.0
SCHEME = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]+:")  # two letters or more: one is a drive


class BodyError(MultiPartException):
    """A request's body is refused with `status`. Gradio's parser clears away its files when it meets one of these."""

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
    ) -> None:
        """`health`: what /healthz answers; `admit`: whether so many bytes more may be stored; `give_back`: they were
        not."""
        self.app, self.health, self.mcp = app, health, mcp
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
                if exchange.fault:  # Gradio's parser has cleared its files away
                    self.give_back(exchange.taken)
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):  # open for hours, so nothing may time their end
            return await self.app(scope, exchange.pass_on, exchange.send)
        body = await exchange.read()
        check_paths(body)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await exchange.pass_on()

        await self.app(scope, replay, exchange.send)


class Exchange:
    """One request and its answer: counts and times the body, and puts the headers on."""

    def __init__(self, guard: Guard, scope: Message, receive: Receive, send: Send, path: str) -> None:
        self.upload = upload = path.rstrip("/") == UPLOAD and scope["method"] == "POST"
        self.limit = settings.MAX_UPLOAD_MB * settings.MB + FORM_BYTES if upload else settings.MAX_JSON_BYTES
        self.seconds = settings.UPLOAD_SECONDS if upload else settings.JSON_SECONDS
        self.deadline = time.monotonic() + self.seconds
        self.guard, self.scope, self.path, self._receive, self._send = guard, scope, path, receive, send
        self.headers = Headers(scope=scope)
        told = self.headers.get("content-length", "")
        self.length = int(told) if told.isdecimal() else self.limit
        self.size, self.complete, self.started = 0, False, False
        self.taken, self.parts, self.tail = 0, 0, b""
        self.boundary = b"--" + parse_options_header(self.headers.get("content-type"))[1].get(b"boundary", b"")
        self.fault: BodyError | None = None

    def check_length(self) -> None:
        """Refuse a body that says that it is too long, before any of it is read."""
        if self.length > self.limit:
            self.fail(413, "")

    def fail(self, status: int, text: str) -> NoReturn:
        if not text:
            limit = f"{self.limit // settings.MB} MB" if self.limit > settings.MB else f"{self.limit // 1000} kB"
            text = f"The request is larger than the maximum allowed size of {limit}."
        self.fault = BodyError(status, text)
        raise self.fault

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            BodyError: it is too long, takes too long, or breaks off.
        """
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self.deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.fail(408, f"The request did not arrive within {self.seconds:.0f} s.")
        if message["type"] == "http.disconnect":
            self.fail(400, "The caller went away in the middle of the request.")
        self.complete = not message.get("more_body", False)
        self.size += len(message.get("body", b""))
        if self.size > self.limit:
            self.fail(413, "")
        if self.upload:
            self.take_room(message.get("body", b""))
        return message

    def take_room(self, body: bytes) -> None:
        """Ask for the disk that these bytes will take, as they come: what callers only announce keeps nobody out.

        Raises:
            BodyError: there is none left, or there are too many files, each of which takes a block and a folder.
        """
        known = self.tail + body
        files = known.count(self.boundary)
        self.tail = known[-len(self.boundary) + 1 :]
        self.parts += files
        if self.parts > settings.MAX_FILES + 1:  # the end looks like one more
            self.fail(413, f"An upload may hold {settings.MAX_FILES} files; send the others by themselves.")
        room = len(body) + files * settings.FILE_BYTES
        if not self.guard.admit(room):
            self.fail(503, "The app has no room for more pictures at this moment; try again in a few minutes.")
        self.taken += room

    async def pass_on(self) -> Message:
        return await self._receive()

    async def read(self) -> bytes:
        """The whole body."""
        parts = []
        while not self.complete:
            parts.append((await self.receive()).get("body", b""))
        return b"".join(parts)

    async def drain(self) -> None:
        """Read on for a moment and forget it, because a caller who is still sending does not hear an answer."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.complete:
                    message = await self._receive()
                    self.complete = not message.get("more_body", False)
        except TimeoutError:
            return

    async def refuse(self, status: int, text: str) -> None:
        if self.started:  # the answer is under way; ending it is all that is left
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
            if self.fault:  # Gradio's parser has met it, and answers with a status of its own
                await self.drain()
                message = {**message, "status": self.fault.status}
            headers = MutableHeaders(scope=message)
            for name, value in settings.HEADERS.items():
                headers[name] = value
            if self.path.startswith("/gradio_api/file"):
                headers["Content-Security-Policy"] = settings.FILE_POLICY
            # Gradio's page has a fixed sentence for 503 and shows what comes with any other status. Only browsers send
            # this header; gradio_client knows what 503 means.
            full = message["status"] == 503 and self.path == JOIN and "sec-fetch-mode" in self.headers
            message = {**message, "status": 429} if full else message
        await self._send(message)


def check_paths(body: bytes) -> None:
    """Refuse JSON that names a file by a URL: Gradio would fetch it, or decode it, whatever its size.

    Raises:
        BodyError: it does, or it is nested too deeply to tell.
    """
    if not body:
        return
    try:
        pending = [json.loads(body)]
    except RecursionError:
        raise BodyError(400, "The request is nested too deeply.") from None
    except ValueError:
        return  # no JSON, which Gradio answers itself
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and SCHEME.match(path):
                raise BodyError(400, "A picture came as an address; upload it as a file.")
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
