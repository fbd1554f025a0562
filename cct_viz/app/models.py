"""The models of an app: bundled models and folders load at the start, Hub repositories download while it serves.

The page gets classifiers, traces and one line about the Hub. Neither TensorFlow nor Keras is loaded
here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..architecture.presets import DEFAULT, PRESETS
from ..checkpoints import CheckpointError, cache, hub
from ..checkpoints.hub import HubError
from ..images.preprocessing import Preprocessed, centre_crop
from ..inference.classifier import Classifier
from ..inference.load import load
from ..inference.trace import Trace
from .pictures import Pictures

HUB_REPO = "keras-io/cct"
STUCK_SECONDS = 60.0  # seconds; a call of the largest model takes two


@dataclass(frozen=True)
class HubLine:
    """One line about the Hub: `busy` during a download, `can_retry` after one failed. An empty text shows no line."""

    text: str
    busy: bool = False
    can_retry: bool = False


class Models:
    """The available classifiers, by name. Thread-safe.

    Attributes:
        problem: why there is no model yet; empty if there is one.
    """

    def __init__(
        self,
        sources: Sequence[str] = (),
        *,
        hub: bool = True,
        load: Callable[..., Classifier] = load,
    ):
        """Load the models on this machine; with `hub`, `download` brings the others and keras-io/cct.

        Args:
            sources: additional folders, presets or Hub repos. Those on this machine come first in the picker.
            hub: whether requests to the Hub are allowed.
            load: `cct_viz.load`.

        Raises:
            CheckpointError: a source cannot be loaded, or needs the Hub without `hub`.
        """
        self._load = load
        self._lock = threading.Lock()  # guards the table and the line
        self._running = threading.Lock()  # guards `trace`: one picture at a time for all visitors
        self._pictures = Pictures()
        self._table: dict[str, Classifier] = {}
        self._failed: dict[str, str] = {}
        self._line = HubLine("")
        self._thread: threading.Thread | None = None
        self._wanted: list[str] = []
        self._called: float | None = None  # start of the current call, or None
        self._failed_last = False
        local = [source for source in sources if source in PRESETS or Path(source).exists()]
        for source in dict.fromkeys(local):
            self._add(source)
        for name in _bundled():
            if name not in self._table:
                try:
                    self._add(name)
                except CheckpointError as error:
                    self._failed[name] = str(error)
        self._bring_cached()
        if hub:
            self._wanted = list(dict.fromkeys([s for s in sources if s not in local] + [HUB_REPO]))
        elif remote := [source for source in sources if source not in local]:
            raise CheckpointError(f"{remote[0]!r} is not a folder on this machine, and the Hub is off (--no-hub)")

    @property
    def problem(self) -> str:
        with self._lock:
            if self._table:
                return ""
            if self._failed:
                return "The bundled weights cannot be used: " + " ".join(self._failed.values())
        return (
            "This copy has no trained weights. Start the app with --model FOLDER, or wait until "
            f"{HUB_REPO} is downloaded from the Hub."
        )

    def names(self) -> list[str]:
        """The names in the picker, the default first."""
        with self._lock:
            return list(self._table)

    def get(self, name: str) -> Classifier:
        """The classifier called `name`.

        Raises:
            CheckpointError: no model has this name (yet).
        """
        with self._lock:
            if name in self._table:
                return self._table[name]
            names = ", ".join(self._table) or "none"
        raise CheckpointError(f"no model is called {name!r}; available: {names}")

    def trace(self, name: str, image: object) -> Trace:
        """The trace of an image by the model called `name`.

        Raises:
            CheckpointError: no model has this name (yet).
            ImageError: the image cannot be read.
        """
        model = self.get(name)
        return self._run(model, self._pictures.prepare(model, image))

    def _run(self, model: Classifier, picture: Any) -> Trace:
        with self._running:
            self._called = time.monotonic()
            self._failed_last = True
            try:
                trace = model.trace(picture)
                self._failed_last = False
                return trace
            finally:
                self._called = None

    def trace_pixels(self, name: str, pixels: np.ndarray) -> Trace:
        """The trace of (H, W, 3) uint8 pixels that are already prepared for the model called `name`.

        Raises:
            CheckpointError: no model has this name (yet).
        """
        size = pixels.shape[:2]
        prepared = Preprocessed(pixels.copy(), pixels.copy(), centre_crop(size, size, 1.0))
        return self._run(self.get(name), prepared)

    def is_there(self) -> bool:
        """Whether a model is available."""
        with self._lock:
            return bool(self._table)

    def works(self) -> bool:
        """Whether the last finished call of a model succeeded, and no call has been running for too long."""
        called = self._called
        if called is not None:
            return time.monotonic() - called < STUCK_SECONDS
        return not self._failed_last

    def hub_line(self) -> HubLine:
        """The current line about the Hub."""
        with self._lock:
            return self._line

    def download(self) -> None:
        """Download missing models in the background; does nothing while a download runs."""
        with self._lock:
            missing = [repo for repo in self._wanted if repo not in self._table]
            if not missing or (self._thread and self._thread.is_alive()):
                return
            self._line = HubLine(f"Downloading {missing[0]} from the Hub.", busy=True)
            self._thread = threading.Thread(target=self._fetch, args=(missing,), name="hub", daemon=True)
            self._thread.start()

    def _bring_cached(self) -> None:
        """Add Hub models that were downloaded and converted earlier. This makes no request."""
        for snapshot in hub.cached():
            if snapshot.repo_id not in self._table and cache.is_ready(snapshot.folder):
                try:
                    self._add(snapshot.repo_id, offline=True)
                except (HubError, CheckpointError) as error:
                    self._say(HubLine(f"The cached {snapshot.repo_id} cannot be used: {error}"))

    def _fetch(self, repos: list[str]) -> None:
        problems, arrived = [], []
        for repo in repos:

            def report(done: int, total: int, text: str) -> None:
                self._say(HubLine(text, busy=True))

            try:
                self._add(repo, progress=report)
                arrived.append(repo)
            except (HubError, CheckpointError) as error:
                problems.append(f"{repo} could not be loaded. {str(error).rstrip('.')}.")
            except Exception as error:  # otherwise the page would wait without end
                problems.append(f"{repo} could not be loaded: unexpected error ({type(error).__name__}).")
        ready = [f"Downloaded from the Hub: {', '.join(arrived)}. Select a model under Model."] if arrived else []
        self._say(HubLine(" ".join(ready + problems), can_retry=bool(problems)))

    def _say(self, line: HubLine) -> None:
        with self._lock:
            self._line = line

    def _add(self, source: str, **options: object) -> None:
        model = self._load(source, **options)
        by_name = source in PRESETS or not Path(source).exists()
        name = source if by_name else model.source.name
        with self._lock:
            while name in self._table or (not by_name and name in _bundled()):  # the name is taken
                name += "'"
            self._table[name] = model


def _bundled() -> list[str]:
    """The names of the bundled models; the default is first, because a page opens with the first model."""
    return sorted((name for name, preset in PRESETS.items() if preset.folder is not None), key=DEFAULT.__ne__)
