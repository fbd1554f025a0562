"""The middleware in front of Gradio, called as an ASGI server calls it, without a network or a page."""

import asyncio
import json

import pytest

from cct_viz.server import settings
from cct_viz.server.guard import JOIN, UPLOAD, BodyError, Guard, check_paths

RUN = "/gradio_api/call/classify"


class Gradio:
    """Stands in for the app behind the guard: reads the whole body, then responds with `status`."""

    def __init__(self, status=200):
        self.status, self.body, self.called = status, b"", False

    async def __call__(self, scope, receive, send):
        self.called, more = True, True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def ask(path, *parts, app=None, method="POST", length=None, pause=0.0, room=True, health=None, headers=(), **options):
    """Send one request through the guard; `length` is its Content-Length. Returns status, headers, body."""
    app = app or Gradio()
    janitor = {"admit": lambda length: room, "give_back": lambda length: None} if isinstance(room, bool) else room
    guard = Guard(app, health=lambda: health or {"queue": True}, **janitor, **options)
    length_header = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [*length_header, *headers]}
    waiting, sent = list(parts), []

    async def receive():
        await asyncio.sleep(pause)
        if waiting:
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting)}
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    start, *bodies = sent
    return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in bodies)


JSON_LIMIT, FILE_LIMIT = settings.MAX_JSON_BYTES, settings.MAX_UPLOAD_MB * settings.MB
OVERSIZE = {
    "json with its length": (JOIN, [b"x" * 9], JSON_LIMIT + 1),
    "json in pieces": (JOIN, [b"x" * 100_000] * 11, None),
    "json longer than its length": (JOIN, [b"x" * 100_000] * 11, 10),
    "a call": (RUN, [b"x" * 100_000] * 11, None),
    "cancel": ("/gradio_api/cancel", [b"x" * 100_000] * 11, None),
    "upload with its length": (UPLOAD, [b"x"], FILE_LIMIT + 200_000),
    "upload in pieces": (UPLOAD, [b"x" * settings.MB] * 21, None),
    "a get with a body": ("/config", [b"x"], JSON_LIMIT + 1),
}


@pytest.mark.parametrize("shape", OVERSIZE)
def test_oversize_bodies_are_refused_with_a_message(shape):
    path, parts, length = OVERSIZE[shape]
    app = Gradio()
    status, _, body = ask(path, *parts, app=app, length=length, method="GET" if path == "/config" else "POST")
    assert status == 413
    assert "larger than the maximum allowed size" in json.loads(body)["detail"]
    assert len(app.body) <= FILE_LIMIT + 100_000
    if path != UPLOAD:
        assert not app.called


def test_bodies_up_to_the_limit_arrive_complete():
    for path, size in ((JOIN, JSON_LIMIT), (UPLOAD, FILE_LIMIT)):
        app = Gradio()
        assert ask(path, b"x" * (size // 2), b"y" * (size - size // 2), app=app)[0] == 200
        assert len(app.body) == size


@pytest.mark.parametrize("path", [JOIN, UPLOAD])
def test_a_body_that_takes_too_long_is_refused(monkeypatch, path):
    monkeypatch.setattr(settings, "JSON_SECONDS", 0.05)
    monkeypatch.setattr(settings, "UPLOAD_SECONDS", 0.05)
    monkeypatch.setattr("cct_viz.server.guard.DRAIN_SECONDS", 0.05)
    status, _, body = ask(path, *[b"x"] * 20, pause=0.02)
    assert status == 408
    assert "did not arrive within" in json.loads(body)["detail"]


def test_gradios_response_to_a_refused_upload_gets_the_right_status():
    """Gradio's parser catches the guard's error, removes its files and responds with 400."""

    async def gradio(scope, receive, send):
        try:
            while (await receive()).get("more_body"):
                pass
        except BodyError as error:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": error.message.encode()})

    status, _, body = ask(UPLOAD, *[b"x" * settings.MB] * 30, app=gradio)
    assert (status, b"20 MB" in body) == (413, True)


def test_uploads_are_refused_when_there_is_no_room():
    app = Gradio()
    status, _, body = ask(UPLOAD, b"x", app=app, room=False)
    assert (status, app.called) == (503, False)
    assert "no room" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("method", "parts", "length", "reserved"),
    [
        ("GET", [b""], None, 0),
        ("PUT", [b"{}"], None, 0),
        ("POST", [b""], None, 0),  # an empty body
        ("POST", [b"x" * 500], None, 500),
        ("POST", [b"x" * 500], settings.MB, 500),
        ("POST", [b"x" * settings.MB] * 30, None, 0),  # refused, so its room is released
        ("POST", [b"--b\r\n--", b"b\r\n\r\n--b--"], None, 17 + 3 * settings.FILE_BYTES),
        ("POST", [b"--b"] * (settings.MAX_FILES + 2), None, 0),
    ],
)
def test_uploads_reserve_room_only_for_stored_bytes(method, parts, length, reserved):
    sizes = []

    def admit(size):
        sizes.append(size)
        return True

    room = {"admit": admit, "give_back": lambda size: sizes.append(-size)}
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    ask(UPLOAD, *parts, method=method, length=length, room=room, headers=headers)
    assert sum(sizes) == reserved


def test_the_number_of_files_is_limited_in_an_upload_of_small_pieces():
    headers = [(b"content-type", b'multipart/form-data; boundary="bound"')]
    body = b"--bound\r\n\r\n3by\r\n" * 1000
    status, _, words = ask(UPLOAD, *[body[i : i + 3] for i in range(0, len(body), 3)], headers=headers)
    assert (status, f"{settings.MAX_FILES} files" in words.decode()) == (413, True)


@pytest.mark.parametrize("path", [JOIN, UPLOAD])
def test_a_client_that_disconnects_causes_no_traceback(path):
    """Gradio would keep the parts of an upload; the guard's error makes its parser remove them."""
    app = Gradio()
    assert ask(path, app=app)[0] == 400
    assert app.called == (path == UPLOAD)


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1/a.png", "HTTPS://a/b", " https://a", "data:image/png;base64,AA", "ftp://a"]
)
@pytest.mark.parametrize(
    "nested", [lambda file: {"data": [file]}, lambda file: [[{"x": {"y": file}}]], lambda file: file]
)
def test_urls_as_file_paths_are_refused(path, nested):
    app = Gradio()
    status, _, body = ask(
        JOIN, json.dumps(nested({"path": path, "meta": {"_type": "gradio.FileData"}})).encode(), app=app
    )
    assert (status, app.called) == (400, False)
    assert "upload it as a file" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"path": "/tmp/x/a.png", "url": "http://127.0.0.1:7860/gradio_api/file=/tmp/x/a.png"}]},
        {"data": [{"path": "C:\\temp\\a.png"}]},
        {"data": ["http://a/b"], "path": 3},
        {"data": [None, "rollout", 1.5]},
    ],
)
def test_requests_of_the_page_pass_unchanged(body):
    app, sent = Gradio(), json.dumps(body).encode()
    assert ask(JOIN, sent, app=app)[0] == 200
    assert app.body == sent


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"1" * 5000, b"null"])
def test_bodies_that_are_not_json_pass_to_gradio(body):
    check_paths(body)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(BodyError) as error:
        check_paths(b"[" * 100_000)
    assert error.value.status == 400


