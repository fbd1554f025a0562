"""Load the app: many visitors, a crowd, oversized bodies, closed routes, and a long mix of good and bad input.

    python benchmarks/load.py [users] [crowd] [oversize] [closed] [threads] [soak] [--seconds S] [--calls N]

Without a name, all parts run one after the other against one process of the app with its default settings. The clients
run on the same machine. Each result is printed with its target.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

import numpy as np
from PIL import Image
from served import (
    EXAMPLES,
    ROOT,
    Refused,
    Served,
    call_endpoint,
    call_refused,
    file_data,
    request,
    serve,
    upload,
)

PHOTO_SIZE = (4000, 3000)  # a phone camera


def make_photo(size: tuple[int, int] = PHOTO_SIZE) -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


MODEL = "keras_cct_cifar10"


async def visit(served: Served, way: str, number: int) -> None:
    """One answer, from the upload to its last byte."""
    data = EXAMPLES[number % len(EXAMPLES)].read_bytes()
    path = await upload(served.port, f"v{number}.png", data + number.to_bytes(4, "big"))  # a picture of its own
    arguments = ("rollout", "") if way == "explain" else ()
    if not await call_endpoint(served.port, way, file_data(path), *arguments):
        raise ValueError(f"{way} gave no answer")


async def drive(served: Served, way: str, users: int, seconds: float) -> str:
    """`users` visitors who call again after each answer, for `seconds`; returns one line of results."""
    times, refused, errors = [], 0, Counter()
    until, number = time.monotonic() + seconds, 0

    async def user(name: str) -> None:
        nonlocal refused, number
        while time.monotonic() < until:
            number += 1
            started = time.monotonic()
            try:
                await visit(served, way, number)
                times.append(time.monotonic() - started)
            except Refused as refusal:
                refused += 1
                if refusal.args[0] not in (429, 503):
                    errors[refusal.args[0]] += 1
                await asyncio.sleep(0.5)
            except (ValueError, OSError) as error:
                errors[str(error)[:60]] += 1

    started = time.monotonic()
    await asyncio.gather(*[user(f"{users}_{i}") for i in range(users)])
    rate = len(times) / (time.monotonic() - started)
    p50, p95 = np.percentile(times, [50, 95]) if times else (np.nan, np.nan)
    line = f"{way:9} {users:3d} users {rate:6.1f} calls/s  p50 {1e3 * p50:6.0f} ms  p95 {1e3 * p95:6.0f} ms"
    return f"{line}  {refused:4d} refused  {sum(errors.values())} errors {dict(errors) or ''}"


def run_users(served: Served, seconds: float) -> None:
    for way in ("classify", "explain"):
        for users in (1, 5, 20, 60):
            line = asyncio.run(drive(served, way, users, seconds))
            print(f"{line}  | {served.use()}", flush=True)
    print("targets: 20 visitors 15 answers/s, p95 under 3 s, no errors; one visitor 120 ms")


async def crowd(served: Served) -> tuple[list[float], list[float], int]:
    """200 calls at once: seconds until each refusal, seconds until each answer, and the number of lost calls."""
    paths = [await upload(served.port, f"c{i}.png", EXAMPLES[i % 10].read_bytes() + bytes([i])) for i in range(20)]
    refusals, answered, lost = [], [], 0

    async def come(i: int) -> None:
        nonlocal lost
        started = time.monotonic()
        try:
            answer = await call_endpoint(served.port, "classify", file_data(paths[i % 20]))
            answered.append(time.monotonic() - started)
            lost += not answer
        except Refused as refusal:
            refusals.append(time.monotonic() - started)
            lost += b"others wait before you" not in refusal.args[1]

    await asyncio.gather(*[come(i) for i in range(200)])
    return refusals, answered, lost


def run_crowd(served: Served, _: float) -> None:
    refusals, answered, lost = asyncio.run(crowd(served))
    slowest = max(refusals, default=0)
    print(
        f"crowd of 200: {len(refusals)} refused within {slowest:.2f} s (target 1 s); {len(answered)} accepted, "
        f"all answered within {max(answered, default=0):.2f} s; {lost} lost or without a message (target 0)"
    )


def oversize_shapes() -> dict[str, tuple[str, list[str], bytes | None]]:
    """name -> (path, curl's arguments, body). None is a body of 300 MB."""
    url = json.dumps({"data": [file_data("data:image/png;base64," + "A" * 38_000_000)]}).encode()
    form = ["-F", "files=@{file};filename=a.png"]
    chunked = ["-H", "Transfer-Encoding: chunked"]
    body = ["-H", "Content-Type: application/json", "--data-binary", "@{file}"]
    return {
        "JSON body": ("queue/join", body, None),
        "JSON body, length not given": ("queue/join", [*body, *chunked], None),
        "text field of a call": ("call/explain", body, None),
        "picture as a data URL in JSON": ("call/classify", body, url),
        "file": ("upload", form, None),
        "file, length not given": ("upload", [*form, *chunked], None),
        "form field without a file": ("upload", ["-F", "text=<{file}"], None),
        "body of a GET": ("info", ["-X", "GET", *body], None),
    }


def run_oversize(served: Served, _: float) -> None:
    file = served.temp.parent / "oversize"
    before = served.use()
    for name, (path, arguments, content) in oversize_shapes().items():
        with file.open("wb") as stream:
            stream.write(content) if content else stream.truncate(300_000_000)
        filled = [argument.replace("{file}", str(file)) for argument in arguments]
        command = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code} in %{time_total} s", *filled]
        address = f"http://127.0.0.1:{served.port}/gradio_api/{path}"
        done = subprocess.run([*command, address], capture_output=True, text=True, check=False)
        print(f"oversize, {name:32} {done.stdout}")
    file.unlink()
    after = served.use()
    print(f"oversize in 8 shapes: peak {before.peak:.0f} -> {after.peak:.0f} MB (target +60 MB)")


