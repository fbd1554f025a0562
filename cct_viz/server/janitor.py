"""Visitors' files: one folder of the app's own, swept by age and by size.

Gradio forgets uploads that were broken off, and keeps what its book-keeping has lost.
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
LEFT_SECONDS = 3600  # a folder that nobody has touched for so long belongs to an app that has died
LEFT_SWEEPS = 10  # so does one that did not change over so many: time jumps where a machine was asleep, sweeps do not


def make_folder() -> Path:
    """Make this process a folder for visitors' files inside GRADIO_TEMP_DIR and point Gradio there.

    To be called before the page is built. The folder goes when the process ends; those of processes that were killed
    are removed.
    """
    home = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
            if left.stat().st_mtime < time.time() - LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Janitor:
    """Sweeps one folder. `size`: the bytes of disk it took at the last sweep and those that were admitted since."""

    def __init__(self, folder: Path, *, keep: Callable[[], Collection[str]] = tuple) -> None:
        """`keep` names the files that stay: those that the page itself shows."""
        if not folder.name.startswith(PREFIX):
            raise ValueError(f"{folder} may hold files of others; call make_folder before the page is built")
        self.folder, self._keep = folder, keep
        self.size = 0
        self._others: dict[Path, tuple[float, int]] = {}  # folder -> when it changed, for how many sweeps it has not

    def admit(self, length: int) -> bool:
        """Whether `length` bytes more may be stored; they are counted until the next sweep, or until given back."""
        if self.size + length > 2 * settings.MAX_TEMP_MB * settings.MB:
            return False
        self.size += length
        return True

    def give_back(self, length: int) -> None:
        """Count `length` bytes no more that were admitted and not stored."""
        self.size = max(0, self.size - length)  # a sweep meanwhile has found them gone

    def sweep(self) -> set[str]:
        """Remove what is too old, then the oldest beyond the cap; returns the files that are gone."""
        now, kept, gone = time.time(), {str(Path(path)) for path in self._keep()}, set()
        found = []
        for parent, _, names in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                with contextlib.suppress(OSError):  # its owner may have moved it meanwhile
                    status = path.lstat()
                    found.append((status.st_mtime, _space(status), path))
        found.sort(reverse=True)
        total = files = 0
        for modified, size, path in found:
            loose = path.parent == self.folder  # a whole upload lies in a folder of its own
            too_old = now - modified > (settings.ABANDONED_SECONDS if loose else settings.KEEP_SECONDS)
            too_many = files >= settings.MAX_TEMP_FILES or total + size > settings.MAX_TEMP_MB * settings.MB
            if str(path) not in kept and (too_old or too_many):
                with contextlib.suppress(OSError):
                    path.unlink()
                    gone.add(str(path))
                    continue
            total, files = total + size, files + 1
        self.size = total
        with contextlib.suppress(OSError):
            os.utime(self.folder)  # this app lives
        return gone

    def remove_folders_of_the_dead(self) -> None:
        """Remove what apps that were killed have left beside this one's folder; those that live touch theirs."""
        others = {}
        for folder in self.folder.parent.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                changed = folder.stat().st_mtime
                before, sweeps = self._others.get(folder, (changed, -1))
                sweeps = sweeps + 1 if changed == before else 0
                if folder != self.folder and sweeps >= LEFT_SWEEPS:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    others[folder] = (changed, sweeps)
        self._others = others

    def remove_empty_folders(self) -> None:
        """To be called where uploads are moved into their folders, so that none is taken away in between."""
        for folder in self.folder.iterdir():
            if folder.is_dir() and time.time() - folder.stat().st_mtime > settings.ABANDONED_SECONDS:
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()

    async def work(self, tidy: Callable[[set[str]], None]) -> None:
        """Sweep now and then, for ever; `tidy` is told each time which files are gone."""
        while True:
            await asyncio.sleep(settings.SWEEP_SECONDS)
            gone = await asyncio.to_thread(self.sweep)
            await asyncio.to_thread(self.remove_folders_of_the_dead)
            with contextlib.suppress(OSError):
                self.remove_empty_folders()
            tidy(gone)

    @contextlib.asynccontextmanager
    async def at_work(self, tidy: Callable[[set[str]], None]) -> AsyncIterator[None]:
        """Work while the app is served."""
        task = asyncio.create_task(self.work(tidy))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _space(status: os.stat_result) -> int:
    """The disk that a file takes with its folder: three bytes take a block or more. Windows does not tell blocks."""
    return max(status.st_size, 512 * getattr(status, "st_blocks", 0)) + settings.FILE_BYTES // 2
