"""The app in its own process, and a small HTTP client: shared by the other benchmarks.

The client uses plain streams, because it runs on the same two cores as the app that it measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "cct_viz" / "web" / "example_images").glob("*.png"))


@dataclass(frozen=True)
class Use:
    """What the app's process uses at one moment; memory and disk in megabytes, `peak` since its start."""

    memory: float
    peak: float
    threads: int
    files: int
    temp: float

    def __str__(self) -> str:
        return (
            f"{self.memory:6.1f} MB (peak {self.peak:.0f})  {self.threads:3d} threads  {self.files:3d} open files  "
            f"temp folder {self.temp:5.1f} MB"
        )


@dataclass(frozen=True)
class Answer:
    """Status, body and seconds to its last byte."""

    status: int
    body: bytes
    seconds: float


class Served:
    """A running app: its address, its process and its temp folder."""

    def __init__(self, port: int, process: subprocess.Popen, temp: Path, started: float):
        self.port, self.process, self.temp = port, process, temp
        self.seconds_to_page = time.monotonic() - started
        self.config = json.loads(self.fetch("config"))

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as answer:
            return answer.read()

    def use(self) -> Use:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
        return Use(
            kilobytes["VmRSS"] / 1e3,
            kilobytes["VmHWM"] / 1e3,
            int(re.findall(r"^Threads:\s+(\d+)$", status, re.MULTILINE)[0]),
            len(os.listdir(f"/proc/{self.process.pid}/fd")),
            sum(path.stat().st_size for path in self.temp.rglob("*") if path.is_file()) / 1e6,
        )


@contextlib.contextmanager
def serve(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run `python app.py` on a free port with default settings; no Hub, unless `environment` names one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        own = {
            "GRADIO_TEMP_DIR": f"{home}/temp",
            "HF_HOME": f"{home}/hub",
            "HF_ENDPOINT": "http://127.0.0.1:9",
            **(environment or {}),
        }
        started = time.monotonic()
        with open(f"{home}/log", "w") as log:
            command = [sys.executable, "app.py", "--port", str(port), *arguments]
            process = subprocess.Popen(command, cwd=ROOT, env=os.environ | own, stdout=log, stderr=log)
            try:
                wait_for_page(port, process, Path(home) / "log")
                yield Served(port, process, Path(home) / "temp", started)
                log_text = Path(home, "log").read_text()
                for error, count in Counter(re.findall(r"^(?:\w+\.)+(\w+): ", log_text, re.MULTILINE)).items():
                    print(f"the app's log has {count} tracebacks that end in {error}")
            finally:
                process.terminate()
                process.wait(20)


def wait_for_page(port: int, process: subprocess.Popen, log: Path) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.01)


async def request(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    kind: str = "application/json",
    source: str = "127.0.0.1",
) -> Answer:
    """Send one request on a new connection, from the address `source`, and read the answer to its end."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24, local_addr=(source, 0))
    try:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        content = join_chunks(content)
    return Answer(int(head.split(b" ", 2)[1]) if head else 0, content, time.monotonic() - started)


def join_chunks(content: bytes) -> bytes:
    parts, start = [], 0
    while start < len(content):
        end = content.index(b"\r\n", start)
        size = int(content[start:end], 16)
        parts.append(content[end + 2 : end + 2 + size])
        start = end + 4 + size
    return b"".join(parts)


async def upload(port: int, name: str, data: bytes) -> str:
    """Upload a file; returns the path that the app gave it.

    Raises:
        Refused: the app answered with another status than 200.
    """
    mark = secrets.token_hex(8)
    part = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = part + data + f"\r\n--{mark}--\r\n".encode()
    answer = await request(port, "POST", "/gradio_api/upload", body, f"multipart/form-data; boundary={mark}")
    if answer.status != 200:
        raise Refused(answer.status, answer.body)
    return json.loads(answer.body)[0]


class Refused(Exception):
    """The app answered with another status than 200."""


async def call_endpoint(port: int, name: str, *data: object) -> bytes:
    """The data of a named endpoint's answer; b"" if it ends in an error event."""
    return (await _call(port, name, data)).partition(b"event: complete\ndata: ")[2]


async def call_refused(port: int, name: str, *data: object) -> str:
    """The message with which a named endpoint refuses; "" if it answers, or refuses without a message."""
    event = (await _call(port, name, data)).partition(b"event: error\ndata: ")[2]
    error = json.loads(event or b"null")
    return error["error"] or "" if isinstance(error, dict) else ""


async def _call(port: int, name: str, data: tuple[object, ...]) -> bytes:
    """The last events of a call to a named endpoint."""
    joined = await request(port, "POST", f"/gradio_api/call/{name}", json.dumps({"data": data}).encode())
    if joined.status != 200:
        raise Refused(joined.status, joined.body)
    event = json.loads(joined.body)["event_id"]
    return (await request(port, "GET", f"/gradio_api/call/{name}/{event}")).body


def file_data(path: str) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