CLOSED = [
    "/gradio_api/file=/etc/passwd",
    f"/gradio_api/file={ROOT}/app.py",
    f"/gradio_api/file={ROOT}/cct_viz/web/example_images/cat.png",
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd",
    "/gradio_api/file=/proc/self/environ",
    "/gradio_api/file=http://127.0.0.1:{port}/healthz",
    "/gradio_api/file=https://example.com/",
    "/gradio_api/proxy=http://127.0.0.1:{port}/healthz",
    "/assets/../../../../etc/passwd",
    "/static/..%2f..%2f..%2fetc/passwd",
    "/gradio_api/deep_link?session_hash=s1",
    "/monitoring/summary",
    "/gradio_api/vibe-code",
]


async def probe_closed(served: Served) -> tuple[int, int]:
    """The number of probes, and the number answered with a file, a fetched page, a path or a traceback."""
    probes = [("GET", path.replace("{port}", str(served.port)), b"") for path in CLOSED]
    for path in (
        "/etc/passwd",
        str(ROOT / "app.py"),
        f"http://127.0.0.1:{served.port}/healthz",
        "https://example.com/a",
    ):
        probes.append(("POST", "/gradio_api/call/classify", json.dumps({"data": [file_data(path)]}).encode()))
    for odd in (b"{", b"[]", b'{"data": 3}', b'{"data": [1, 2, 3, 4]}', b"[" * 100_000, b'{"data": [{"path": 3}]}'):
        probes.append(("POST", "/gradio_api/call/classify", odd))
        probes.append(("POST", "/gradio_api/queue/join", odd))
    leaks = 0
    for method, path, body in probes:
        answer = await request(served.port, method, path, body)
        text = answer.body
        if method == "POST" and answer.status == 200 and b"event_id" in text:
            event = json.loads(text)["event_id"]
            text += (await request(served.port, "GET", f"/gradio_api/call/classify/{event}")).body
        text = text.replace(path.partition("=")[2].encode() or b"\0", b"")  # an answer may repeat the caller's own text
        secret = any(word in text for word in (b"root:", b"Traceback", str(ROOT).encode(), b"HOME=", b"argparse"))
        served_it = method == "GET" and answer.status == 200
        if secret or served_it:
            leaks += 1
            print(f"LEAK {method} {path} {body[:60]!r}: {answer.status} {text[:200]!r}")
    return len(probes), leaks


def run_closed(served: Served, _: float) -> None:
    probes, leaks = asyncio.run(probe_closed(served))
    print(f"traversal, fetching other URLs, leaked paths and tracebacks: {leaks} of {probes} probes (target 0)")


def run_threads(served: Served, _: float) -> None:
    """16 threads on one classifier in this process must get the same numbers as one thread."""
    from concurrent.futures import ThreadPoolExecutor

    sys.path.insert(0, str(ROOT))
    from cct_viz.inference.load import load

    classifier = load(MODEL)
    images = list(np.random.default_rng(0).integers(0, 256, (50, 40, 48, 3), np.uint8))
    serial = [classifier.trace(image).logits for image in images]
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(lambda: [classifier.trace(image).logits for image in images]) for _ in range(16)]
        equal = sum(np.array_equal(a, b) for job in jobs for a, b in zip(job.result(), serial, strict=True))
    print(f"16 threads, 50 images each: {equal} of 800 equal to the serial run (target 800)")


