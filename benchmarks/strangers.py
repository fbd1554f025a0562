"""What a hostile visitor can do to the app: each part shows one mark of SECURITY.md with its figure.

    python benchmarks/strangers.py [connections] [log] [mistakes] [decoding] [inline] [unread] [fairness] [stop]

Each part starts an app of its own with default settings on this machine and takes less than a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from PIL import Image
from served import EXAMPLES, Refused, Served, call_endpoint, call_refused, file_data, request, serve, upload

JOIN, CALL = "/gradio_api/queue/join", "/gradio_api/call/"
ATTACKER = "127.0.0.2"  # another address of this machine, on Linux


def log_size(served: Served) -> int:
    return (served.temp.parent / "log").stat().st_size


def run_connections(served: Served) -> None:
    """1,100 sockets that send nothing, then 1,100 that send half a request."""
    asyncio.run(request(served.port, "GET", "/healthz"))
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n"):
        held, times = [], []
        for _ in range(1100):
            held.append(socket.create_connection(("127.0.0.1", served.port)))
            held[-1].sendall(sent)
        started = time.monotonic()
        while time.monotonic() - started < 22:
            answer = asyncio.run(request(served.port, "GET", "/healthz"))
            times.append(answer.seconds if answer.status == 200 else np.inf)
            time.sleep(0.5)
        print(
            f"1,100 sockets that send {len(sent)} bytes: /healthz within {max(times):.2f} s (target 1 s), "
            f"{served.use().files} open files after 22 s (target 60), log {log_size(served)} bytes (target 1,000)"
        )
        for connection in held:
            connection.close()


async def send_odd_requests(port: int, count: int) -> Counter:
    odd = [
        ("GET", "/gradio_api/queue/data?session_hash=x%0aforged%1b[31m", b""),
        ("GET", "/gradio_api/call/classify/x%0aforged", b""),
        ("POST", JOIN, b'{"fn_index": 999, "data": [], "session_hash": "a"}'),
        ("POST", "/gradio_api/call/v2/classify", b'{"x": "\\n forged"}'),
        ("POST", "/gradio_api/call/forged", b'{"data": []}'),
        ("GET", "/gradio_api/file=/etc/forged%0a", b""),
        ("BREW", "/", b""),
    ]
    seen: Counter = Counter()
    for i in range(count):
        method, path, body = odd[i % len(odd)]
        seen[(await request(port, method, path, body)).status] += 1
    return seen


def run_log(served: Served) -> None:
    before, started = log_size(served), time.monotonic()
    seen = asyncio.run(send_odd_requests(served.port, 700))
    seconds = time.monotonic() - started
    print(
        f"700 odd requests in {seconds:.0f} s: statuses {dict(seen)}, none of 5xx (target), "
        f"log +{log_size(served) - before} bytes (target 5,000)"
    )


def mistakes(path: str) -> dict[str, tuple[str, list[object]]]:
    """Newcomers' mistakes: name -> (endpoint, inputs)."""
    picture = file_data(path)
    return {
        "no input": ("classify", []),
        "null": ("classify", [None]),
        "a plain path": ("classify", [path]),
        "a number": ("classify", [3]),
        "a list": ("classify", [[picture]]),
        "a path without meta": ("classify", [{"path": path}]),
        "another key": ("classify", [{"file": path}]),
        "a path that was not uploaded": ("classify", [file_data("/etc/hostname")]),
        "a file that is gone": ("classify", [file_data(path + "x")]),
        "an empty path": ("classify", [file_data("")]),
        "an unknown method": ("explain", [picture, "none", ""]),
        "a method of another type": ("explain", [picture, {"a": 1}, ""]),
        "a target of 5,000 digits": ("explain", [picture, "rollout", "9" * 5000]),
        "a target too long": ("explain", [picture, "rollout", "x" * 5000]),
        "an unknown target": ("explain", [picture, "rollout", "zebra"]),
    }


