"""One request, one answer, and two processes behind a proxy that sends each request to the other one."""

import asyncio
import base64
import contextlib
import itertools
import json

import gradio as gr
import httpx
import pytest
from test_guard import ask

from cct_viz.app.upload import NOT_STORED, Upload
from cct_viz.server.exchange import NOT_HERE
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import mount
from cct_viz.server.run import LOST, with_contents

RUN = "/gradio_api/run/classify"


def fake(
    status=200, joined=b'{"event_id": "7"}', stream=b'event: heartbeat\ndata: null\n\nevent: complete\ndata: ["a"]\n\n'
):
    """Stands in for Gradio: a call is answered with `joined`, its event with `stream`."""
    seen = []

    async def gradio(scope, receive, send):
        body = (await receive())["body"]
        seen.append((scope["method"], scope["path"], body))
        answer = joined if scope["method"] == "POST" else stream
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return gradio, seen


def test_a_run_is_a_call_and_its_answer():
    gradio, seen = fake()
    status, headers, body = ask(RUN, b'{"data": [1]}', app=gradio)
    assert (status, json.loads(body), headers[b"cache-control"]) == (200, {"data": ["a"]}, b"no-store")
    call = RUN.replace("run", "call")
    assert seen == [("POST", call, b'{"data": [1]}'), ("GET", f"{call}/7", b"")]


@pytest.mark.parametrize(
    ("options", "status", "detail"),
    [
        ({"status": 503, "joined": b'{"detail": "busy"}'}, 503, "busy"),
        ({"stream": b'event: error\ndata: {"error": "not a picture"}\n\n'}, 422, "not a picture"),
        ({"stream": b"event: error\ndata: null\n\n"}, 422, LOST),
        ({"stream": b""}, 422, LOST),
    ],
)
def test_a_run_that_fails_says_why(options, status, detail):
    answer = ask(RUN, b"{}", app=fake(**options)[0])
    assert (answer[0], json.loads(answer[2])) == (status, {"detail": detail})


def test_only_files_of_the_folder_are_part_of_an_answer(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.json").write_text("{}")
    (tmp_path / "secret").write_text("x")
    inside, outside = {"path": str(folder / "a.json"), "url": "x"}, {"path": str(tmp_path / "secret"), "url": "x"}
    answer = with_contents({"data": [[inside], outside, 1]}, str(folder))
    assert answer["data"] == [[{**inside, "url": "data:application/json;base64,e30="}], outside, 1]


@pytest.fixture(scope="module")
def replicas():
    """Two apps with folders of their own, as two processes have."""
    from fastapi import FastAPI

    def tell(image: str, times: str = "1") -> str:
        with open(image) as file:
            return file.read() * int(times)

    apps = []
    for _ in range(2):
        make_folder()
        with gr.Blocks() as page:
            gr.Button().click(tell, [Upload(), gr.Textbox("1")], gr.Textbox(), api_name="tell")
        host = FastAPI()
        mount(host, page, "/cct")
        apps.append(host)
    return apps


@pytest.fixture
def send(replicas):
    """Sends requests to the two in turn."""

    def run(work):
        async def main():
            async with contextlib.AsyncExitStack() as stack:
                clients = []
                for app in replicas:
                    await stack.enter_async_context(app.router.lifespan_context(app))
                    transport = httpx.ASGITransport(app=app)
                    clients.append(httpx.AsyncClient(transport=transport, base_url="http://localhost/cct/gradio_api/"))
                turns = itertools.cycle(clients)
                return await work(lambda *request, **options: next(turns).request(*request, **options))

        return asyncio.run(main())

    return run


def test_a_run_needs_no_state_of_a_process(send):
    picture = {"path": "data:image/png;base64," + base64.b64encode(b"abc").decode()}

    async def work(request):
        return [await request("POST", "run/tell", json={"data": [picture, "2"]}) for _ in range(4)]

    assert [answer.json() for answer in send(work)] == [{"data": ["abcabc"]}] * 4


def test_what_needs_the_same_process_says_so(send):
    async def work(request):
        (path,) = (await request("POST", "upload", files={"files": ("a.png", b"abc")})).json()
        run = await request("POST", "run/tell", json={"data": [{"path": path}]})
        call = await request("POST", "call/tell", json={"data": [{"path": path}]})
        event = await request("GET", f"call/tell/{call.json()['event_id']}")
        return run, event

    run, event = send(work)
    assert (run.status_code, run.json()["detail"]) == (422, NOT_STORED)
    assert NOT_HERE.decode() in event.text