async def mixed_call(served: Served, number: int, chance: random.Random, photo: bytes) -> str:
    """Make one call of a random kind; returns the kind.

    Raises:
        AssertionError, ValueError: the app's answer is wrong for this kind.
        Refused: the app is full.
    """
    port = served.port
    kind = chance.choices(list(MIX), list(MIX.values()))[0]
    example = EXAMPLES[number % 10].read_bytes() + number.to_bytes(4, "big")
    if kind in ("classify", "explain"):
        await visit(served, kind, number)
    elif kind == "photo":
        path = await upload(port, "photo.jpg", photo + number.to_bytes(4, "big"))
        assert await call_endpoint(port, "classify", file_data(path))
    elif kind == "broken":
        cut = bytearray(example[: chance.randrange(20, 1500)])
        cut[chance.randrange(len(cut))] ^= 1 << chance.randrange(8)
        path = await upload(port, "broken.png", bytes(cut))
        sentence = await call_refused(port, "classify", file_data(path))
        assert sentence.startswith("broken.png"), f"a broken picture got {sentence!r}"
    elif kind == "nonsense":
        path = await upload(port, "a.png", example)
        sentence = await call_refused(port, "explain", file_data(path), "no such method", "zebra")
        assert "no method is called" in sentence, f"an unknown method got {sentence!r}"
    elif kind == "refused":
        odd = chance.choice([b"[" * 60_000, b"x" * 1_100_000, json.dumps({"data": [file_data("http://a/b")]}).encode()])
        assert (await request(port, "POST", "/gradio_api/queue/join", odd)).status in (400, 413, 422)
    elif kind == "leaves":  # joins and never fetches the answer
        path = await upload(port, "a.png", example)
        body = {"data": [file_data(path)], "session_hash": f"left{number}"}
        assert (await request(port, "POST", "/gradio_api/call/classify", json.dumps(body).encode())).status in (
            200,
            503,
        )
    elif kind == "breaks off":
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(50_000)
        writer.write(head + b"Content-Length: 5000000\r\n\r\n" + part)
        await writer.drain()
        writer.close()
    return kind


MIX = {
    "classify": 55,
    "explain": 10,
    "photo": 8,
    "broken": 10,
    "nonsense": 4,
    "refused": 5,
    "leaves": 4,
    "breaks off": 4,
}


async def run_soak_calls(served: Served, calls: int, first: int, photo: bytes) -> Counter:
    """`calls` mixed calls, eight at a time; returns the count of each kind and of each error."""
    seen, chance, numbers = Counter(), random.Random(first), iter(range(first, first + calls))

    async def come() -> None:
        for number in numbers:
            try:
                seen[await mixed_call(served, number, chance, photo)] += 1
            except Refused as refusal:
                seen[f"refused {refusal.args[0]}"] += 1
            except (AssertionError, ValueError, OSError) as error:
                seen[f"WRONG {type(error).__name__} {error}"[:70]] += 1

    await asyncio.gather(*[come() for _ in range(8)])
    return seen


def run_soak(served: Served, _: float, calls: int = 2000) -> None:
    photo = make_photo()
    warm = max(calls // 4, 50)
    seen, quarter = asyncio.run(run_soak_calls(served, warm, 0, photo)), calls // 4
    before = served.use()
    print(f"soak, after {warm} calls of warm-up:  {before}", flush=True)
    for i in range(4):
        seen += asyncio.run(run_soak_calls(served, quarter, warm + i * quarter, photo))
        print(f"soak, after {(i + 1) * quarter} more:  {served.use()}", flush=True)
    after = served.use()
    wrong = sum(count for kind, count in seen.items() if kind.startswith("WRONG"))
    print(f"soak: {dict(seen)}")
    print(
        f"soak of {calls} after {warm}: {wrong} wrong (target 0), memory {after.memory - before.memory:+.1f} MB to "
        f"{after.memory:.0f} MB (targets 30 and 400), threads {after.threads - before.threads:+d}, open files "
        f"{after.files - before.files:+d}, temp folder {after.temp:.0f} MB (target 500); "
        f"health {served.fetch('healthz').decode()}"
    )


PARTS = {
    "users": run_users,
    "crowd": run_crowd,
    "oversize": run_oversize,
    "closed": run_closed,
    "threads": run_threads,
    "soak": run_soak,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    parser.add_argument("--calls", type=int, default=2000, help="of the soak")
    options = parser.parse_args()
    with serve("--no-hub") as served:
        print(f"{os.cpu_count()} cores; at the start  {served.use()}")
        for name in options.parts or PARTS:
            if name == "soak":
                run_soak(served, options.seconds, options.calls)
            else:
                PARTS[name](served, options.seconds)
        print(f"at the end  {served.use()}")


if __name__ == "__main__":
    main()