async def make_mistakes(port: int) -> tuple[int, int]:
    path = await upload(port, "a.png", EXAMPLES[0].read_bytes())
    answered = 0
    for name, (endpoint, inputs) in mistakes(path).items():
        try:
            sentence = await call_refused(port, endpoint, *inputs) or await call_endpoint(port, endpoint, *inputs)
        except Refused as refusal:
            sentence = json.loads(refusal.args[1])["detail"] if refusal.args[0] < 500 else ""
        answered += bool(sentence)
        if not sentence:
            print(f"no sentence for {name}")
    answered_whole = [await call_endpoint(port, "explain", file_data(path), *rest) for rest in ((), ("rollout", None))]
    return answered, sum(map(bool, answered_whole))


def run_mistakes(served: Served) -> None:
    answered, whole = asyncio.run(make_mistakes(served.port))
    print(
        f"{answered} of {len(mistakes(''))} mistakes answer with a sentence or the result; {whole} of 2 calls of "
        f"/explain with its required picture only are answered (target: all); log {log_size(served)} bytes"
    )


def make_heavy() -> dict[str, bytes]:
    """The pictures that need the most memory to decode, within the limits."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 4), np.uint8)
    large = noise.repeat(64, 0).repeat(80, 1)  # 5120 x 4800
    pictures = {
        "a.webp": (large[:, :3200], "RGBA", "WEBP", {"quality": 20, "method": 0}),
        "b.png": (large, "RGBA", "PNG", {"compress_level": 1}),
        "c.jpg": (large[:3900], "CMYK", "JPEG", {"progressive": True, "quality": 50}),
        "d.jpg": (large[..., :3], "RGB", "JPEG", {"progressive": True, "quality": 50, "subsampling": 0}),
    }
    files = {}
    for name, (pixels, mode, kind, options) in pictures.items():
        buffer = io.BytesIO()
        Image.frombuffer(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels)).save(buffer, kind, **options)
        files[name] = buffer.getvalue()
    return files


async def decode_much(port: int, files: dict[str, bytes]) -> Counter:
    """Eight callers at once, each with a heavy picture of its own."""
    paths = [await upload(port, name, data + bytes([i])) for i in range(2) for name, data in files.items()]
    kinds = ("classify", "explain") * 4
    calls = [call_endpoint(port, kind, file_data(path)) for kind, path in zip(kinds, paths, strict=True)]
    return Counter("answered" if answer else "refused" for answer in await asyncio.gather(*calls))


def measure_peak(
    served: Served, what: str, send: Callable[[int, dict[str, bytes]], Coroutine[Any, Any, Counter]]
) -> None:
    """Print what became of the heavy pictures that `send(port, files)` sends, and the memory that they took."""
    files = make_heavy()
    before, started = served.use(), time.monotonic()
    seen = asyncio.run(send(served.port, files))
    after = served.use()
    print(
        f"{what}: {dict(seen)} in {time.monotonic() - started:.0f} s; peak {before.peak:.0f} -> {after.peak:.0f} MB "
        "(target 600)"
    )


def run_decoding(served: Served) -> None:
    measure_peak(served, "eight heavy pictures at once", decode_much)


async def decode_inline(port: int, files: dict[str, bytes]) -> Counter:
    """Eight callers at once, each with a picture inside one request: heavy ones, and ones of 20 MB."""
    small = EXAMPLES[0].read_bytes()
    pictures = [*files.values(), *[small + bytes([i]) * (19_900_000 - len(small)) for i in range(4)]]

    async def call(data: bytes) -> int | str:
        text = "data:image/png;base64," + base64.b64encode(data).decode()
        body = json.dumps({"data": [{"path": text}]}).encode()
        try:
            return (await request(port, "POST", "/gradio_api/run/classify", body)).status
        except OSError:  # refused, and closed before this busy machine had sent all
            return "closed"

    return Counter(await asyncio.gather(*map(call, pictures)))


def run_pictures_in_json(served: Served) -> None:
    measure_peak(served, "eight pictures inside JSON at once, four of 20 MB", decode_inline)


async def never_read(served: Served, count: int) -> Counter:
    path = await upload(served.port, "a.png", EXAMPLES[0].read_bytes())
    endpoints = {"one": 1, "many": count}  # sessions
    seen: Counter = Counter()
    number = next(d["id"] for d in served.config["dependencies"] if d["api_name"] == "classify")
    for kind, sessions in endpoints.items():
        for i in range(count):
            body = {"fn_index": number, "data": [file_data(path)], "session_hash": f"{kind} {i % sessions}"}
            answer = await request(served.port, "POST", JOIN, json.dumps(body).encode())
            seen[f"{kind}: {answer.status}"] += 1
    return seen


def run_unread(served: Served) -> None:
    asyncio.run(never_read(served, 10))
    before = served.use()
    seen = asyncio.run(never_read(served, 300))
    after = served.use()
    print(
        f"600 calls whose answers nobody reads: {dict(seen)}; memory {after.memory - before.memory:+.1f} MB (target 30)"
    )


async def share(port: int, kind: str, picture: bytes, seconds: float) -> tuple[int, int, list[float]]:
    """An attacker posts eight calls a second and never reads; a visitor classifies one picture after another."""
    path = await upload(port, "attack.png", picture)
    body = json.dumps({"data": [file_data(path)]}).encode()
    until, answered, refused, times = time.monotonic() + seconds, 0, 0, []

    async def attack() -> None:
        while time.monotonic() < until:
            await request(port, "POST", CALL + kind, body, source=ATTACKER)
            await asyncio.sleep(1 / 8)

    async def visit() -> None:
        nonlocal answered, refused
        await asyncio.sleep(5)  # the attacker's calls have filled the queue
        while time.monotonic() < until:
            started = time.monotonic()
            try:
                small = await upload(port, "a.png", EXAMPLES[1].read_bytes() + str(started).encode())
                answered += bool(await call_endpoint(port, "classify", file_data(small)))
                times.append(time.monotonic() - started)
            except Refused:
                refused += 1
            await asyncio.sleep(0.5)

    await asyncio.gather(attack(), visit())
    return answered, refused, times


def run_fairness(served: Served) -> None:
    heavy = make_heavy()["b.png"]
    for kind, name, picture in (
        ("explain", "a small picture", EXAMPLES[0].read_bytes()),
        ("classify", "one large picture", heavy),
    ):
        answered, refused, times = asyncio.run(share(served.port, kind, picture, 20))
        print(
            f"eight posts a second to /{kind} with {name}: of a visitor's calls of /classify {answered} are answered "
            f"and {refused} refused (target 0), the slowest in {max(times, default=np.inf):.1f} s (target 3 s)"
        )


async def stop(served: Served) -> str:
    path = await upload(served.port, "a.png", EXAMPLES[0].read_bytes())
    joined = await request(served.port, "POST", CALL + "explain", json.dumps({"data": [file_data(path)]}).encode())
    event = json.loads(joined.body)["event_id"]
    answer = asyncio.create_task(request(served.port, "GET", f"{CALL}explain/{event}"))
    await asyncio.sleep(0)
    started = time.monotonic()
    served.process.terminate()
    await asyncio.sleep(0.1)
    health = await request(served.port, "GET", "/healthz")
    refused = await request(served.port, "POST", CALL + "classify", b'{"data": []}')
    whole = b"event: complete" in (await answer).body
    answered = time.monotonic() - started
    status = await asyncio.to_thread(served.process.wait, 20)
    return (
        f"SIGTERM during a call: /healthz {health.body.decode()}, a new call {refused.status} (target 503), the call "
        f"{'answered' if whole else 'LOST'} after {answered:.1f} s, the app ended after "
        f"{time.monotonic() - started:.1f} s with status {status}"
    )


def run_stop(served: Served) -> None:
    print(asyncio.run(stop(served)))


PARTS = {
    "connections": run_connections,
    "log": run_log,
    "mistakes": run_mistakes,
    "decoding": run_decoding,
    "inline": run_pictures_in_json,
    "unread": run_unread,
    "fairness": run_fairness,
    "stop": run_stop,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for name in options.parts or PARTS:
        # The app starts with the usual soft limit of open files; this program needs more for its sockets.
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
        with serve("--no-hub") as served:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
            started = time.monotonic()
            PARTS[name](served)
            print(f"  ({name}: {time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
