"""A fake Hugging Face Hub on localhost for the real client: serves folders as model repositories, with faults."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_mustNeverBeSent"
LARGE = (".safetensors", ".pb", ".onnx")  # and the variables' data: files that a real repository keeps in LFS
ROUTES = {
    "info": re.compile(r"/api/(?:models|datasets)/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?"),
    "tree": re.compile(r"/api/(?:models|datasets)/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)/?(?P<path>.*)"),
    "file": re.compile(r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "create": re.compile(r"/api/repos/create"),
    "card": re.compile(r"/api/validate-yaml"),
    "preupload": re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)"),
    "batch": re.compile(r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch"),
    "upload": re.compile(r"/upload/(?P<oid>[0-9a-f]{64})"),
    "commit": re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)"),
    "store": re.compile(r"/store/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)"),
}


@dataclass(frozen=True)
class Request:
    method: str
    route: str  # a name of ROUTES, or "other"
    path: str
    authorization: str | None


class FakeHub:
    """`fault` is None or a name in FAULTS, `faults` the same for single repositories; `requests` records requests."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.faults: dict[str, str] = {}
        self.requests: list[Request] = []
        self.closed = threading.Event()
        self.hung_up = threading.Event()  # set when a client that waits because of a fault disconnects
        self.folders: dict[str, Path] = {}
        self.may_be_told_who = False  # reads must send no token; set it if a push is expected
        self.root = Path(tempfile.mkdtemp())  # the folder of pushed repositories
        self.uploads: dict[str, bytes] = {}  # large files by their SHA-256, not yet committed
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self  # type: ignore[attr-defined]
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, folder: Path, repo_id: str) -> str:
        """Serve `folder` as `repo_id`; returns the commit, a hash of its content."""
        self.folders[repo_id] = Path(folder)
        return self.commit(repo_id)

    def files(self, repo_id: str) -> dict[str, bytes]:
        folder = self.folders[repo_id]
        return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}

    def commit(self, repo_id: str) -> str:
        return hashlib.sha1(repr(self.files(repo_id)).encode()).hexdigest()

    def count(self, route: str, method: str = "GET") -> int:
        return sum(request.route == route and request.method == method for request in self.requests)

    def bodies(self) -> list[str]:
        """Paths of the files whose content was requested, in order."""
        requests = [r for r in self.requests if r.method == "GET" and r.route in ("file", "store")]
        return [ROUTES[r.route].fullmatch(r.path)["path"] for r in requests]  # type: ignore[index]

    def close(self) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.root, ignore_errors=True)  # some tests close it themselves


class Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect during a response, which the tests do on purpose; print other errors."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.hub: FakeHub = self.server.hub  # type: ignore[attr-defined]
        route, match = self.find_route()
        if self.strike(route, match):
            return
        if match is None or match["repo"] not in self.hub.folders:
            return self.refuse(404, "RepoNotFound")
        commit = self.hub.commit(match["repo"])
        if match["revision"] not in (None, "main", commit):
            return self.refuse(404, "RevisionNotFound")
        files = self.hub.files(match["repo"])
        if route == "info":
            return self.send_json({"id": match["repo"], "sha": commit})
        if route == "tree":
            return self.send_json([describe(name, content) for name, content in files.items()])
        if match["path"] not in files:
            return self.refuse(404, "EntryNotFound")
        self.send_file(route, match, commit, files[match["path"]])

    do_HEAD = do_GET

    def find_route(self) -> tuple[str, re.Match[str] | None]:
        path = unquote(urlsplit(self.path).path)
        route, match = "other", None
        for name, pattern in ROUTES.items():
            if match := pattern.fullmatch(path):
                route = name
                break
        self.hub.requests.append(Request(self.command, route, path, self.headers.get("Authorization")))
        return route, match

    def strike(self, route: str, match: re.Match[str] | None) -> bool:
        """Apply the current fault, if it is for this route; True if it has sent the response."""
        repo = match.groupdict().get("repo") if match else None
        name = self.hub.faults.get(repo or "", self.hub.fault)
        at, fault = (FAULTS | PUSH_FAULTS)[name] if name else ("", None)
        self.body_filter: Callable[[Handler, bytes], None] = Handler.send_body
        self.alter: Callable[[bytes], bytes] = bytes
        return bool(fault and (route in at.split() or f"{self.command} {route}" in at.split(",")) and fault(self))

    def do_POST(self) -> None:
        """The requests of a push: create a repository, upload large files, and commit all files."""
        self.hub = self.server.hub  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        route, match = self.find_route()
        if self.strike(route, match):
            return
        if match is None:
            return self.refuse(404, "RepoNotFound")
        if route != "upload" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401)
        if route == "upload":
            assert hashlib.sha256(body).hexdigest() == match["oid"]
            self.hub.uploads[match["oid"]] = body
            return self.answer(200, b"", {})
        if route == "commit":
            return self.take_commit(match["repo"], [json.loads(line) for line in body.splitlines()])
        request = json.loads(body)
        if route == "create":
            repo = f"{request['organization']}/{request['name']}"
            (self.hub.root / repo).mkdir(parents=True, exist_ok=True)
            self.hub.serve(self.hub.root / repo, repo)
            return self.send_json({"url": f"{self.hub.url}/{repo}"})
        if route == "card":
            return self.send_json({"errors": [], "warnings": []})
        if route == "preupload":
            modes = {f["path"]: "lfs" if is_large(f["path"]) else "regular" for f in request["files"]}
            files = [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]
            return self.send_json({"files": files})
        for item in request["objects"]:  # a batch
            item["actions"] = {"upload": {"href": f"{self.hub.url}/upload/{item['oid']}"}}
        self.send_json({"transfer": "basic", "objects": request["objects"]})

    do_PUT = do_POST

    def take_commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value, folder = line["value"], self.hub.folders[repo]
            if line["key"] == "file":
                (folder / value["path"]).write_bytes(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                (folder / value["path"]).write_bytes(self.hub.uploads[value["oid"]])
        oid = self.hub.commit(repo)
        self.send_json({"commitUrl": f"{self.hub.url}/{repo}/commit/{oid}", "commitOid": oid})

    def send_file(self, route: str, match: re.Match[str], commit: str, content: bytes) -> None:
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(match["path"], content)}"'}
        if route == "file" and is_large(match["path"]):  # another host sends large files, as on the Hub
            headers["X-Linked-ETag"], headers["X-Linked-Size"] = headers.pop("ETag"), str(len(content))
            headers["Location"] = f"http://localhost:{self.hub.port}/store/{match['repo']}/{commit}/{match['path']}"
            return self.answer(302, b"", headers)
        content = self.alter(content)
        start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, content[start:], headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.body_filter(self, body)

    def send_body(self, body: bytes) -> None:
        self.wfile.write(body)

    def send_json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str | None = None, message: str = "no") -> bool:
        headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {"X-Error-Message": message}
        self.answer(status, b'{"error": "no"}', headers)
        return True

    def wait_for_client_to_go(self) -> bool:
        self.connection.settimeout(60)
        with contextlib.suppress(ConnectionError):
            while self.connection.recv(1 << 16):
                pass
        self.hub.hung_up.set()
        return self.drop()

    def drop(self) -> bool:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may have disconnected first
            self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def log_message(self, *_: object) -> None:
        """Print nothing in the tests' output."""


def is_large(path: str) -> bool:
    return path.endswith(LARGE) or ".data-" in path


