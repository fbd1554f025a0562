"""The only file that talks to the Hugging Face Hub: fetches a repository's model files, and pushes a folder to one.

Fetching runs in a child process, `python -m cct_viz.checkpoints.hub JOB`. A thread will not do: the client waits
without limit in several places, a thread that hangs there cannot be ended, and it keeps the file lock under which it
downloads, so that the next try waits for ever behind it. Ending a process ends the request and frees its locks at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import select_files
from .hub_errors import PASS_A_FOLDER, HubError, explain

Progress = Callable[[int, int, str], None]  # (bytes done, bytes in all or 0 while unknown, text)

DEADLINE = 60.0  # seconds for a download of up to FREE_BYTES, and one more for each further BYTES_PER_SECOND
FREE_BYTES, BYTES_PER_SECOND = 10_000_000, 100_000
ANSWER_SECONDS = 15.0  # to the first answer, so that a wall that swallows requests is seen before the deadline
MAX_BYTES = 500_000_000

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # git's SHA-1 of a small file; SHA-256 in large-file storage
REPO_ID = re.compile(r"(?=.{3,96}$)[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*(?<![.-])", re.ASCII)
REVISION = re.compile(r"[\w][\w./+-]*", re.ASCII)


# What of a folder is published: a model of this project, its card and its figures, and nothing that lies beside them.
PUSHED = ("README.md", "config.json", "model.safetensors", "model.onnx", "metrics.json", "history.json")


@dataclass(frozen=True)
class Push:
    """What a push sends, or has sent: `files` is name -> bytes, `url` that of the commit, None after a dry run."""

    repo_id: str
    files: Mapping[str, int]
    url: str | None


@dataclass(frozen=True)
class Snapshot:
    """The model files of one commit. `folder` belongs to the Hub's cache: read it, never write to it."""

    folder: Path
    repo_id: str
    revision: str  # the commit, 40 hex digits
    from_cache: bool


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    offline: bool = False,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> Snapshot:
    """Return the model files of `owner/name`: from the cache, without any request, if they are all there, else fetched.

    HF_ENDPOINT, HF_HOME (HF_HUB_CACHE) and HF_HUB_OFFLINE are respected; no token is ever sent. Files are checked
    against the sizes and checksums that the Hub lists; what fails is downloaded afresh once, then refused.

    Args:
        repo_id: owner/name of a model repository in the project's format or with a tf-keras SavedModel.
        revision: branch, tag or 40-hex commit; the branch "main" by default. A cached branch is used as it is.
        offline: make no request, as if HF_HUB_OFFLINE were set.
        deadline: seconds of wall-clock time, DEADLINE by default; downloads over FREE_BYTES get more, see `time_limit`.
        progress: called in the caller's thread during a download.

    Raises:
        HubError: whatever goes wrong, and within the deadline.
    """
    from huggingface_hub import constants

    _check_names(repo_id, revision)
    cache = _cache_folder()
    snapshot, damaged = _look_up(cache, repo_id, revision)
    if snapshot and not damaged:
        return snapshot
    if offline or constants.HF_HUB_OFFLINE:
        state = "only a damaged copy" if damaged else "no complete copy"
        step = f"go online once (is HF_HUB_OFFLINE set?), or {PASS_A_FOLDER}"
        raise HubError("offline", f"There is {state} of {repo_id} in the cache and the Hub may not be asked: {step}.")
    started, seconds = time.monotonic(), DEADLINE if deadline is None else deadline
    for fresh in (True,) if damaged else (False, True):
        job = {"repo_id": repo_id, "revision": revision, "cache": str(cache), "fresh": fresh}
        done = _run_child(job, started=started, seconds=seconds, progress=progress)
        snapshot = Snapshot(Path(done["folder"]), repo_id, done["commit"], from_cache=False)
        damaged = _find_damaged(snapshot.folder, done["files"])
        if not damaged:
            return snapshot
        for name in damaged:  # else the next call would take them from the cache
            with contextlib.suppress(OSError):
                (snapshot.folder / name).unlink()
    what = f"{', '.join(damaged)} of {repo_id} arrived damaged (size or checksum is not the one listed)"
    raise HubError("damaged", f"{what}, also when downloaded afresh: try again later, or {PASS_A_FOLDER}.")


