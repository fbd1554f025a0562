"""The Hugging Face Hub: fetches a repository's model files, lists those in the cache, and publishes a folder.

Fetching runs in a child process (download_job.py). A thread is not enough: the client waits without limit in several
places, a thread that hangs there cannot be stopped, and it keeps the file lock under which it downloads, so that the
next attempt waits for it. Killing a process ends its request and frees its locks at once. The deadline and the size
limit are set here; the child holds the size.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..architecture.files import sha256
from . import CheckpointError, detect, model_files, read, safetensors
from .hub_errors import PASS_A_FOLDER, HubError, explain

Progress = Callable[[int, int, str], None]  # (bytes done, bytes in all or 0 while unknown, text)

DEADLINE = 60.0  # seconds for a download of up to FREE_BYTES, and one more for each further BYTES_PER_SECOND
FREE_BYTES, BYTES_PER_SECOND = 10_000_000, 100_000
MAX_BYTES = 500_000_000

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # git's SHA-1 of a small file; SHA-256 in large-file storage
REPO_ID = re.compile(r"(?=.{3,96}$)[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*(?<![.-])", re.ASCII)
REVISION = re.compile(r"[\w][\w./+-]*", re.ASCII)

# The files of a folder that a push publishes: the model, its card and its metrics.
PUSHED = ("README.md", "config.json", "model.safetensors", "metrics.json", "history.json")


@dataclass(frozen=True)
class Push:
    """The content of a push: `files` is name -> bytes, `url` is that of the commit, None after a dry run."""

    repo_id: str
    files: Mapping[str, int]
    url: str | None


@dataclass(frozen=True)
class Snapshot:
    """The model files of one commit. `folder` belongs to the Hub's cache: read it, never write to it."""

    folder: Path
    repo_id: str
    revision: str  # the commit, 40 hex digits


def fetch(
    repo_id: str, *, revision: str | None = None, offline: bool = False, progress: Progress | None = None
) -> Snapshot:
    """Return the model files of `owner/name`: from the cache, without a request, if all are there, else downloaded.

    HF_ENDPOINT, HF_HOME (HF_HUB_CACHE) and HF_HUB_OFFLINE are respected; no token is ever sent. Files are checked
    against the sizes and checksums that the Hub lists; what differs is downloaded once more, then refused.

    Args:
        repo_id: owner/name of a model repository in a format of READERS that need not be converted.
        revision: branch, tag or 40-hex commit; the branch "main" by default. A cached branch is used as it is.
        offline: make no request, as if HF_HUB_OFFLINE were set.
        progress: called in the caller's thread during a download.

    Raises:
        HubError: whatever goes wrong, within the `time_limit`.
    """
    from huggingface_hub import constants

    _check_names(repo_id, revision)
    cache = _cache_folder()
    snapshot = _find(cache, repo_id, revision)
    if snapshot and all(is_intact(file, _linked_digest(file)) for file in _model_files(snapshot.folder)):
        return snapshot
    if offline or constants.HF_HUB_OFFLINE:
        state = "only a damaged copy" if snapshot else "no complete copy"
        step = f"go online once (is HF_HUB_OFFLINE set?), or {PASS_A_FOLDER}"
        raise HubError("offline", f"Offline, with {state} of {repo_id} in the cache: {step}.")
    commit = _run_job({"repo_id": repo_id, "revision": revision, "cache": str(cache)}, progress)
    return Snapshot(cache / f"models--{repo_id.replace('/', '--')}" / "snapshots" / commit, repo_id, commit)


def cached() -> list[Snapshot]:
    """The complete models in the cache, at the newest commit seen, without a request or a checksum."""
    try:
        cache = _cache_folder()
        folders = sorted(cache.glob("models--*--*"))
    except (HubError, OSError):  # no cache, or one that cannot be read: then nothing is cached
        return []
    names = [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]
    snapshots = [_find(cache, name, None) for name in names]
    return [s for s in snapshots if s and sum(file.stat().st_size for file in _model_files(s.folder)) <= MAX_BYTES]


def push(folder: str | Path, repo_id: str, *, yes: bool = False, private: bool = False) -> Push:
    """Publish a folder of this project as the model repository `owner/name`, in one commit; a dry run unless `yes`.

    The folder is read and checked first, as `load` would. Only here is a login used: the user's own.

    Args:
        yes: send the files. The repository is created if it does not exist.
        private: make a new repository private; an existing one stays as it is.

    Raises:
        CheckpointError: the folder is not a complete, undamaged model in this project's format.
        HubError: no login, or the Hub refuses the push.
    """
    folder = Path(folder)
    _check_names(repo_id, None)
    if detect(folder) != safetensors.FORMAT:
        raise CheckpointError(f"{folder.name} is not in this project's format; convert it first")
    read(folder)
    files = {name: (folder / name).stat().st_size for name in PUSHED if (folder / name).is_file()}
    if not yes:
        return Push(repo_id, files, None)
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    login = "log in with 'hf auth login' and a token that may write"
    if get_token() is None:
        raise HubError("forbidden", f"You are not logged in to the Hub: {login}, then push again.")
    try:
        api = HfApi()
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(name, folder / name) for name in files]
        commit = api.create_commit(repo_id, operations, commit_message="Add a compact transformer")
    except Exception as error:
        kind = explain(error, repo_id, None).kind
        refused = f"The Hub does not let you write to {repo_id}: {login}, and check that you own it."
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


