"""Connections: how many there may be, how long one may take to send a request, and how long to take a response.

uvicorn closes a connection that stays idle after a response (`timeout_keep_alive`) and answers 503 when there are too
many (`limit_concurrency`). It has no limit for a connection that sends nothing, half a request, or never reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import settings


class Connection(H11Protocol):
    """uvicorn's connection with a deadline for each request and for each response.

    If there are too many connections, a new one replaces the one that has been idle longest. So those that send nothing
    shut out nobody; if none is idle, uvicorn answers the new one 503.
    """

    idle_since = 0.0
    request_deadline: asyncio.TimerHandle | None = None
    response_deadline: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._replace_oldest()
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.idle:
            self._expect_request()
        else:
            self._stop_expecting()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(settings.RESPONSE_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.response_deadline = self.loop.call_later(settings.RESPONSE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.response_deadline is not None:
            self.response_deadline.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self.resume_writing()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        if self.request_deadline is None:
            self.request_deadline = self.loop.call_later(settings.REQUEST_SECONDS, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self.request_deadline is not None:
            self.request_deadline.cancel()
            self.request_deadline = None

    def _replace_oldest(self) -> None:
        idle = [other for other in self.connections if isinstance(other, Connection) and other.idle]
        oldest = min((other for other in idle if other is not self), key=lambda other: other.idle_since, default=None)
        if oldest is not None:
            oldest.transport.abort()
            self.connections.discard(oldest)  # asyncio reports the loss later


@contextlib.contextmanager
def limited_connections() -> Iterator[None]:
    """Servers that Gradio starts in this block have these connections and uvicorn's own limits.

    Gradio makes uvicorn's configuration itself and takes no arguments for it.
    """
    config = uvicorn.Config
    most = min(settings.MAX_CONNECTIONS, (raise_file_limit() - settings.OWN_FILES) // 2)
    uvicorn.Config = functools.partial(  # type: ignore[misc, assignment]
        config,
        http=Connection,
        proxy_headers=settings.is_behind_proxy(),  # else callers choose the address that they are counted by
        ws="none",
        timeout_keep_alive=settings.KEEP_ALIVE_SECONDS,
        limit_concurrency=max(1, most),
        backlog=settings.BACKLOG,
    )
    try:
        yield
    finally:
        uvicorn.Config = config  # type: ignore[misc]


def raise_file_limit() -> int:
    """Allow as many open files as the connections need, if the system does; returns the limit of this process."""
    needed = 2 * settings.MAX_CONNECTIONS + settings.OWN_FILES  # a connection and the file that it is sent
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