def push(folder: str | Path, repo_id: str, *, yes: bool = False, private: bool = False) -> Push:
    """Publish a folder of this project as the model repository `owner/name`, in one commit; a dry run unless `yes`.

    The folder is read and checked first, as `load` would. Only here is a login used: the user's own.

    Args:
        yes: really send it. The repository is made if it is not there.
        private: make a new repository private; one that is there stays as it is.

    Raises:
        CheckpointError: the folder is no whole, undamaged model of this project.
        HubError: no login, or the Hub does not take it.
    """
    from . import safetensors

    folder = Path(folder)
    _check_names(repo_id, None)
    safetensors.read(folder)
    files = {name: (folder / name).stat().st_size for name in PUSHED if (folder / name).is_file()}
    if not yes:
        return Push(repo_id, files, None)
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    login = "log in with 'hf auth login' and a token that may write"
    if get_token() is None:
        raise HubError("forbidden", f"Nobody is logged in to the Hub: {login}, then push again.")
    try:
        api = HfApi()
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(name, folder / name) for name in files]
        commit = api.create_commit(repo_id, operations, commit_message="Add a compact transformer")
    except Exception as error:
        kind = explain(error, repo_id, None).kind
        refused = f"The Hub does not let you write to {repo_id}: {login}, and check that the owner is you."
        text = {
            "offline": "The Hub cannot be reached: check the connection, HF_ENDPOINT and HF_HUB_OFFLINE.",
            "busy": "The Hub is busy, down or stopped answering: push again in a few minutes.",
            "damaged": f"The Hub's answer could not be understood ({type(error).__name__}): push again later.",
        }.get(kind, refused)
        raise HubError(kind, text) from error
    return Push(repo_id, files, commit.commit_url)


def print_progress(done: int, total: int, text: str) -> None:
    """Show a download as one line on stderr, if that is a terminal. An error printed after it overwrites the line."""
    if sys.stderr.isatty():
        print(f"\x1b[K{text}", end="\n" if 0 < total <= done else "\r", file=sys.stderr, flush=True)


def time_limit(seconds: float, total: int) -> float:
    """Seconds allowed for a download of `total` bytes whose first FREE_BYTES are allowed `seconds`."""
    return seconds + max(0, total - FREE_BYTES) / BYTES_PER_SECOND


def _check_names(repo_id: str, revision: str | None) -> None:
    if not REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise HubError("not found", f"{repo_id!r} names no repository; expected owner/name, for example keras-io/cct.")
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision):
        raise HubError("not found", f"{revision!r} names no revision; expected a branch, a tag or a 40-digit commit.")


def _cache_folder() -> Path:
    from huggingface_hub import constants

    try:
        return Path(constants.HF_HUB_CACHE).expanduser().absolute()
    except RuntimeError as error:  # a user without a home
        text = "There is no home folder to keep downloads in: set HF_HOME to a folder that can be written."
        raise HubError("forbidden", text) from error


def cached() -> list[Snapshot]:
    """What the cache holds of repositories that look like ours, newest commit seen, without a request or a checksum."""
    try:
        cache = _cache_folder()
        folders = sorted(cache.glob("models--*--*"))
    except (HubError, OSError):  # no cache, or none that may be read: then nothing is cached
        return []
    names = [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]
    found = [_find(cache, name, None) for name in names]
    return [snapshot for snapshot, files in found if snapshot and _is_small(snapshot.folder, files)]


def _is_small(folder: Path, files: list[str]) -> bool:
    return sum((folder / name).stat().st_size for name in files) <= MAX_BYTES