CLOSED = [
    "/gradio_api/proxy=https://example.com/",
    "/gradio_api/file=http://example.com/a.png",
    "/gradio_api/file=https://example.com/a.png",
    "/gradio_api/file/http://example.com/a.png",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/gradio_api/run/classify",
    "/gradio_api/api/classify",
    "/gradio_api/component_server",
    "/gradio_api/vibe-edit/",
    "/gradio_api/stream/x",
    "/gradio_api/dev/reload",
    "/gradio_api/mcp/sse",
    "/monitoring",
    "/monitoring/summary",
    "/login",
    "/docs",
    "/nothing",
]
USED = [
    "/",
    "/config",
    "/theme.css",
    "/assets/index-1.js",
    "/gradio_api/info",
    "/gradio_api/file=/tmp/gradio/a/b.png",
    "/gradio_api/file=C:/temp/a.png",
    "/gradio_api/heartbeat/abc",
    "/gradio_api/queue/data",
    "/gradio_api/call/classify/0123",
]


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_routes_that_the_page_does_not_use_are_closed(path, method):
    app = Gradio()
    assert ask(path, b"", method=method, app=app)[0] == 404
    assert not app.called


@pytest.mark.parametrize("path", USED)
def test_routes_that_the_page_uses_are_open(path):
    app = Gradio()
    assert ask(path, b"", method="GET", app=app)[0] == 200
    assert app.called


def test_mcp_routes_are_open_only_with_mcp():
    assert ask("/gradio_api/mcp/", b"{}", mcp=True)[0] == 200
    assert ask("/gradio_api/mcp/", b"{}")[0] == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/gradio_api/file=/tmp/a.png"])
def test_every_response_has_the_security_headers(path):
    _, headers, _ = ask(path, b"", method="GET")
    for name, value in settings.HEADERS.items():
        if name == "Content-Security-Policy" and "file=" in path:
            value = settings.FILE_POLICY
        assert headers[name.lower().encode()].decode() == value


@pytest.mark.parametrize(("works", "status"), [(True, 200), (False, 503)])
def test_healthz_reports_what_works(works, status):
    answer, _, body = ask("/healthz", method="GET", health={"queue": True, "model": works})
    assert (answer, json.loads(body)) == (status, {"queue": True, "model": works})


@pytest.mark.parametrize(("headers", "status"), [((), 503), ([(b"sec-fetch-mode", b"cors")], 429)])
def test_browsers_get_the_message_of_a_full_queue(headers, status):
    """Gradio's page shows a fixed sentence for 503, so browsers get 429."""
    assert ask(JOIN, b"{}", app=Gradio(503), headers=headers)[0] == status
    assert ask(RUN, b"{}", app=Gradio(503), headers=headers)[0] == 503
