"""The models that one app serves: bundled ones and folders at once, Hub repositories as they arrive in the background.

The page asks for cards (what to say about the weights), traces and one line about the Hub. It never sees a model. No
TensorFlow and no Keras is loaded here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..architecture.presets import DEFAULT, PRESETS
from ..checkpoints import CheckpointError, cache, hub
from ..checkpoints.hub import HubError
from ..images.preprocessing import decode
from ..inference.classifier import Classifier
from ..inference.load import load
from ..inference.trace import Trace

HUB_REPO = "keras-io/cct"
STUCK_SECONDS = 60.0  # a call of the largest model takes two


@dataclass(frozen=True)
class Card:
    """What the page says about the weights in use.

    Attributes:
        name: what links and the command line call them.
        parameters: how many numbers were trained.
        accuracy: top-1 accuracy on the validation images, 0 to 1; None where nobody measured it.
        source: "bundled", "folder" or "hub".
        revision: the Hub's commit, or else the first digits of the weights' SHA-256.
        labels: the class names.
        image_size: (height, width) of the pictures that the model sees.
    """

    name: str
    parameters: int
    accuracy: float | None
    source: str
    revision: str
    labels: tuple[str, ...]
    image_size: tuple[int, int]

    @property
    def title(self) -> str:
        """What menus call the model: a name for people, where it is bundled."""
        return PRESETS[self.name].description if self.name in PRESETS else self.name


@dataclass(frozen=True)
class HubLine:
    """One line about the Hub: `busy` while a download runs, `can_retry` after one failed; no text says nothing."""

    text: str
    busy: bool = False
    can_retry: bool = False


class Models:
    """The classifiers that can be shown, by name. Safe to use from several threads.

    Attributes:
        problem: one sentence when there is nothing to show yet, else an empty text.
    """

    def __init__(
        self,
        sources: Sequence[str] = (),
        *,
        hub: bool = True,
        load: Callable[..., Classifier] = load,
    ):
        """Load what lies on this machine; with `hub` fetch the rest, keras-io/cct among it, in the background.

        Args:
            sources: folders, presets or Hub repos asked for by name. Those on this machine come first in the picker.
            hub: whether the Hub may be asked.
            load: `cct_viz.load`.

        Raises:
            CheckpointError: a folder in `sources` is not a checkpoint that can be served.
        """
        self._load = load
        self._lock = threading.Lock()  # of the table and the line
        self._running = threading.Lock()  # of `trace`: one picture at a time, whoever asks
        self._table: dict[str, tuple[Classifier, Card]] = {}
        self._failed: dict[str, str] = {}
        self._line = HubLine("")
        self._thread: threading.Thread | None = None
        self._wanted: list[str] = []
        self._called: float | None = None  # when the call began that is running now
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
            self.retry()
        elif remote := [source for source in sources if source not in local]:
            raise CheckpointError(f"{remote[0]!r} is no folder on this machine, and the Hub may not be asked")

    @property
    def problem(self) -> str:
        with self._lock:
            if self._table:
                return ""
            if self._failed:
                return "The bundled weights cannot be used: " + " ".join(self._failed.values())
        return (
            "This copy carries no trained weights. Start the app with --model FOLDER, or wait until the Hub has sent "
            f"{HUB_REPO}."
        )

    def names(self) -> list[str]:
        """What the picker offers, the default first."""
        with self._lock:
            return list(self._table)

    def get(self, name: str) -> Classifier:
        """The classifier called `name`.

        Raises:
            CheckpointError: no model has that name (yet).
        """
        return self._entry(name)[0]

    def card(self, name: str) -> Card:
        """What to say about the weights called `name`.

        Raises:
            CheckpointError: no model has that name (yet).
        """
        return self._entry(name)[1]

    def trace(self, name: str, image: object) -> Trace:
        """What the model called `name` makes of an image.

        Raises:
            CheckpointError: no model has that name (yet).
            ImageError: not an image that can be read.
        """
        model = self.get(name)
        pixels = decode(image)  # type: ignore[arg-type]  # outside of the lock: a large photo holds nobody up
        with self._running:
            self._called = time.monotonic()
            self._failed_last = True
            try:
                trace = model.trace(pixels)
                self._failed_last = False
                return trace
            finally:
                self._called = None

    def is_there(self) -> bool:
        """Whether there is a model to show."""
        with self._lock:
            return bool(self._table)

    def works(self) -> bool:
        """Whether the last call of a model that ended gave an answer, and none has been running for too long."""
        called = self._called
        if called is not None:
            return time.monotonic() - called < STUCK_SECONDS
        return not self._failed_last

    def hub_line(self) -> HubLine:
        """What to say about the Hub at this moment."""
        with self._lock:
            return self._line

    def retry(self) -> None:
        """Fetch in the background what is still missing; does nothing while a download runs."""
        with self._lock:
            missing = [repo for repo in self._wanted if repo not in self._table]
            if not missing or (self._thread and self._thread.is_alive()):
                return
            self._line = HubLine(f"Asking the Hub for {missing[0]}.", busy=True)
            self._thread = threading.Thread(target=self._fetch, args=(missing,), name="hub", daemon=True)
            self._thread.start()

    def _bring_cached(self) -> None:
        """Offer what the Hub sent on an earlier day and what has been prepared since: it costs no request."""
        for snapshot in hub.cached():
            if snapshot.repo_id not in self._table and cache.is_cached(snapshot.folder):
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
                problems.append(f"{repo} is away. {str(error).rstrip('.')}.")
            except Exception as error:  # the thread's last stand: without it the page would wait for ever
                problems.append(f"{repo} is away. Something unforeseen happened ({type(error).__name__}).")
        ready = [f"{' and '.join(arrived)} came from the Hub: choose under Model."] if arrived else []
        self._say(HubLine(" ".join(ready + problems), can_retry=bool(problems)))

    def _say(self, line: HubLine) -> None:
        with self._lock:
            self._line = line

    def _add(self, source: str, **options: object) -> None:
        model = self._load(source, **options)
        card = Card(
            name=model.source.name,
            parameters=model.num_parameters,
            accuracy=model.accuracy,
            source=model.source.kind,
            revision=(model.source.revision or model.source.sha256)[:10],
            labels=tuple(model.labels),
            image_size=model.config.image_size,
        )
        asked = source in PRESETS or not Path(source).exists()
        name = source if asked else card.name
        with self._lock:
            while name in self._table or (not asked and name in _bundled()):  # two of one name
                name += "'"
            self._table[name] = (model, replace(card, name=name))

    def _entry(self, name: str) -> tuple[Classifier, Card]:
        with self._lock:
            if name in self._table:
                return self._table[name]
            known = ", ".join(self._table) or "none"
        raise CheckpointError(f"no model is called {name!r}; there is {known}")


def _bundled() -> list[str]:
    """The default first: the first model is the one that a page opens with."""
    return sorted((name for name, preset in PRESETS.items() if preset.folder is not None), key=DEFAULT.__ne__)