def _find(cache: Path, repo_id: str, revision: str | None) -> tuple[Snapshot | None, list[str]]:
    """The complete snapshot in the cache and its files, or None."""
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(repo_id, revision=revision, cache_dir=cache, local_files_only=True, token=False)
    except (OSError, ValueError):  # absent, incomplete, or the cache itself is broken: ask the network
        return None, []
    folder = Path(found)
    files = select_files([file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()])
    if not files or not COMMIT.fullmatch(folder.name):
        return None, []
    return Snapshot(folder, repo_id, folder.name, from_cache=True), files


def _look_up(cache: Path, repo_id: str, revision: str | None) -> tuple[Snapshot | None, list[str]]:
    """The complete snapshot in the cache, or None, and the names of its files that are damaged."""
    snapshot, files = _find(cache, repo_id, revision)
    if snapshot is None:
        return None, []
    folder = snapshot.folder
    return snapshot, _find_damaged(folder, {name: (None, _linked_digest(folder / name)) for name in files})


def _linked_digest(file: Path) -> str | None:
    """The cache links each file to a blob named by its ETag, which is the checksum that the Hub lists."""
    name = Path(os.readlink(file)).name if file.is_symlink() else ""
    return name if DIGEST.fullmatch(name) else None


def _find_damaged(folder: Path, expected: Mapping[str, tuple[int | None, str | None]]) -> list[str]:
    damaged = []
    for name, (size, digest) in expected.items():
        file = folder / name
        with contextlib.suppress(OSError):
            if size in (None, file.stat().st_size) and (digest is None or digest == _digest(file, len(digest))):
                continue
        damaged.append(name)
    return damaged


def _digest(file: Path, digits: int) -> str:
    """The checksum of a file in so many hex digits: 64, SHA-256; 40, the SHA-1 by which git knows it."""
    if digits == 64:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _run_child(job: dict[str, Any], *, started: float, seconds: float, progress: Progress | None) -> dict[str, Any]:
    """Download in a child process that is ended at the deadline; returns its result or raises the HubError it found."""
    repo_id, root = job["repo_id"], str(Path(__file__).resolve().parents[2])
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "HF_HUB_DISABLE_XET": "1",  # one way for all files, also where only HF_ENDPOINT can be reached
        "HF_HUB_DISABLE_TELEMETRY": "1",  # otherwise the client asks the Hub for more than the model
    }
    total = done = 0
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # -P: a json.py in the current folder must not be imported. stdin stays open: its end tells the child we are gone.
    command = [sys.executable, "-P", "-m", "cct_viz.checkpoints.hub", json.dumps(job)]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env={**os.environ, **own})
    except OSError as error:
        text = f"This computer could not start the download of {repo_id}: close other programs and try again."
        raise HubError("busy", text) from error
    with process as child:
        reader = threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True)
        reader.start()
        try:
            if progress:
                progress(0, 0, f"Asking the Hugging Face Hub for {repo_id}")
            while True:
                limit = time_limit(seconds, total)
                try:
                    line = lines.get(timeout=max(0.0, started + limit - time.monotonic()))
                except queue.Empty:
                    _raise_too_slow(repo_id, limit, done, total)
                if not line:
                    text = f"The download of {repo_id} ended without a word, perhaps for want of memory: try again."
                    raise HubError("busy", text)
                message = json.loads(line)
                if "error" in message:
                    raise HubError(*message["error"])
                if "result" in message:
                    return message["result"]
                done, total = message["progress"]
                if progress:
                    progress(done, total, f"Fetching {repo_id}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")
        finally:
            child.kill()
            reader.join()


