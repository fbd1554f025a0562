"""Visitors' files: one folder per app process, from which old files are removed, and the oldest if there are too many.

Gradio never removes incomplete uploads, nor files that are no longer in its records.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from . import settings

PREFIX = "cct_explorer_"
LEFT_SECONDS = 3600  # a folder without a change for so long belongs to a dead process
LEFT_SWEEPS = 10  # or without a change in so many sweeps: unlike the clock, sweeps stop while a machine sleeps


def make_folder() -> Path:
    """Make a folder for this process's visitors' files inside GRADIO_TEMP_DIR and set it as Gradio's folder.

    Call it before the page is built. The folder is removed when the process ends; folders of killed processes are
    removed now.
    """
    home = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    if home.name.startswith(PREFIX):  # of an earlier call, as in a notebook
        home = home.parent
    home.mkdir(parents=True, exist_ok=True)
    for other in home.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # owned by another user, or removed meanwhile
            if other.stat().st_mtime < time.time() - LEFT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def holds(folder: str | Path, path: str | Path) -> bool:
    """Whether `path` is a file inside `folder`, links followed."""
    try:
        found = Path(path).resolve()
        return found.is_file() and found.is_relative_to(Path(folder).resolve())
    except (OSError, ValueError):  # a name that the system does not accept
        return False


class Janitor:
    """Sweeps one folder. `size`: its bytes on disk at the last sweep plus those admitted since."""

    def __init__(self, folder: Path, *, keep: Callable[[], Collection[str]] = tuple) -> None:
        """`keep` returns the files that stay: those that the page itself shows."""
        if not folder.name.startswith(PREFIX):
            raise ValueError(f"{folder} may contain files of other programs; call make_folder before building the page")
        self.folder, self._keep = folder, keep
        self.size = 0
        self._others: dict[Path, tuple[float, int]] = {}  # folder -> time of its last change, number of sweeps since

    def admit(self, length: int) -> bool:
        """Whether `length` more bytes may be stored; if so, they count until the next sweep or `give_back`."""
        if self.size + length > 2 * settings.MAX_TEMP_MB * settings.MB:
            return False
        self.size += length
        return True

    def has_space(self) -> bool:
        """Whether one more upload fits on the disk."""
        return shutil.disk_usage(self.folder).free >= settings.MAX_UPLOAD_MB * settings.MB

    def give_back(self, length: int) -> None:
        """Release `length` bytes that were admitted but not stored."""
        self.size = max(0, self.size - length)  # not below 0, because a sweep may have released them already

    def sweep(self) -> set[str]:
        """Remove files that are too old, then the oldest above the limit; returns the removed files."""
        now, keep, removed = time.time(), {str(Path(path)) for path in self._keep()}, set()
        entries = []
        for parent, _, names in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                with contextlib.suppress(OSError):  # Gradio may have moved it meanwhile
                    status = path.lstat()
                    entries.append((status.st_mtime, _space(status), path))
        entries.sort(reverse=True)
        total = files = 0
        for modified, size, path in entries:
            loose = path.parent == self.folder  # complete uploads are in subfolders
            too_old = now - modified > (settings.ABANDONED_SECONDS if loose else settings.KEEP_SECONDS)
            too_many = files >= settings.MAX_TEMP_FILES or total + size > settings.MAX_TEMP_MB * settings.MB
            if str(path) not in keep and (too_old or too_many):
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed.add(str(path))
                    continue
            total, files = total + size, files + 1
        self.size = total
        with contextlib.suppress(OSError):
            os.utime(self.folder)  # shows other processes that this one is alive
        return removed

    def remove_abandoned_folders(self) -> None:
        """Remove the folders of killed processes beside this one; living processes touch theirs at every sweep."""
        others = {}
        for folder in self.folder.parent.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):  # owned by another user, or removed meanwhile
                changed = folder.stat().st_mtime
                before, sweeps = self._others.get(folder, (changed, -1))
                sweeps = sweeps + 1 if changed == before else 0
                if folder != self.folder and sweeps >= LEFT_SWEEPS:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    others[folder] = (changed, sweeps)
        self._others = others

    def remove_empty_folders(self) -> None:
        """Call it in the event loop that moves uploads into their folders, so that it removes no folder in between."""
        for folder in self.folder.iterdir():
            if folder.is_dir() and time.time() - folder.stat().st_mtime > settings.ABANDONED_SECONDS:
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()

    async def work(self, tidy: Callable[[set[str]], None]) -> None:
        """Sweep at regular intervals without end; `tidy` is called with the removed files each time."""
        while True:
            await asyncio.sleep(settings.SWEEP_SECONDS)
            removed = await asyncio.to_thread(self.sweep)
            await asyncio.to_thread(self.remove_abandoned_folders)
            with contextlib.suppress(OSError):
                self.remove_empty_folders()
            tidy(removed)

    @contextlib.asynccontextmanager
    async def at_work(self, tidy: Callable[[set[str]], None]) -> AsyncIterator[None]:
        """Run `work` while the app is served."""
        task = asyncio.create_task(self.work(tidy))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _space(status: os.stat_result) -> int:
    """Bytes on disk of a file with its folder, in whole blocks (Windows does not report blocks)."""
    return max(status.st_size, 512 * getattr(status, "st_blocks", 0)) + settings.FILE_BYTES // 2