def time_limit(total: int) -> float:
    """Seconds allowed for a download of `total` bytes."""
    return DEADLINE + max(0, total - FREE_BYTES) / BYTES_PER_SECOND


def is_intact(file: Path, digest: str | None) -> bool:
    """Whether a file exists and has the checksum, if one is given: SHA-256, or in 40 digits the SHA-1 that git uses."""
    try:
        if digest and len(digest) == 40:
            content = file.read_bytes()
            return digest == hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return file.is_file() and digest in (None, sha256(file))
    except OSError:
        return False


def _check_names(repo_id: str, revision: str | None) -> None:
    if not REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise HubError("not found", f"{repo_id!r} is not a repository; expected owner/name, for example keras-io/cct.")
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision):
        raise HubError("not found", f"{revision!r} is not a revision; expected a branch, a tag or a 40-digit commit.")


def _cache_folder() -> Path:
    from huggingface_hub import constants

    try:
        return Path(constants.HF_HUB_CACHE).expanduser().absolute()
    except RuntimeError as error:  # a user without a home
        text = "There is no home folder to keep downloads in: set HF_HOME to a folder that can be written."
        raise HubError("forbidden", text) from error


def _find(cache: Path, repo_id: str, revision: str | None) -> Snapshot | None:
    """The snapshot in the cache, if it holds a complete model."""
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(repo_id, revision=revision, cache_dir=cache, local_files_only=True, token=False)
    except (OSError, ValueError):  # absent, incomplete, or the cache itself is broken: ask the network
        return None
    folder = Path(path)
    complete = COMMIT.fullmatch(folder.name) and _model_files(folder)
    return Snapshot(folder, repo_id, folder.name) if complete else None


def _model_files(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in model_files(folder)]
    except CheckpointError:  # no model, or one of which files are missing
        return []


def _linked_digest(file: Path) -> str | None:
    """The cache links each file to a blob named by its ETag, which is the checksum that the Hub lists."""
    name = Path(os.readlink(file)).name if file.is_symlink() else ""
    return name if DIGEST.fullmatch(name) else None


def _run_job(job: Mapping[str, str | None], progress: Progress | None) -> str:
    """Download in a child process that is killed at the time limit; returns the commit."""
    repo_id, root = job["repo_id"], str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "HF_HUB_DISABLE_XET": "1",  # one protocol for all files, also where only HF_ENDPOINT can be reached
        "HF_HUB_DISABLE_TELEMETRY": "1",  # otherwise the client asks the Hub for more than the model
    }
    # -P: a json.py in the current folder must not be imported. stdin stays open: the child exits when it is closed.
    command = [sys.executable, "-P", "-m", "cct_viz.checkpoints.download_job", json.dumps(job)]
    pipe, started, done, total = subprocess.PIPE, time.monotonic(), 0, 0
    try:
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
    except OSError as error:
        text = f"This computer could not start the download of {repo_id}: close other programs and try again."
        raise HubError("busy", text) from error
    with child:
        try:
            if progress:
                progress(0, 0, f"Asking the Hugging Face Hub for {repo_id}")
            while True:
                end = started + time_limit(total)
                line = _read_line(child, end)
                if not line.endswith(b"\n"):
                    raise _explain_end(repo_id, done, total, too_slow=time.monotonic() > end - 0.1)
                message = json.loads(line)
                if "error" in message:
                    raise HubError(*message["error"])
                if "commit" in message:
                    return message["commit"]
                done, total = message["progress"]
                if progress:
                    progress(done, total, f"Fetching {repo_id}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")
        finally:
            child.kill()


def _read_line(child: subprocess.Popen[bytes], end: float) -> bytes:
    """The next line of a child's output; not a whole one if the child ends, as it does at the time `end` at last."""
    timer = threading.Timer(max(0.0, end - time.monotonic()), child.kill)
    timer.start()
    try:
        return child.stdout.readline()  # type: ignore[union-attr]
    finally:
        timer.cancel()


def _explain_end(repo_id: str | None, done: int, total: int, *, too_slow: bool) -> HubError:
    if not too_slow:
        text = f"The download of {repo_id} stopped unexpectedly, possibly out of memory: try again."
        return HubError("busy", text)
    sent = f"sent {done / 1e6:.1f} of {total / 1e6:.1f} MB of {repo_id}" if total else f"gave no answer about {repo_id}"
    why = "it is overloaded, or a firewall or proxy blocks the connection"
    step = f"check the connection, try again later, or {PASS_A_FOLDER}"
    return HubError("busy", f"The Hub {sent} in {time_limit(total):.0f} s; {why}: {step}.")