def _read_lines(stream: Iterable[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Hand over the child's lines, then b"". In a thread, because a pipe has no timeout on every system."""
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _raise_too_slow(repo_id: str, limit: float, done: int, total: int) -> NoReturn:
    came = f"sent {done / 1e6:.1f} of {total / 1e6:.1f} MB of {repo_id}" if total else f"gave no answer about {repo_id}"
    why = "it is overloaded, or something on the way blocks it"
    step = f"check the connection, try again later, or {PASS_A_FOLDER}"
    raise HubError("busy", f"The Hub {came} in {limit:.0f} s; {why}: {step}.")


def _download(repo_id: str, revision: str | None, cache: str, fresh: bool, say: Callable[..., None]) -> dict[str, Any]:
    """List, choose and download, in the child. Returns the folder, its commit and {file: (size, digest or None)}."""
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.hf_api import RepoFile

    constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # by default progress comes every 10 MB: for our files, never
    api, revision = HfApi(token=False), revision or constants.DEFAULT_REVISION
    commit = api.model_info(repo_id, revision=revision, timeout=ANSWER_SECONDS).sha or ""
    if not COMMIT.fullmatch(commit):
        raise ValueError("no commit")
    tree = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    listed = {file.path: file for file in tree if isinstance(file, RepoFile)}
    files = select_files(listed)
    if not files:
        found = ", ".join(sorted(ascii(name)[1:61] for name in listed)[:6]) or "no files"
        expected = "config.json with model.safetensors, or saved_model.pb with variables/"
        text = f"{repo_id} holds no model that can be read here: found {found}; expected {expected}"
        raise HubError("not found", f"{text}. Choose another repository.")
    total = sum(listed[name].size for name in files)
    if total > MAX_BYTES:
        text = f"{repo_id} has {total / 1e6:.0f} MB; more than {MAX_BYTES / 1e6:.0f} MB are not fetched unasked"
        raise HubError("forbidden", f"{text}: if you trust it, {PASS_A_FOLDER}.")
    say(progress=(0, total))
    storage = Path(cache) / f"models--{repo_id.replace('/', '--')}"
    folder = storage / "snapshots" / commit
    _sweep(storage)
    before = 0
    sums = {}
    for name in files:
        if fresh:
            (folder / name).unlink(missing_ok=True)
        size, lfs = listed[name].size, listed[name].lfs
        digest = lfs.sha256 if lfs else listed[name].blob_id
        sums[name] = (size, digest if DIGEST.fullmatch(digest or "") else None)
        counter = _counter(size, before, total, say)
        hf_hub_download(
            repo_id, name, revision=commit, cache_dir=cache, force_download=fresh, token=False, tqdm_class=counter
        )
        before += size
    say(progress=(total, total))
    if revision != commit:
        _write_ref(storage / "refs" / revision, commit)
    return {"folder": str(folder), "commit": commit, "files": sums}


def _sweep(storage: Path) -> None:
    """Remove what downloads that were cut short left in the cache; whoever still downloads holds the lock."""
    from filelock import FileLock, Timeout

    for part in (storage / "blobs").glob("*.incomplete"):
        lock = storage.parent / ".locks" / storage.name / f"{part.name.split('.')[0]}.lock"
        if lock.exists():
            with contextlib.suppress(OSError, Timeout), FileLock(lock, timeout=0):
                part.unlink()


def _write_ref(ref: Path, commit: str) -> None:
    """Note that the branch or tag `ref` stands for `commit`, as the cache's layout wants it."""
    ref.parent.mkdir(parents=True, exist_ok=True)
    draft = ref.with_name(f"{ref.name}.{os.getpid()}.tmp")
    draft.write_text(commit)
    draft.replace(ref)  # at once: others may be reading it


def _counter(size: int, before: int, total: int, say: Callable[..., None]) -> type:
    """The part of a progress bar that the client calls; it ends a body that outgrows the listed size."""

    class Counter:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self.done, self.said = initial, 0.0

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None:
            say(progress=(before + self.done, total))

        def update(self, n: int) -> None:
            self.done += n
            if self.done > size:
                raise OSError("more bytes than listed")
            if time.monotonic() - self.said > 0.1:
                self.said = time.monotonic()
                say(progress=(before + self.done, total))

    return Counter


def _end_with_parent() -> None:
    if not os.read(0, 1):
        os._exit(1)


def _main() -> None:
    job, answers = json.loads(sys.argv[1]), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not come between our lines
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        say(result=_download(**job, say=say))
    except Exception as error:
        say(error=explain(error, job["repo_id"], job["revision"]).args)


if __name__ == "__main__":
    _main()
