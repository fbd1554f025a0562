"""The middleware in front of Gradio, called as an ASGI server calls it, without a network or a page."""

import asyncio
import errno
import json

import orjson
import pytest
from gradio.server_messages import UnexpectedErrorMessage

from cct_viz.server import settings
from cct_viz.server.calls import DISK_FULL
from cct_viz.server.exchange import JOIN, NOT_HERE, UPLOAD, BodyError
from cct_viz.server.guard import Guard, check_json
from cct_viz.server.queue import BUSY
from cct_viz.server.shutdown import Traffic

RUN = "/gradio_api/call/classify"


class Gradio:
    """Stands in for the app behind the guard: reads the whole body, then responds with `status`."""

    def __init__(self, status=200):
        self.status, self.body, self.called = status, b"", False

    async def __call__(self, scope, receive, send):
        self.called, more = True, True
        self.length = int(dict(scope["headers"]).get(b"content-length", -1))
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
    known = {"traffic": Traffic(), "endpoints": ["classify"]}
    guard = Guard(app, health=lambda: health or {"queue": True}, **janitor, **known | options)
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
    monkeypatch.setattr("cct_viz.server.exchange.DRAIN_SECONDS", 0.05)
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


def test_uploads_are_refused_when_the_disk_is_full():
    status, _, body = ask(UPLOAD, b"x", has_space=lambda: False)
    assert (status, json.loads(body)["detail"]) == (507, DISK_FULL)


