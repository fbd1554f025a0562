"""The child process of `hub.fetch`: lists a repository, chooses the model's files and downloads them.

Started as `python -m cct_viz.checkpoints.download_job JOB` with a JSON object of the arguments of `download`. It prints
one JSON object a line: {"progress": [bytes done, bytes in all]}, and at last {"commit": ...} or
{"error": [kind, message]}. It exits when its standard input is closed, that is when its parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..architecture.files import replace_file
from . import READERS, select_files
from .hub import COMMIT, DIGEST, MAX_BYTES, is_intact
from .hub_errors import PASS_A_FOLDER, HubError, explain

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

ANSWER_SECONDS = 15.0  # to the first answer, so that a firewall that drops packets is detected early
Report = Callable[[int, int], None]  # (bytes done, bytes in all)


def download(repo_id: str, revision: str | None, cache: str, report: Report) -> str:
    """Download the model files of a repository to the Hub's cache; returns the commit they are of.

    Every file is checked against the size and the checksum that the Hub lists; the client checks only its size. A file
    that differs is downloaded once more, which also repairs a damaged file in the cache.

    Raises:
        HubError: no model, a model that is too large, or a file that is damaged twice.
        Exception: whatever the client raises.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.hf_api import RepoFile

    constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # the default reports progress every 10 MB, more than most of our files
    api, revision = HfApi(token=False), revision or constants.DEFAULT_REVISION
    commit = api.model_info(repo_id, revision=revision, timeout=ANSWER_SECONDS).sha or ""
    if not COMMIT.fullmatch(commit):
        raise ValueError("no commit")
    tree = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    listed = {file.path: file for file in tree if isinstance(file, RepoFile)}
    files = [listed[name] for name in select_files(listed)]
    total = sum(file.size for file in files)
    if not files:
        raise _no_model(repo_id, list(listed))
    if total > MAX_BYTES:
        text = f"{repo_id} has {total / 1e6:.0f} MB, more than the limit of {MAX_BYTES / 1e6:.0f} MB"
        raise HubError("forbidden", f"{text}: if you trust it, {PASS_A_FOLDER}.")
    report(0, total)
    storage = Path(cache) / f"models--{repo_id.replace('/', '--')}"
    _remove_unfinished(storage)
    done = 0
    for file in files:
        counter = _counter(file.size, done, total, report)
        get = partial(
            hf_hub_download, repo_id, file.path, revision=commit, cache_dir=cache, token=False, tqdm_class=counter
        )
        if not _is_as_listed(get(), file) and not _is_as_listed(get(force_download=True), file):
            what = f"{file.path} of {repo_id} arrived damaged twice (size or checksum differs from the Hub's list)"
            raise HubError("damaged", f"{what}: try again later, or {PASS_A_FOLDER}.")
        done += file.size
    report(total, total)
    if revision != commit:  # the cache's note of the commit that a branch or tag stands for
        ref = storage / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        replace_file(ref, lambda path: path.write_text(commit))
    return commit


def _no_model(repo_id: str, names: list[str]) -> HubError:
    present = ", ".join(ascii(name)[1:-1][:60] for name in sorted(names)[:6]) or "no files"
    expected = ", or ".join(reader.description for reader in READERS.values() if not reader.needs_conversion)
    text = f"{repo_id} holds no model that can be read here: it has {present}; expected {expected}"
    return HubError("not found", f"{text}. Choose another repository.")


def _remove_unfinished(storage: Path) -> None:
    """Remove what interrupted downloads left in the cache. A running download holds its file's lock."""
    from filelock import FileLock, Timeout

    for part in (storage / "blobs").glob("*.incomplete"):
        lock = storage.parent / ".locks" / storage.name / f"{part.name.split('.')[0]}.lock"
        if lock.exists():
            with contextlib.suppress(OSError, Timeout), FileLock(lock, timeout=0):
                part.unlink()


def _is_as_listed(path: str, file: RepoFile) -> bool:
    """Whether a downloaded file has the size and checksum that the Hub lists; if not, it leaves the cache."""
    digest = (file.lfs.sha256 if file.lfs else file.blob_id) or ""
    if Path(path).stat().st_size == file.size and is_intact(Path(path), digest if DIGEST.fullmatch(digest) else None):
        return True
    Path(path).unlink()
    return False


def _counter(size: int, before: int, total: int, report: Report) -> type:
    """What the client uses of a progress bar. Stops a download that grows beyond the listed size."""

    class Counter:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self.done, self.reported = initial, 0.0

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None:
            report(before + self.done, total)

        def update(self, n: int) -> None:
            self.done += n
            if self.done > size:
                raise OSError("more bytes than listed")
            if time.monotonic() - self.reported > 0.1:
                self.reported = time.monotonic()
                report(before + self.done, total)

    return Counter


def _exit_with_parent() -> None:
    if not os.read(0, 1):
        os._exit(1)


def _main() -> None:
    job, answers = json.loads(sys.argv[1]), sys.stdout
    sys.stdout = sys.stderr  # so that what a library prints does not mix with our lines
    threading.Thread(target=_exit_with_parent, daemon=True).start()

    def send(**message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        send(commit=download(**job, report=lambda done, total: send(progress=(done, total))))
    except Exception as error:
        send(error=explain(error, job["repo_id"], job["revision"]).args)


if __name__ == "__main__":
    _main()
