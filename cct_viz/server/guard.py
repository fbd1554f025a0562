"""Middleware in front of Gradio: closed routes, limits on request bodies, and security headers on every response.

Gradio only limits the size of an uploaded file. It reads JSON of any size into memory, accepts pictures as data URLs of
any size, fetches public URLs, and has no time limit for a body.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from starlette.datastructures import Headers

from . import settings
from .calls import DISK_FULL
from .data_urls import Store, store_pictures
from .exchange import FILE, MCP, NO_ROOM, App, BodyError, Exchange, Message, Receive, Send, replay, with_length
from .janitor import holds
from .log import LOG
from .queue import ARRIVED, BUSY
from .run import run, with_contents
from .shutdown import Traffic

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
CALL = re.compile(r"/gradio_api/(?:call/(?:v2/)?|run/)([^/]+)/?")  # with POST
SHOWN = re.compile(r"/gradio_api/(heartbeat/|mcp)")  # streams that are open as long as a page is shown
LOCAL = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")  # Host of an app on one's own machine
SCHEME = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]+:")  # two letters or more: one letter is a Windows drive


class Guard:
    """ASGI middleware around Gradio's routes."""

    def __init__(
        self,
        app: App,
        *,
        health: Callable[[], dict[str, bool]],
        admit: Callable[[int], bool],
        give_back: Callable[[int], None],
        has_space: Callable[[], bool] = lambda: True,
        traffic: Traffic,
        endpoints: Collection[str] = (),
        shown: Callable[[], Collection[str]] = tuple,
        mcp: bool = False,
        enter: Callable[[str, str], Callable[[], object] | None] = lambda name, host: lambda: None,
        save: Store | None = None,
        folder: str = "",
        headers: Mapping[str, str] = settings.HEADERS,
    ) -> None:
        """`health` gives the response of /healthz; `admit(n)` says whether `n` more bytes may be stored; `give_back(n)`
        releases admitted bytes that were not stored; `has_space()` is whether an upload fits on the disk; `endpoints`
        are the names that may be called; `shown()` are the files of the page itself, which browsers may keep;
        `enter(name, host)` lets a call in (see `queue.Door`);
        `save(content, name)` makes a visitor's file in `folder` and returns its path.
        """
        self.app, self.health, self.mcp, self.headers = app, health, mcp, headers
        self.admit, self.give_back, self.has_space = admit, give_back, has_space
        self.traffic, self.endpoints, self.shown = traffic, endpoints, shown
        self.behind_proxy = settings.is_behind_proxy()
        self.enter, self.save, self.folder = enter, save, folder
        self.held = 0  # bytes of requests with data: URLs in memory
        self.storing = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not self.behind_proxy:  # otherwise callers choose the addresses in the answers
            headers = [pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded-")]
            scope = {**scope, "headers": headers}
        exchange = Exchange(self, scope, receive, send, path)
        if path == "/healthz":
            report = {"stopping": True} if self.traffic.stopping else self.health()
            healthy = all(report.values()) and not self.traffic.stopping
            return await exchange.reply(200 if healthy else 503, report)
        if SHOWN.match(path):
            return await self.answer_or_explain(exchange, scope, path)
        self.traffic.under_way += 1
        try:
            await self.answer_or_explain(exchange, scope, path)
        finally:
            self.traffic.under_way -= 1

    async def answer_or_explain(self, exchange: Exchange, scope: Message, path: str) -> None:
        try:
            await self.answer(exchange, scope, path)
        except BodyError as error:
            await exchange.refuse(error.status, error.message)
        except Exception as error:
            LOG.warning("%s %s failed", scope["method"], path, exc_info=error)
            await exchange.give_up(error)

    async def answer(self, exchange: Exchange, scope: Message, path: str) -> None:
        if not OPEN.fullmatch(path) and not exchange.run and not (self.mcp and MCP.fullmatch(path)):
            return await exchange.refuse(404, "Not found.")
        if scope["method"] == "POST":
            self.check_post(exchange.headers, path)
        exchange.check_length()
        if exchange.upload:
            exchange.take_room(b"")
            try:
                return await self.app(scope, exchange.receive, exchange.send)
            finally:
                if exchange.fault:  # Gradio's parser has removed its files
                    self.give_back(exchange.reserved_bytes)
        if path.startswith(FILE):
            scope = self.find_own_file(scope, path)
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):  # event streams stay open for hours: no time limit
            return await self.app(scope, exchange.pass_on, exchange.send)
        body = await self.read(exchange)
        check_json(body)
        call = CALL.fullmatch(path)
        if not call:
            return await self.pass_on(exchange, scope, path, body)
        leave = self.enter(call[1], (scope.get("client") or [""])[0])
        if leave is None:
            raise BodyError(503, BUSY)
        try:
            await self.pass_on(exchange, {**scope, ARRIVED: leave}, path, body)
        finally:
            leave()

    async def pass_on(self, exchange: Exchange, scope: Message, path: str, body: bytes) -> None:
        """Give a request whose body was read to Gradio, and its answer to the caller."""
        if exchange.run:
            status, answer = await run(self.app, scope, path, body, exchange.pass_on)
            return await exchange.reply(status, with_contents(answer, self.folder))
        await self.app(with_length(scope, body), replay(body, exchange.pass_on), exchange.send)

    def find_own_file(self, scope: Message, path: str) -> Message:
        """A request for a file of the page itself that has another path here, because another process made the page.

        Such a file is named after its content.
        """
        wanted = Path(path.removeprefix(FILE))
        own = next((file for file in self.shown() if Path(file).name == wanted.name), None)
        if own is None or holds(self.folder, wanted):
            return scope
        found = scope["path"].removesuffix(path) + FILE + own
        return {**scope, "path": found, "raw_path": found.encode()}

    async def read(self, exchange: Exchange) -> bytes:
        """The body, with files in place of data: URLs where the route takes them; those are decoded one at a time."""
        try:
            parts = await exchange.read()
            if not exchange.data_urls:
                return b"".join(parts)
            async with self.storing:
                return await asyncio.to_thread(store_pictures, parts, self.store, tell_in_place=exchange.mcp)
        finally:
            self.held -= exchange.held

    def store(self, content: bytes, name: str) -> str:
        """Make a visitor's file; returns its path.

        Raises:
            BodyError: there is no room.
        """
        if self.save is None or not self.has_space():
            raise BodyError(507, DISK_FULL)
        if not self.admit(len(content) + settings.FILE_BYTES):
            raise BodyError(503, NO_ROOM)
        return self.save(content, name)

    def check_post(self, headers: Headers, path: str) -> None:
        """Refuse a POST that need not be read.

        Raises:
            BodyError: the app is stopping, another website's page sends to the app on one's own machine, or there is no
                such endpoint.
        """
        if LOCAL.fullmatch(headers.get("host", "")) and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise BodyError(403, "Pages of other websites cannot use this app.")
        if self.traffic.stopping:
            raise BodyError(503, "The app is stopping; try again in a minute.")
        call = CALL.fullmatch(path)
        if call and call[1] not in self.endpoints:
            names = ", ".join(f"/{name}" for name in sorted(self.endpoints)) or "none"
            raise BodyError(404, f"There is no endpoint of this name; there are: {names}.")


def check_json(body: bytes) -> None:
    """Refuse JSON with a URL as a file's path, which Gradio would fetch or decode without a size limit.

    Raises:
        BodyError: it has such a path, has too many values, or is nested too deeply to check.
    """
    if not body:
        return
    try:
        pending = [json.loads(body)]
    except RecursionError:
        raise BodyError(400, "The JSON of the request is nested too deeply.") from None
    except ValueError:
        return  # not JSON: Gradio responds itself
    values = 0
    while pending:
        value = pending.pop()
        values += 1
        if values + len(pending) > settings.MAX_VALUES:
            raise BodyError(400, f"The JSON of the request has more than {settings.MAX_VALUES} values.")
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and SCHEME.match(path):
                raise BodyError(400, "The request has a picture as a URL; upload it as a file.")
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
