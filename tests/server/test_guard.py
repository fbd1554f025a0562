"""What stands between the network and Gradio, called as an ASGI server calls it; no network, no page."""

import asyncio
import json

import pytest

from cct_viz.server import settings
from cct_viz.server.guard import JOIN, UPLOAD, BodyError, Guard, check_paths

RUN = "/gradio_api/call/classify"


class Gradio:
    """Stands for the app behind the guard: reads the whole body, then answers with `status`."""

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
    """Send one request through the guard; `length` is the Content-Length told. Returns status, headers, body."""
    app = app or Gradio()
    janitor = {"admit": lambda length: room, "give_back": lambda length: None} if isinstance(room, bool) else room
    guard = Guard(app, health=lambda: health or {"queue": True}, **janitor, **options)
    told = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [*told, *headers]}
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
    "json that tells its length": (JOIN, [b"x" * 9], JSON_LIMIT + 1),
    "json in pieces": (JOIN, [b"x" * 100_000] * 6, None),
    "json longer than it tells": (JOIN, [b"x" * 100_000] * 6, 10),
    "a call": (RUN, [b"x" * 100_000] * 6, None),
    "cancel": ("/gradio_api/cancel", [b"x" * 100_000] * 6, None),
    "upload that tells its length": (UPLOAD, [b"x"], FILE_LIMIT + 200_000),
    "upload in pieces": (UPLOAD, [b"x" * settings.MB] * 21, None),
    "a get with a body": ("/config", [b"x"], JSON_LIMIT + 1),
}


@pytest.mark.parametrize("shape", OVERSIZE)
def test_oversize_bodies_are_refused_in_words(shape):
    path, parts, length = OVERSIZE[shape]
    app = Gradio()
    status, _, body = ask(path, *parts, app=app, length=length, method="GET" if path == "/config" else "POST")
    assert status == 413
    assert "larger than the maximum allowed size" in json.loads(body)["detail"]
    assert len(app.body) <= FILE_LIMIT + 100_000
    if path != UPLOAD:
        assert not app.called


