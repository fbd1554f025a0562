"""Pictures inside JSON are stored as files, before Gradio sees the request."""

import base64
import json

import pytest
from test_guard import Gradio, ask

from cct_viz.server import settings
from cct_viz.server.calls import DISK_FULL
from cct_viz.server.data_urls import NOT_READABLE, REFUSED, store_pictures
from cct_viz.server.exchange import BodyError

MCP = "/gradio_api/mcp/"


def url(content=b"picture", kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def files():
    return {}


@pytest.fixture
def store(files):
    def write(content, name):
        path = f"/folder/{len(files)}/{name}"
        files[path] = content
        return path

    return write


def replace(value, store):
    body = json.dumps(value).encode()
    return json.loads(store_pictures([body[:9], body[9:]], store, tell_in_place=True))


@pytest.mark.parametrize(
    "nested", [lambda text: {"params": {"arguments": {"image": text}}}, lambda text: [1, [text]], lambda text: [text]]
)
@pytest.mark.parametrize(
    ("kind", "name"), [("image/png", "png"), ("IMAGE/JPEG", "jpeg"), ("image/svg+xml", "svg"), ("", "bin")]
)
def test_a_picture_becomes_a_file(store, files, nested, kind, name):
    assert replace(nested(url(kind=kind)), store) == nested(f"/folder/0/picture.{name}")
    assert files == {f"/folder/0/picture.{name}": b"picture"}


@pytest.mark.parametrize("text", ["data:", "data:image/png;base64,%%%", "data:image/png,abc", "DATA:x", url()[:-2]])
def test_what_cannot_be_read_is_replaced_by_a_sentence(store, files, text):
    assert replace(["data:", text], store)[1] == REFUSED + NOT_READABLE
    assert not files


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"data": 3}', b"\xff data:", b"[" * 9999 + b"data:", rb'"say \"data:,\""']
)
def test_other_bodies_stay_as_they_are(store, body):
    assert store_pictures([body], store, tell_in_place=True) == body


def test_slashes_may_be_escaped(store, files):
    content = b"\xff\xfe" * 9
    assert b"/" in base64.b64encode(content)
    body = json.dumps([url(content)]).replace("/", "\\/").encode()
    assert store_pictures([body], store, tell_in_place=True) == b'["/folder/0/picture.png"]'
    assert list(files.values()) == [content]


def test_other_values_are_not_parsed(store):
    """A body may be large for its pictures only: a million lists in 2 MB would take 60 MB."""
    with pytest.raises(BodyError, match="Without its pictures"):
        store_pictures([b"[" + b"[]," * 1_000_000 + b'"data:"]'], store, tell_in_place=True)


def test_a_picture_may_be_as_large_as_an_upload(store, files, monkeypatch):
    monkeypatch.setattr(settings, "MB", 10)
    most = settings.MAX_UPLOAD_MB * 10
    assert replace([url(bytes(most))], store) == ["/folder/0/picture.png"]
    assert "at most 20 MB" in replace([url(bytes(most + 1))], store)[0]
    assert len(files) == 1


def test_the_rest_of_the_request_has_a_limit_and_so_has_the_number_of_pictures(store):
    for value in ([url(), "x" * settings.MAX_JSON_BYTES], [url()] * (settings.MAX_FILES + 1)):
        with pytest.raises(BodyError) as error:
            replace(value, store)
        assert error.value.status == 413


def send(text, store, **options):
    app = Gradio()
    body = json.dumps({"params": {"arguments": {"image": text}}}).encode()
    status, *_ = ask(MCP, body[:700], body[700:], app=app, mcp=True, save=store, length=len(body), **options)
    assert status != 200 or app.length == len(app.body)  # mcp refuses a larger Content-Length itself
    return status, app.body and json.loads(app.body)["params"]["arguments"]["image"]


def test_the_guard_stores_and_counts_pictures_of_mcp(store):
    admitted = []
    room = {"admit": lambda size: admitted.append(size) or True, "give_back": lambda size: None}
    assert send(url(bytes(2_000_000)), store, room=room) == (200, "/folder/0/picture.png")
    assert admitted == [2_000_000 + settings.FILE_BYTES]


def test_the_guard_says_why_it_stores_no_picture(store):
    assert "no room" in send(url(), store, room=False)[1]
    assert send(url(), store, has_space=lambda: False) == (200, REFUSED + DISK_FULL)


def test_bodies_with_pictures_do_not_fill_the_memory(store, monkeypatch):
    monkeypatch.setattr(settings, "MAX_HELD_BYTES", 1000)
    assert send(url(bytes(500)), store)[0] == 200
    assert send(url(bytes(900)), store) == (503, b"")


def test_a_run_with_a_picture_that_is_refused_is_refused(store):
    status, _, body = ask("/gradio_api/run/classify", json.dumps({"data": [{"path": "data:,x"}]}).encode(), save=store)
    assert (status, json.loads(body)["detail"]) == (400, NOT_READABLE)


def test_other_routes_take_no_data_urls(store):
    body = json.dumps({"data": [{"path": url()}]}).encode()
    assert ask("/gradio_api/queue/join", body, mcp=True, save=store)[0] == 400
    large = b"x" * (settings.MAX_JSON_BYTES + 1)
    assert ask("/gradio_api/queue/join", large, mcp=True, save=store)[0] == 413
    assert ask(MCP, b"x" * 27_800_000, mcp=True, save=store)[0] == 413
