"""The app as a Space and a container run it: as uid 1000 without a home, and only /tmp is writable."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOBODY = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
PATIENCE = 90.0  # seconds; a start takes three, but the machine may be busy
SERVED = ("app.py", "cct_viz", "weights")  # what the Dockerfile copies


@pytest.fixture(scope="module")
def checkout():
    """The files that the Dockerfile copies, and an empty cache, all read-only for uid 1000."""
    can = shutil.which("setpriv") and os.geteuid() == 0
    if not can or subprocess.run([*NOBODY, sys.executable, "-c", "import gradio"], capture_output=True).returncode:
        pytest.skip("only root can start the app as uid 1000, where that user may run this Python")
    with tempfile.TemporaryDirectory(prefix="space_") as parent:
        folder = Path(parent)
        for name in SERVED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyi"))
            else:
                shutil.copy(ROOT / name, folder / name)
        (folder / "cache").mkdir()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder


@pytest.fixture(scope="module")
def address(checkout):
    """The address of the app, started as in a Space, without access to the Hub."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "SYSTEM": "spaces",
        "SPACE_ID": "somebody/explorer",
        "SPACE_HOST": "somebody-explorer.hf.space",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "HF_HOME": str(checkout / "cache"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    command = [*NOBODY, sys.executable, "app.py"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=checkout, env=environment, stdout=pipe, stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    pytest.fail(process.stdout.read().decode())
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def fetch(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.headers, answer.read()


def test_a_space_serves_its_page_and_is_healthy(address):
    headers, page = fetch(f"{address}/")
    assert b"CCT Explorer" in page
    assert "huggingface.co" in headers["Content-Security-Policy"]  # the Hub shows its Spaces in frames
    assert set(json.loads(fetch(f"{address}/healthz")[1]).values()) == {True}


def test_a_space_classifies_an_uploaded_picture(address):
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as folder:
        client = Client(address, verbose=False, analytics_enabled=False, download_files=folder)
        try:
            answer = client.predict(handle_file(ROOT / "cct_viz/web/example_images/deer.png"), api_name="/classify")
        finally:
            client.close()
    assert answer["label"] == "deer"


def test_a_space_writes_no_files_beside_the_app(checkout, address):
    assert not list(checkout.rglob("__pycache__"))
    assert not list((checkout / "cache").iterdir())
