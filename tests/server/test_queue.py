"""The queue of a served app with many visitors, who wait, disconnect or cancel. One slot, blocked by an event."""

import asyncio
import os
import threading

import gradio as gr
import httpx
import pytest
from waiting import wait_until

from cct_viz.server import settings
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import launch

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PATIENCE = 20.0


class Served:
    def __init__(self):
        self.gate, self.done = threading.Event(), []
        make_folder()
        with gr.Blocks() as self.page:
            name = gr.Textbox()
            name.submit(self.work, name, gr.Textbox(), api_name="work")
        self.queue = None

    def work(self, name):
        self.gate.wait(PATIENCE)
        self.done.append(name)
        return name

    def __enter__(self):
        _, self.address, _ = launch(self.page, host="127.0.0.1", block=False)
        self.queue = self.page._queue
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.page.close()

    @property
    def running(self):
        return sum(queue.current_concurrency for queue in self.queue.event_queue_per_concurrency_id.values())

    def join(self, client, name, **headers):
        body = {"data": [name], "fn_index": 0, "session_hash": name}
        return client.post(f"{self.address}gradio_api/queue/join", json=body, headers=headers)

    def listen(self, client, name):
        return client.stream("GET", f"{self.address}gradio_api/queue/data?session_hash={name}", timeout=PATIENCE)


@pytest.fixture
def served():
    with Served() as server:
        yield server


@pytest.fixture
def client():
    with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
        yield http


def test_visitors_who_disconnect_free_their_place_and_slot(served, client):
    for name in ("running", "leaves", "stays"):
        assert served.join(client, name).status_code == 200
    wait_until(lambda: served.running == 1 and len(served.queue) == 2)
    for name, waiting in (("leaves", 1), ("running", 1)):
        with served.listen(client, name) as answer:
            assert "estimation" in next(answer.iter_lines()) or name == "running"
        wait_until(lambda waiting=waiting: len(served.queue) == waiting)
    served.gate.set()
    wait_until(lambda: len(served.queue) == 0 and served.running == 0)
    assert served.done == ["running", "stays"]
    assert not served.queue.stopped
    assert client.get(f"{served.address}healthz").json() == {"queue": True, "disk": True}


def test_a_cancelled_call_frees_its_place(served, client):
    served.join(client, "running")
    event = served.join(client, "waiting").json()["event_id"]
    wait_until(lambda: served.running == 1 and len(served.queue) == 1)
    body = {"session_hash": "waiting", "fn_index": 0, "event_id": event}
    assert client.post(f"{served.address}gradio_api/cancel", json=body).json() == {"success": True}
    wait_until(lambda: len(served.queue) == 0)
    with served.listen(client, "waiting") as answer:
        assert any("process_completed" in line for line in answer.iter_lines())
    served.gate.set()
    wait_until(lambda: served.running == 0)
    assert served.done == ["running"]


@pytest.mark.slow
def test_a_full_queue_refuses_at_once_and_serves_the_rest(served):
    """200 visitors at once for a queue of 32, while the slot is blocked: refusals do not wait for it."""

    async def visit_all():
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, limits=limits) as client:

            async def visit(i):
                answer = await served.join(client, f"v{i}")
                return f"v{i}", answer.status_code, answer.json()

            return await asyncio.gather(*[visit(i) for i in range(200)])

    answers = asyncio.run(visit_all())
    refused = [answer for answer in answers if answer[1] == 503]
    accepted = [name for name, status, _ in answers if status == 200]
    assert len(refused) + len(accepted) == 200
    assert len(accepted) in (settings.MAX_WAITING, settings.MAX_WAITING + 1)  # plus one that is being served
    assert all("32 others wait before you" in body["detail"] for *_, body in refused)
    with httpx.Client(trust_env=False) as browser:
        assert served.join(browser, "browser", **{"Sec-Fetch-Mode": "cors"}).status_code == 429
    served.gate.set()
    wait_until(lambda: len(served.done) == len(accepted))
    assert sorted(served.done) == sorted(accepted)
    assert not served.queue.stopped


def test_an_upload_that_is_too_large_leaves_no_files(served, client, tmp_path):
    folder = served.page.GRADIO_CACHE
    size = settings.MAX_UPLOAD_MB * 2**20 + 500_000

    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(size // 100_000):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post(f"{served.address}gradio_api/upload", content=pieces(), headers=headers)
    assert (answer.status_code, "maximum allowed size" in answer.text) == (413, True)
    assert os.listdir(folder) == []
