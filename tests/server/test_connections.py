"""Connections that send nothing, half a request or too much, against a small app; and the log that they cannot fill."""

import asyncio
import contextlib
import logging
import sys

import pytest
import uvicorn
from uvicorn.server import ServerState

from cct_viz.server import connections, log, settings
from cct_viz.server.connections import Connection, limited_connections
from cct_viz.server.log import OneLine, describe_error, one_line

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def served(app=answer, most=10):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MAX_CONNECTIONS", most)
        with limited_connections():
            config = uvicorn.Config(app=app, lifespan="off")
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    opened = []

    async def connect(data=b""):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append(writer)
        writer.write(data)
        return reader, writer

    try:
        yield connect, state
    finally:
        server.close()
        for writer in opened:
            writer.transport.abort()


async def ended(reader):
    """Wait until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        await reader.read()


@pytest.mark.parametrize("data", [b"", b"GET / HT", GET[:-2], GET + b"GET / HT"])
def test_a_connection_that_brings_no_whole_request_is_closed(monkeypatch, data):
    monkeypatch.setattr(settings, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(settings, "KEEP_ALIVE_SECONDS", 0.05)

    async def visit():
        async with served() as (connect, state):
            reader, _ = await connect(data)
            await ended(reader)
            while state.connections:
                await asyncio.sleep(0.01)

    asyncio.run(visit())


def test_more_bytes_do_not_extend_the_time_for_a_request(monkeypatch):
    monkeypatch.setattr(settings, "REQUEST_SECONDS", 0.1)

    async def visit():
        async with served() as (connect, _):
            reader, writer = await connect(b"GET / HTTP/1.1\r\n")
            closed = asyncio.create_task(ended(reader))
            while not closed.done():
                writer.write(b"x: y\r\n")
                await asyncio.sleep(0.01)

    asyncio.run(visit())


def test_a_request_that_is_being_answered_has_no_deadline():
    deadlines = []

    async def visit():
        async def look(scope, receive, send):
            deadlines.extend(connection.request_deadline for connection in state.connections)
            await answer(scope, receive, send)

        async with served(look) as (connect, state):
            reader, _ = await connect(GET)
            await reader.readuntil(b"ok")

    asyncio.run(visit())
    assert deadlines == [None]


def test_a_client_that_does_not_read_is_closed(monkeypatch):
    monkeypatch.setattr(settings, "RESPONSE_SECONDS", 0.05)

    async def visit():
        async def endless(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while state.connections:
                await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})

        async with served(endless) as (connect, state):
            _, writer = await connect(GET)
            writer.transport.pause_reading()
            while not state.tasks:
                await asyncio.sleep(0.01)
            while state.connections or state.tasks:
                await asyncio.sleep(0.01)

    asyncio.run(visit())


def test_a_new_connection_replaces_the_one_that_is_idle_longest():
    async def visit():
        async with served(most=3) as (connect, state):
            silent = []
            for i in range(8):
                silent.append(await connect())
                while len(state.connections) < min(i + 1, 2):
                    await asyncio.sleep(0)
            await asyncio.gather(*[ended(reader) for reader, _ in silent[:5]])
            reader, _ = await connect(GET)
            assert b"200 OK" in await reader.readuntil(b"ok")
            assert len(state.connections) <= 3

    asyncio.run(visit())


def test_too_many_requests_at_once_are_told_so():
    async def visit():
        release = asyncio.Event()

        async def wait(scope, receive, send):
            await release.wait()
            await answer(scope, receive, send)

        async with served(wait, most=3) as (connect, state):
            first = [await connect(GET) for _ in range(3)]
            while len(state.tasks) < 2:
                await asyncio.sleep(0.01)
            reader, _ = await connect(GET)
            refused = await reader.read()
            release.set()
            return refused, await first[0][0].readuntil(b"ok")

    refused, accepted = asyncio.run(visit())
    assert b"503" in refused.splitlines()[0]
    assert b"200 OK" in accepted


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(("hard", "raised"), [(2048, 2048), (1_000_000, 2500), (-1, 2500), (600, 600)])
def test_the_limit_of_open_files_is_raised_as_far_as_needed(monkeypatch, hard, raised):
    import resource

    limits = [(512, hard)]
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert connections.raise_file_limit() == raised
    assert limits[-1] == (raised, hard)


def test_gradio_passes_the_limits_to_uvicorn():
    before = uvicorn.Config
    with limited_connections():
        config = uvicorn.Config(app=answer, log_level="warning")
    assert (config.http, config.ws, config.backlog) == (Connection, "none", settings.BACKLOG)
    assert not config.proxy_headers  # nobody named a proxy, so callers must not choose their address
    assert 1 <= config.limit_concurrency <= settings.MAX_CONNECTIONS
    assert uvicorn.Config is before


def logged(*messages, error=None, spare=None):
    """What a handler with the filter prints."""
    lines, logger = [], logging.Logger("a")
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))
    handler.addFilter(spare or OneLine())
    logger.addHandler(handler)
    for message in messages:
        logger.warning(message, exc_info=error)
    return lines


def test_the_log_gets_one_line_of_each_kind_and_then_their_number(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: clock[0])
    spare = OneLine()
    assert logged(*["again"] * 1000, spare=spare) == ["again"]
    clock[0] += settings.LOG_SECONDS + 1
    assert logged("again", spare=spare) == ["again (999 more like this before)"]


def test_callers_cannot_forge_or_fill_the_log():
    try:
        raise ValueError("x\nCCT Explorer is at \x1b[31mhttp://evil\x07\u202e" + "y" * 10_000)
    except ValueError as error:
        (line,) = logged("GET /a\r\nb failed", error=error)
    assert line.isprintable()
    assert len(line) < 600
    assert "ValueError: x\\nCCT" in line
    assert "test_connections.py:" in line
    assert one_line("é漢") == "é漢"


def test_an_error_is_described_by_its_cause():
    error = RuntimeError("wrapped")
    error.__cause__ = KeyError("the cause")
    assert describe_error(error) == "KeyError: 'the cause'"