@pytest.mark.parametrize(
    ("method", "parts", "length", "reserved"),
    [
        ("GET", [b""], None, 0),
        ("PUT", [b"{}"], None, 0),
        ("POST", [b""], None, 0),  # an empty body
        ("POST", [b"x" * 500 + b"--b--"], None, 505 + settings.FILE_BYTES),
        ("POST", [b"x" * 500 + b"--b--"], settings.MB, 505 + settings.FILE_BYTES),
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
    check_json(body)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(BodyError) as error:
        check_json(b"[" * 100_000)
    assert error.value.status == 400


CLOSED = [
    "/gradio_api/proxy=https://example.com/",
    "/gradio_api/file=http://example.com/a.png",
    "/gradio_api/file=https://example.com/a.png",
    "/gradio_api/file/http://example.com/a.png",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
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


@pytest.mark.parametrize("route", ["call", "run"])
def test_a_call_without_a_place_is_refused_before_gradio_reads_it(route):
    app, left = Gradio(), []
    status, _, body = ask(f"/gradio_api/{route}/classify", b"{}", app=app, enter=lambda name, host: None)
    assert (status, app.called, json.loads(body)["detail"]) == (503, False, BUSY)
    ask(RUN, b"{}", app=app, enter=lambda name, host: lambda: left.append((name, host)))
    assert (app.called, left) == (True, [("classify", "")])


def test_an_upload_without_its_closing_boundary_is_refused():
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc'
    assert ask(UPLOAD, start, headers=headers)[0] == 400
    assert ask(UPLOAD, start, b"\r\n--b-", headers=headers)[0] == 400
    assert ask(UPLOAD, start, b"\r\n--b", b"-", b"-\r\n", headers=headers)[0] == 200


def test_json_with_too_many_values_is_refused():
    check_json(json.dumps({"data": [1] * 1000}).encode())
    with pytest.raises(BodyError, match="values") as error:
        check_json(b"[" + b"[]," * 300_000 + b"[]]")
    assert error.value.status == 400


def test_a_call_of_an_unknown_endpoint_names_those_there_are():
    for path in ("/gradio_api/call/clasify", "/gradio_api/call/v2/clasify/", "/gradio_api/run/clasify"):
        status, _, body = ask(path, b"{}")
        assert (status, "/classify" in json.loads(body)["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("error", "path", "method", "status"),
    [
        (KeyError("x"), JOIN, "POST", 400),
        (TypeError("not a file"), UPLOAD, "POST", 400),
        (ValueError("x"), "/config", "GET", 500),
        (RuntimeError("a bug"), JOIN, "POST", 500),
        (OSError(errno.ENOSPC, "No space left on device"), UPLOAD, "POST", 507),
    ],
)
def test_errors_of_gradio_answer_with_a_sentence(error, path, method, status):
    async def gradio(scope, receive, send):
        await receive()
        raise error

    answer, _, body = ask(path, b"{}", method=method, app=gradio)
    assert answer == status
    assert json.loads(body)["detail"].endswith(".")


def test_an_event_stream_that_fails_ends_cleanly():
    async def gradio(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"event: error\n\n", "more_body": True})
        raise RuntimeError("the session is unknown")

    assert ask("/gradio_api/call/classify/0123", b"", method="GET", app=gradio)[2] == b"event: error\n\n"


def test_a_call_to_another_process_is_explained():
    async def gradio(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b'event: error\ndata: "404: Not Found"\n\n'})

    body = ask("/gradio_api/call/classify/0123", b"", method="GET", app=gradio)[2]
    assert b"404" not in body
    assert b"several processes" in body
    assert json.loads(body.partition(b"data: ")[2])


def test_a_page_of_another_process_says_so_and_does_not_load_itself_again():
    message = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)

    async def gradio(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        text = f"data: {orjson.dumps(message.model_dump(), default=str).decode()}\n\n"  # as Gradio's process_msg does
        await send({"type": "http.response.body", "body": text.encode()})

    answer = json.loads(ask("/gradio_api/queue/data", b"", method="GET", app=gradio)[2].removeprefix(b"data: "))
    assert (answer["message"], answer["session_not_found"]) == (NOT_HERE.decode(), False)


def test_a_stopping_app_refuses_new_work_and_says_so():
    traffic = Traffic()
    traffic.stopping = True
    for path in (JOIN, UPLOAD, RUN):
        status, headers, _ = ask(path, b"{}", traffic=traffic)
        assert (status, headers[b"retry-after"]) == (503, b"60")
    assert ask("/gradio_api/queue/data", b"", method="GET", traffic=traffic)[0] == 200  # answers are still fetched
    assert ask("/healthz", method="GET", traffic=traffic)[::2] == (503, b'{"stopping":true}')


def test_requests_under_way_are_counted_without_those_of_an_open_page():
    traffic, seen = Traffic(), []

    async def gradio(scope, receive, send):
        seen.append(traffic.under_way)
        raise RuntimeError

    for path in ("/gradio_api/queue/data", "/gradio_api/heartbeat/abc"):
        ask(path, b"", method="GET", app=gradio, traffic=traffic)
    assert (seen, traffic.under_way) == ([1, 0], 0)


@pytest.mark.parametrize(
    ("host", "site", "status"),
    [
        (b"127.0.0.1:7860", b"cross-site", 403),
        (b"localhost:7860", b"same-site", 403),  # another port of the same machine
        (b"[::1]:7860", b"cross-site", 403),
        (b"localhost:7860", b"same-origin", 200),
        (b"localhost:7860", None, 200),  # not a browser
        (b"owner-name.hf.space", b"cross-site", 200),  # embedded by another website
    ],
)
def test_pages_of_other_websites_cannot_send_to_the_own_machine(host, site, status):
    headers = [(b"host", host)] + ([(b"sec-fetch-site", site)] if site else [])
    for path in (UPLOAD, JOIN):
        assert ask(path, b"{}", headers=headers)[0] == status


@pytest.mark.parametrize(("proxy", "kept"), [("", False), ("10.0.0.1", True)])
def test_forwarded_headers_are_trusted_only_when_told(monkeypatch, proxy, kept):
    seen = []

    async def gradio(scope, receive, send):
        seen.extend(name for name, _ in scope["headers"])
        await Gradio()(scope, receive, send)

    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxy)
    ask("/config", b"", method="GET", app=gradio, headers=[(b"x-forwarded-host", b"evil.example")])
    assert (b"x-forwarded-host" in seen) == kept


def test_files_of_the_page_are_found_for_pages_of_another_process(tmp_path):
    """Each process has a folder of its own; a visitor's file of the same name stays what it is."""
    (tmp_path / "mine").mkdir()
    asked = []

    async def gradio(scope, receive, send):
        asked.append(scope["path"])
        await Gradio()(scope, receive, send)

    (tmp_path / "mine" / "weights").write_text("a visitor's")
    for path in ("/tmp/other/weights", f"{tmp_path}/mine/weights", "/tmp/other/picture.png"):
        options = {"app": gradio, "shown": lambda: {f"{tmp_path}/own/weights"}, "folder": str(tmp_path)}
        assert ask(f"/gradio_api/file={path}", b"", method="GET", **options)[0] == 200
    own = [f"{tmp_path}/own/weights", f"{tmp_path}/mine/weights", "/tmp/other/picture.png"]
    assert asked == [f"/gradio_api/file={path}" for path in own]


def test_browsers_keep_the_files_of_the_page_only():
    for path, kept in (("/tmp/weights", True), ("/tmp/visitor.png", False)):
        shown = ["/tmp/weights"].copy
        headers = ask(f"/gradio_api/file={path}", b"", method="GET", shown=shown)[1]
        assert headers.get(b"cache-control") == (None if kept else b"no-store")