def etag(path: str, content: bytes) -> str:
    if is_large(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def describe(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": etag(path, content)[:40]}
    if is_large(path):
        entry["lfs"] = {"oid": etag(path, content), "size": len(content), "pointerSize": 131}
    return entry


def stall(handler: Handler, body: bytes) -> None:
    handler.wfile.write(body[: len(body) // 2])
    handler.wait_for_client_to_go()


def cut(handler: Handler, body: bytes) -> None:
    handler.wfile.write(body[: len(body) // 2])
    handler.drop()


def drip(handler: Handler, body: bytes) -> None:
    try:
        for i in range(len(body)):
            handler.wfile.write(body[i : i + 1])
            handler.hub.closed.wait(0.05)
    except OSError:
        handler.hub.hung_up.set()


def pour(handler: Handler, body: bytes) -> None:
    try:
        while True:
            handler.wfile.write(body)
    except OSError:
        handler.hub.hung_up.set()


def with_body(send: Callable[[Handler, bytes], None]) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.body_filter = send
        return False

    return fault


def with_content(alter: Callable[[bytes], bytes]) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.alter = alter
        return False

    return fault


def with_endless_body(handler: Handler) -> bool:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    pour(handler, bytes(1 << 16))
    return True


def with_listing(*entries: dict[str, object]) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.send_json(list(entries))
        return True

    return fault


def refusing(status: int, code: str | None = None, message: str = "no") -> Callable[[Handler], bool]:
    return lambda handler: handler.refuse(status, code, message)


def answering(status: int, body: bytes, **headers: str) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.answer(status, body, headers)
        return True

    return fault


def turn_in_circles(handler: Handler) -> bool:
    handler.answer(302, b"", {"Location": handler.path})
    return True


HUGE = {"type": "file", "path": "model.safetensors", "size": 600_000_000, "oid": "0" * 40}
SMALL = {"type": "file", "path": "config.json", "size": 2, "oid": "0" * 40}
README = {"type": "file", "path": "README.md", "size": 5, "oid": "0" * 40}

# name -> (routes to which it applies, function: returns True if it has sent the response)
FAULTS: dict[str, tuple[str, Callable[[Handler], bool]]] = {
    "no such repository": ("info", refusing(404, "RepoNotFound")),
    "private repository": ("info", refusing(401, "RepoNotFound", "Repository not found")),
    "asks for a login": ("info", refusing(401)),
    "forbidden": ("info", refusing(403)),
    "gated": ("file", refusing(403, "GatedRepo")),
    "disabled": ("info", refusing(403, None, "Access to this resource is disabled.")),
    "no such revision": ("info", refusing(404, "RevisionNotFound")),
    "file gone": ("file", refusing(404, "EntryNotFound")),
    "rate limit": ("info", refusing(429)),
    "rate limit on files": ("file", refusing(429)),
    "internal error": ("info", refusing(500)),
    "unavailable": ("info", refusing(503)),
    "internal error in the listing": ("tree", refusing(500)),
    "internal error on files": ("file store", refusing(500)),
    "closes at once": ("info", Handler.drop),
    "closes at files": ("file store", Handler.drop),
    "silent": ("info", Handler.wait_for_client_to_go),
    "silent at the listing": ("tree", Handler.wait_for_client_to_go),
    "silent at files": ("file store", Handler.wait_for_client_to_go),
    "stalls": ("file store", with_body(stall)),
    "cuts": ("file store", with_body(cut)),
    "drips": ("file store", with_body(drip)),
    "shortens files": ("file store", with_content(lambda content: content[:-1])),
    "endless body": ("GET store", with_endless_body),
    "garbage of the right size": ("file store", with_content(lambda content: bytes(len(content)))),
    "garbage in small files": ("file", with_content(lambda content: bytes(len(content)))),
    "no JSON": ("info", answering(200, b"<html>please log in</html>")),
    "no commit": ("info", answering(200, b'{"id": "keras-io/cct"}')),
    "strange commit": ("info", answering(200, b'{"id": "keras-io/cct", "sha": "../../../../etc"}')),
    "no JSON listing": ("tree", answering(200, b"<html>please log in</html>")),
    "strange listing": ("tree", answering(200, b'[{"type": "file"}, 7]')),
    "circle": ("info", turn_in_circles),
    "circle at files": ("file store", turn_in_circles),
    "empty listing": ("tree", with_listing()),
    "no model": ("tree", with_listing(README)),
    "too large": ("tree", with_listing(HUGE, SMALL)),
}
PUSH_FAULTS: dict[str, tuple[str, Callable[[Handler], bool]]] = {
    "no right to write": ("create", refusing(403)),
    "login not known": ("create", refusing(401)),
    "busy at pushes": ("create", refusing(503)),
    "closes at pushes": ("create", Handler.drop),
    "no JSON at pushes": ("create", answering(200, b"<html>please log in</html>")),
}


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A running FakeHub with an empty cache, and an environment with credentials that must never be sent."""
    from huggingface_hub import constants

    hub, home = FakeHub(), tmp_path / "hf_home"
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    home.mkdir()
    (home / "token").write_text(TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    # The client reads its environment once, at import, so patch the module too.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    hub.fault = None
    hub.close()
    assert hub.may_be_told_who or not [request for request in hub.requests if request.authorization]
