"""The settings of the served app: every argument of Gradio is reviewed, and every setting takes effect."""

import asyncio
import http.server
import inspect
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
from gradio.queueing import Queue
from waiting import PATIENCE, wait_until

from cct_viz.server import health, janitor, launch, settings
from cct_viz.server.janitor import PREFIX, Janitor, make_folder
from cct_viz.server.queue import Mailboxes, drop_closed_sessions, limit_queue
from cct_viz.server.shutdown import Traffic

ROOT = Path(__file__).parents[2]

# Arguments of Blocks.launch that launch() sets itself, and those that keep their defaults on purpose.
GIVEN = {
    "server_name",
    "server_port",
    "prevent_thread_lock",
    "theme",
    "head",
    "css_paths",
    "blocked_paths",
    "mcp_server",
    "app_kwargs",
    "root_path",
}
LEFT = {
    "self",
    "inline",
    "debug",
    "auth",
    "auth_message",
    "auth_dependency",
    "height",
    "width",
    "favicon_path",
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_keyfile_password",
    "ssl_verify",
    "share_server_address",
    "share_server_protocol",
    "share_server_tls_certificate",
    "node_server_name",
    "node_port",
    "num_workers",
    "_app",
    "_frontend",
    "i18n",
    "css",
    "js",
    "head_paths",
}