def test_bodies_up_to_the_limit_arrive_whole():
    for path, size in ((JOIN, JSON_LIMIT), (UPLOAD, FILE_LIMIT)):
        app = Gradio()
        assert ask(path, b"x" * (size // 2), b"y" * (size - size // 2), app=app)[0] == 200
        assert len(app.body) == size


@pytest.mark.parametrize("path", [JOIN, UPLOAD])
def test_a_body_that_takes_too_long_is_given_up(monkeypatch, path):
    monkeypatch.setattr(settings, "JSON_SECONDS", 0.05)
    monkeypatch.setattr(settings, "UPLOAD_SECONDS", 0.05)
    monkeypatch.setattr("cct_viz.server.guard.DRAIN_SECONDS", 0.05)
    status, _, body = ask(path, *[b"x"] * 20, pause=0.02)
    assert status == 408
    assert "did not arrive within" in json.loads(body)["detail"]


def test_gradios_answer_to_a_refused_upload_gets_the_right_status():
    """Gradio's parser catches what the guard raises, clears its files away and answers 400."""

    async def gradio(scope, receive, send):
        try:
            while (await receive()).get("more_body"):
                pass
        except BodyError as error:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": error.message.encode()})

    status, _, body = ask(UPLOAD, *[b"x" * settings.MB] * 30, app=gradio)
    assert (status, b"20 MB" in body) == (413, True)


def test_no_upload_is_taken_when_there_is_no_room():
    app = Gradio()
    status, _, body = ask(UPLOAD, b"x", app=app, room=False)
    assert (status, app.called) == (503, False)
    assert "no room" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("method", "parts", "length", "taken"),
    [
        ("GET", [b""], None, 0),
        ("PUT", [b"{}"], None, 0),
        ("POST", [b""], None, 0),  # nothing came, whatever could have
        ("POST", [b"x" * 500], None, 500),
        ("POST", [b"x" * 500], settings.MB, 500),
        ("POST", [b"x" * settings.MB] * 30, None, 0),  # refused, so that nothing is left of it
        ("POST", [b"--b\r\n--", b"b\r\n\r\n--b--"], None, 17 + 3 * settings.FILE_BYTES),
        ("POST", [b"--b"] * (settings.MAX_FILES + 2), None, 0),
    ],
)
def test_callers_take_the_room_of_what_they_store_and_no_more(method, parts, length, taken):
    ledger = []

    def admit(size):
        ledger.append(size)
        return True

    room = {"admit": admit, "give_back": lambda size: ledger.append(-size)}
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    ask(UPLOAD, *parts, method=method, length=length, room=room, headers=headers)
    assert sum(ledger) == taken


def test_an_upload_holds_few_files_however_it_is_cut():
    headers = [(b"content-type", b'multipart/form-data; boundary="bound"')]
    body = b"--bound\r\n\r\n3by\r\n" * 1000
    status, _, words = ask(UPLOAD, *[body[i : i + 3] for i in range(0, len(body), 3)], headers=headers)
    assert (status, f"{settings.MAX_FILES} files" in words.decode()) == (413, True)


@pytest.mark.parametrize("path", [JOIN, UPLOAD])
def test_a_caller_who_goes_is_let_go_without_a_traceback(path):
    """Gradio would leave the pieces of an upload behind; what the guard raises makes its parser remove them."""
    app = Gradio()
    assert ask(path, app=app)[0] == 400
    assert app.called == (path == UPLOAD)


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1/a.png", "HTTPS://a/b", " https://a", "data:image/png;base64,AA", "ftp://a"]
)
@pytest.mark.parametrize(
    "nested", [lambda file: {"data": [file]}, lambda file: [[{"x": {"y": file}}]], lambda file: file]
)
def test_files_named_by_an_address_are_refused(path, nested):
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
def test_what_the_page_sends_passes_unchanged(body):
    app, sent = Gradio(), json.dumps(body).encode()
    assert ask(JOIN, sent, app=app)[0] == 200
    assert app.body == sent


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"1" * 5000, b"null"])
def test_what_is_no_json_is_left_to_gradio(body):
    check_paths(body)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(BodyError) as caught:
        check_paths(b"[" * 100_000)
    assert caught.value.status == 400


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
def test_what_the_page_does_not_need_is_closed(path, method):
    app = Gradio()
    assert ask(path, b"", method=method, app=app)[0] == 404
    assert not app.called


@pytest.mark.parametrize("path", USED)
def test_what_the_page_needs_is_open(path):
    app = Gradio()
    assert ask(path, b"", method="GET", app=app)[0] == 200
    assert app.called


def test_tools_for_language_models_are_open_when_asked_for():
    assert ask("/gradio_api/mcp/", b"{}", mcp=True)[0] == 200
    assert ask("/gradio_api/mcp/", b"{}")[0] == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/gradio_api/file=/tmp/a.png"])
def test_every_answer_carries_the_headers(path):
    _, headers, _ = ask(path, b"", method="GET")
    for name, value in settings.HEADERS.items():
        if name == "Content-Security-Policy" and "file=" in path:
            value = settings.FILE_POLICY
        assert headers[name.lower().encode()].decode() == value


@pytest.mark.parametrize(("works", "status"), [(True, 200), (False, 503)])
def test_healthz_tells_what_works(works, status):
    answer, _, body = ask("/healthz", method="GET", health={"queue": True, "model": works})
    assert (answer, json.loads(body)) == (status, {"queue": True, "model": works})


@pytest.mark.parametrize(("headers", "status"), [((), 503), ([(b"sec-fetch-mode", b"cors")], 429)])
def test_a_full_queue_reaches_browsers_with_its_sentence(headers, status):
    """Gradio's page has a fixed sentence for 503."""
    assert ask(JOIN, b"{}", app=Gradio(503), headers=headers)[0] == status
    assert ask(RUN, b"{}", app=Gradio(503), headers=headers)[0] == 503