def test_every_argument_of_gradio_is_reviewed():
    """A new argument may be unsafe by default: review it, then add it to settings.LAUNCH or here."""
    assert set(inspect.signature(gr.Blocks.launch).parameters) == GIVEN | LEFT | set(settings.LAUNCH)
    assert set(inspect.signature(gr.Blocks.queue).parameters) == {"self", "status_update_rate"} | set(settings.QUEUE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(janitor.atexit, "register", lambda *_, **__: None)
    return make_folder()


def test_settings_take_effect(folder):
    with gr.Blocks() as page:
        gr.Textbox()
    begun = []
    try:
        app, _, _ = launch.launch(page, block=False, begin=lambda: begun.append(page.is_running))
        assert begun == [True]  # once, and not before the server starts
        queue = page._queue
        assert (page.api_open, queue.max_size) == (False, None)  # limit_queue limits each kind
        assert page.max_file_size == settings.MAX_UPLOAD_MB * 2**20  # Gradio's MB
        assert (page.max_threads, queue.max_thread_count) == (8, 8)
        assert (page.show_error, page.share, page.enable_monitoring) == (False, False, False)
        assert page.blocked_paths == [str(ROOT)]
        assert page.allowed_paths == []
        assert app.state_holder.capacity == settings.MAX_SESSIONS
        assert isinstance(queue.pending_messages_per_session, Mailboxes)
    finally:
        page.close()


def test_the_app_starts_behind_a_proxy_that_does_not_reach_it(folder, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.setenv("NO_PROXY", "")
    with gr.Blocks() as page:
        gr.Textbox()
    try:
        launch.launch(page, host="127.0.0.1", block=False)
        assert os.environ["no_proxy"] == "example.com,localhost,127.0.0.1"
    finally:
        page.close()


@pytest.mark.slow
def test_the_environment_is_set_before_libraries_read_it():
    code = (
        "import os, sys; from cct_viz.app import serve; inner = serve.settings.set_environment\n"
        "def first():\n"
        "    print({'numpy', 'gradio', 'onnxruntime', 'PIL'} & set(sys.modules) or 'nothing'); inner()\n"
        "def report(arguments):\n"
        "    from gradio.queueing import Queue; import numpy\n"
        "    q = Queue(True, 8, 1, 32, None); print(q.ANAYLTICS_CACHE_FREQUENCY, q.ANALYTICS_MAX_EVENTS,"
        "*(os.environ[name] for name in serve.settings.ENVIRONMENT)); raise SystemExit\n"
        "serve.settings.set_environment = first; serve.read_address = report; serve.main([])"
    )
    environment = {k: v for k, v in os.environ.items() if k not in settings.ENVIRONMENT} | {"OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    expected = settings.ENVIRONMENT | {"OMP_NUM_THREADS": "3"}  # an existing value is kept
    assert done.stdout.split() == ["nothing", "1000000000", "64", *expected.values()]


def test_importing_the_settings_imports_no_library():
    code = "import cct_viz.server.settings, sys; print({'numpy', 'gradio', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of other systems has other settings")
def test_memory_of_photos_goes_back_to_the_system():
    """Arrays of half a megabyte are freed while smaller, later ones stay: a heap could not shrink."""
    code = (
        "import re, sys; from cct_viz.server import settings; sys.argv[1:] and settings.set_memory()\n"
        "import numpy as np\n"
        "for _ in range(3): [np.ones(2**21) for _ in range(2)]\n"  # glibc adapts its threshold to freed sizes
        "large, small = [], []\n"
        "for _ in range(400): large.append(np.ones(2**16)); small.append(np.ones(2**10))\n"
        "del large; print(re.findall(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[0])"
    )
    used = [
        int(subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, check=True).stdout)
        for arguments in ([], ["set"])
    ]
    assert used[1] < used[0] - 100_000  # kB, of the 200,000 that the arrays used


def make_queue(size=2):
    queue = Queue(True, 8, 1, size, None)
    limit_queue(queue)
    return queue


def test_a_message_to_a_closed_session_is_dropped():
    box = Mailboxes(2)
    box["gone"].put_nowait("lost")
    del box["gone"]
    assert list(box) == []
    for name in ("a", "b", "c"):
        box[name] = asyncio.Queue()
    assert list(box) == ["b", "c"]
    box["c"].put_nowait("kept")
    assert box["c"].get_nowait() == "kept"
    del box["c"]
    assert "c" not in box


def test_records_of_closed_sessions_are_deleted():
    queue = make_queue()
    queue.pending_messages_per_session["here"] = asyncio.Queue()
    queue.pending_event_ids_session = {"here": {"1"}, "gone": set(), "left": {"2"}}
    drop_closed_sessions(queue)
    assert list(queue.pending_event_ids_session) == ["here"]


def write(folder, name, age, size=10):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return path


def file_names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_old_files_are_removed_and_new_and_shown_ones_stay(folder):
    write(folder, "abc/old.png", settings.KEEP_SECONDS + 10)
    write(folder, "abd/new.png", settings.KEEP_SECONDS - 60)
    shown = write(folder, "abe/first.png", 10 * settings.KEEP_SECONDS)
    write(folder, "tmpbroken", settings.ABANDONED_SECONDS + 10)
    write(folder, "tmpcoming", settings.ABANDONED_SECONDS - 60)
    sweeper = Janitor(folder, keep=lambda: {str(shown)})
    removed = sweeper.sweep()
    assert file_names(folder) == ["first.png", "new.png", "tmpcoming"]
    assert removed == {str(folder / "abc" / "old.png"), str(folder / "tmpbroken")}
    assert sweeper.size >= 3 * (10 + settings.FILE_BYTES // 2)
    os.utime(folder / "abc", (0, 0))
    sweeper.remove_empty_folders()
    assert not (folder / "abc").exists()
    assert (folder / "abd").exists()


def test_the_oldest_files_are_removed_when_there_are_too_many(folder, monkeypatch):
    monkeypatch.setattr(settings, "MB", 1)
    monkeypatch.setattr(settings, "FILE_BYTES", 0)
    monkeypatch.setattr(settings, "MAX_TEMP_MB", 250_000)
    for i in range(5):
        write(folder, f"{i}/picture{i}.png", 60 * i, 100_000)
    sweeper = Janitor(folder)
    sweeper.sweep()
    assert file_names(folder) == ["picture0.png", "picture1.png"]
    assert sweeper.admit(200_000)
    assert not sweeper.admit(200_000)
    sweeper.give_back(200_000)
    assert sweeper.admit(200_000)
    sweeper.sweep()
    assert sweeper.admit(200_000)


def test_the_disk_has_space_while_one_more_upload_fits(folder, monkeypatch):
    for free, fits in ((settings.MAX_UPLOAD_MB * settings.MB, True), (settings.MAX_UPLOAD_MB * settings.MB - 1, False)):
        monkeypatch.setattr(janitor.shutil, "disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        assert Janitor(folder).has_space() == fits


@pytest.mark.parametrize("limit", ["MAX_TEMP_FILES", "MAX_TEMP_MB"])
def test_tiny_files_count_by_number_and_by_disk_blocks(folder, monkeypatch, limit):
    monkeypatch.setattr(settings, limit, 1 if limit == "MAX_TEMP_MB" else 40)
    for i in range(400):
        write(folder, f"{i}/tiny.png", i, 3)
    sweeper = Janitor(folder)
    sweeper.sweep()
    assert 40 <= len(file_names(folder)) <= 250
    assert sweeper.size >= len(file_names(folder)) * settings.FILE_BYTES // 2


def test_only_folders_made_by_make_folder_are_swept(tmp_path):
    with pytest.raises(ValueError, match="files of other programs"):
        Janitor(tmp_path)


def test_make_folder_removes_folders_of_dead_processes_only(folder):
    dead, living, other = (folder.parent / name for name in (f"{PREFIX}dead", f"{PREFIX}living", "other"))
    for each in (dead, living, other):
        each.mkdir()
        (each / "a.png").write_bytes(b"x")
        os.utime(each, (0, 0))
    os.utime(living)
    os.environ["GRADIO_TEMP_DIR"] = str(folder.parent)
    assert make_folder().parent == folder.parent
    assert (dead.exists(), living.exists(), other.exists()) == (False, True, True)


def test_a_running_app_removes_folders_of_killed_processes(folder):
    sweeper, dead, living = Janitor(folder), folder.parent / f"{PREFIX}dead", folder.parent / f"{PREFIX}living"
    for each in (dead, living):
        each.mkdir()
        (each / "a.png").write_bytes(b"x")
    for i in range(janitor.LEFT_SWEEPS + 1):
        assert dead.exists()
        os.utime(living, (i, i))  # as its own sweeps do
        sweeper.remove_abandoned_folders()
    assert (dead.exists(), living.exists(), folder.exists()) == (False, True, True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
def test_visitors_files_are_removed_when_the_app_is_terminated(tmp_path):
    code = (
        "import gradio as gr; from cct_viz.server.janitor import make_folder; from cct_viz.server.launch import launch;"
        "make_folder()\nwith gr.Blocks() as page: gr.HTML()\nlaunch(page)"
    )
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as app:
        line = app.stdout.readline()
        there = list(tmp_path.glob(f"{PREFIX}*"))
        app.terminate()
        status = app.wait(PATIENCE)
    assert "CCT Explorer is at" in line
    assert (len(there), status, list(tmp_path.glob(f"{PREFIX}*"))) == (1, 128 + 15, [])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
def test_a_terminated_app_finishes_what_is_under_way(tmp_path):
    """A call waits for a file. After SIGTERM it still gets its answer, while new calls are refused."""
    code = (
        "import pathlib, time, gradio as gr; from cct_viz.server.janitor import make_folder\n"
        "from cct_viz.server.launch import launch\n"
        "def work(name):\n"
        "    while not pathlib.Path(name).exists(): time.sleep(0.01)\n"
        "    return 'done'\n"
        "make_folder()\n"
        "with gr.Blocks() as page: gr.Textbox().submit(work, gr.Textbox(), gr.Textbox(), api_name='work')\n"
        "launch(page)"
    )
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "temp"), "PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as app,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        address = app.stdout.readline().split()[4].rstrip("/")
        call = f"{address}/gradio_api/call/work"
        event = client.post(call, json={"data": [str(tmp_path / "go")]}).json()["event_id"]
        with client.stream("GET", f"{call}/{event}") as answer:
            app.terminate()
            wait_until(lambda: client.get(f"{address}/healthz").json() == {"stopping": True})
            refused = client.post(call, json={"data": ["x"]})
            (tmp_path / "go").touch()
            text = answer.read().decode()
        status = app.wait(PATIENCE)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert 'event: complete\ndata: ["done"]' in text
    assert status == 128 + 15


@pytest.mark.parametrize("waiting", [0, 1])
def test_the_end_of_an_app_waits_for_calls_but_not_for_ever(monkeypatch, waiting):
    monkeypatch.setattr(settings, "GRACE_SECONDS", 0.01)
    traffic, asked = Traffic(), []

    def count():
        asked.append(traffic.stopping)
        return waiting

    traffic.finish(count)
    assert asked[0]


def test_the_janitor_sweeps_while_the_app_is_served(folder, monkeypatch):
    monkeypatch.setattr(settings, "SWEEP_SECONDS", 0.01)
    write(folder, "abc/old.png", 2 * settings.KEEP_SECONDS)
    removed = []

    async def serve():
        async with Janitor(folder).at_work(removed.append):
            for _ in range(500):
                if removed:
                    break
                await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert removed[0] == {str(folder / "abc" / "old.png")}


@pytest.mark.parametrize(
    ("status", "body", "works"),
    [
        (200, b'{"queue": true}', True),
        (503, b'{"queue": false}', False),
        (503, b'{"queue": true, "model": false}', True),  # may recover
        (503, b'{"stopping": true}', True),
        (503, b"Service Unavailable", True),  # too many connections: ending the process would please an attacker
        (500, b"Internal Server Error", False),
    ],
)
def test_only_a_queue_that_stopped_cannot_recover(status, body, works):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert (health.ask(f"http://127.0.0.1:{server.server_port}/") == "") == works
        thread.join()


@pytest.mark.parametrize(
    ("answers", "ended"), [(["", "stopped"] * 10 + ["stopped"] * 6, True), (["stopped"] * 5 + [""] * 3, False)]
)
def test_the_watchdog_ends_the_process_only_after_repeated_failures(monkeypatch, capsys, answers, ended):
    waiting_answers, codes = list(answers), []

    def ask(address):
        if not waiting_answers:
            raise KeyboardInterrupt
        return waiting_answers.pop(0)

    monkeypatch.setattr(settings, "WATCH_SECONDS", 0)
    monkeypatch.setattr(health, "ask", ask)
    if ended:
        health.watch("http://x/", end=codes.append)
        assert "start it again" in capsys.readouterr().err
    else:
        with pytest.raises(KeyboardInterrupt):
            health.watch("http://x/", end=codes.append)
    assert codes == ([health.DEAD] if ended else [])
