"""load(source) -> Classifier; Classifier.trace(image) -> Trace. Serves through ONNX Runtime and loads no framework."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

# ONNX Runtime would report to its maker over the network, and keep a database for it in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from .. import checkpoints
from ..architecture.config import CCTConfig
from ..architecture.cost import count_macs
from ..architecture.files import sha256
from ..architecture.geometry import stage_geometry
from ..architecture.presets import PRESETS, Preset, suggest, where_to_get
from ..checkpoints import CheckpointError, cache, hub
from ..images.preprocessing import Preprocessed, crop_and_resize, decode, normalise
from .arguments import require_whole
from .trace import ReadoutWeights, Trace

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT

T, R = TypeVar("T"), TypeVar("R")

METRICS = "metrics.json"  # figures that `evaluate` measured, beside the weights
THREADS = min(2, os.cpu_count() or 1)  # of one session; more gain nothing on images of 32 pixels
SMALL_MACS = 200e6  # below, as in CCT-4/3x2, a second thread answers one image no sooner; in CCT-6/3x2 it does
CHUNK = 16  # images that one thread computes at a time: more gain nothing, fewer lose time between them
LANES = THREADS + 1  # threads that compute chunks: the one more goes on while another waits for Python


@dataclass(frozen=True)
class Source:
    """Where a classifier's weights came from, for people to read and for manifests.

    `kind` is "bundled", "folder" or "hub"; `revision` the Hub's 40-hex commit; `sha256` that of model.safetensors.
    """

    kind: str
    name: str
    sha256: str
    revision: str | None = None


class Classifier:
    """A trained compact transformer, ready to classify and to show what it saw. Safe to call from several threads.

    Attributes:
        position_prior: (N,) float64 shares, the mean pooling weights over the validation images, as `evaluate` left
            them in the metrics.json beside the weights; None where nobody measured them.
        folder: where the weights came from, with what else lies beside them: card, history, figures.
    """

    position_prior: np.ndarray | None = None
    folder: Path

    def __init__(self, folder: Path, source: Source, checkpoint: checkpoints.Checkpoint):
        """`folder` holds a model.onnx exported from `checkpoint`; `load` makes sure of that."""
        self.config: CCTConfig = checkpoint.config
        self.labels = self.config.labels
        self.source = source
        self._weights = checkpoint.weights
        self._model: CCT | None = None
        self._building = threading.Lock()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if count_macs(self.config) < SMALL_MACS else THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own types, not derived from a public one
            raise CheckpointError(f"{source.name}: model.onnx cannot be run by ONNX Runtime") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._stages = stage_geometry(self.config)
        self._readout = read_readout_weights(self.config, checkpoint.weights)

    @property
    def num_parameters(self) -> int:
        return sum(array.size for array in self._weights.values())

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """Canonical name -> array, e.g. "block_0/attention/query/kernel", of every stored weight; not to be changed."""
        return MappingProxyType(self._weights)

    @property
    def model(self) -> CCT:
        """The Keras model with these weights, built when first asked for (imports Keras and its backend)."""
        with self._building:
            if self._model is None:
                from ..architecture.keras_model import build_model

                model = build_model(self.config)
                checkpoints.assign(model, self._weights)
                self._model = model
            return self._model

    def forward(self, batch: np.ndarray, token_mask: np.ndarray | None = None) -> np.ndarray:
        """(B, K) float32 logits of a (B, H, W, 3) float32 batch, already normalised.

        `token_mask` (B, N) of 0 and 1: tokens at 0 are neither attended to nor pooled.

        Raises:
            ValueError: arrays of another shape.
        """
        return self._run(["logits"], batch, token_mask)[0]

    def read_out(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(B, K) logits and (B, N) pooling weights of a batch as in `forward`, without the rest of a trace.

        The weights are None for a model that has none, with a class token or with max pooling.
        """
        if "pooling_weights" not in self._outputs:
            return self.forward(batch), None
        logits, weights = self._run(["logits", "pooling_weights"], batch, None)
        return logits, weights

    def trace(self, image: Any) -> Trace:
        """Everything one forward pass reveals of an image: a path, a PIL image or a uint8 array (H, W, 3).

        Raises:
            ImageError: not an image that can be read.
        """
        (prepared,), seen = self._see(self._preprocess_chunk([image]))
        return self._make_trace(prepared, seen, 0)

    def traces(self, images: Iterable[Any], *, batch_size: int = 64) -> Iterator[Trace]:
        """The traces of many images, in order, with at most `batch_size` of them under way.

        Raises:
            ImageError: an image that cannot be read; the few in front of it that were under way with it are lost.
            ValueError: a batch size below 1.
        """
        require_whole("batch_size", batch_size, low=1)
        chunks = _batched(images, max(1, min(CHUNK, batch_size // (LANES + 1))))
        for prepared, seen in _spread(self._see, map(self._preprocess_chunk, chunks), min(LANES, batch_size - 1)):
            for i, image in enumerate(prepared):
                yield self._make_trace(image, seen, i)

    def preprocess(self, image: Any) -> Preprocessed:
        """Decode an image and cut and scale it to what this model sees."""
        return crop_and_resize(decode(image), self.config.image_size, self.config.preprocessing)

    def _preprocess_chunk(self, images: Iterable[Any]) -> tuple[list[Preprocessed], np.ndarray]:
        prepared = [self.preprocess(image) for image in images]
        return prepared, normalise(np.stack([image.pixels for image in prepared]), self.config.preprocessing)

    def _see(self, chunk: tuple[list[Preprocessed], np.ndarray]) -> tuple[list[Preprocessed], dict[str, np.ndarray]]:
        """The images of the chunk, and every output of the graph by name."""
        prepared, batch = chunk
        return prepared, dict(zip(self._outputs, self._run_chunk(self._outputs, batch), strict=True))

    def _make_trace(self, prepared: Preprocessed, seen: dict[str, np.ndarray], i: int) -> Trace:
        """The trace of image `i` of a chunk, with copies: one that is kept must not keep the arrays of them all."""
        layers = self.config.num_layers

        def own(name: str) -> np.ndarray:
            return seen[name][i].copy()

        def pile(name: str, count: int) -> np.ndarray:
            """Outputs `name`_0, `name`_1, ... as one array."""
            piled = np.empty((count, *seen[f"{name}_0"].shape[1:]), np.float32)
            for layer in range(count):
                piled[layer] = seen[f"{name}_{layer}"][i]
            return piled

        return Trace(
            image=prepared.image,
            pixels=prepared.pixels,
            geometry=prepared.geometry,
            stages=self._stages,
            feature_maps=tuple(own(f"feature_map_{s}") for s in range(len(self._stages))),
            stream=pile("stream", layers + 1),
            attention_outputs=pile("attention_output", layers),
            mlp_outputs=pile("mlp_output", layers),
            attentions=pile("attentions", layers),
            representation=own("representation"),
            pool_scores=own("pool_scores") if "pool_scores" in seen else None,
            pooling_weights=own("pooling_weights") if "pooling_weights" in seen else None,
            logits=own("logits"),
            readout_weights=self._readout,
            labels=self.labels,
            pool=self.config.pool,
            block=self.config.block,
        )

    def _run(self, outputs: list[str], batch: np.ndarray, token_mask: np.ndarray | None) -> list[np.ndarray]:
        """The named outputs of a batch of any size."""
        batch = np.asarray(batch)
        expected = (*self.config.image_size, 3)
        if batch.ndim != 4 or batch.shape[1:] != expected:
            raise ValueError(f"the batch has shape {batch.shape}; expected (B, {', '.join(map(str, expected))})")
        if token_mask is not None and np.shape(token_mask) != (len(batch), self.config.num_tokens):
            raise ValueError(
                f"the token mask has shape {np.shape(token_mask)}; expected ({len(batch)}, {self.config.num_tokens})"
            )
        if len(batch) <= CHUNK:
            return self._run_chunk(outputs, batch, token_mask)

        def run(chunk: slice) -> list[np.ndarray]:
            return self._run_chunk(outputs, batch[chunk], None if token_mask is None else token_mask[chunk])

        parts = _spread(run, (slice(start, start + CHUNK) for start in range(0, len(batch), CHUNK)))
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run_chunk(
        self, outputs: list[str], batch: np.ndarray, token_mask: np.ndarray | None = None
    ) -> list[np.ndarray]:
        if token_mask is None:
            token_mask = np.ones((len(batch), self.config.num_tokens), np.float32)
        feeds = {"images": np.asarray(batch, np.float32), "token_mask": np.asarray(token_mask, np.float32)}
        return self._session.run(outputs, feeds)


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Classifier:
    """The classifier of `source`: a preset's name, a local folder, or a Hub repo id "owner/name", tried in this order.

    Args:
        revision: a branch, tag or commit of a Hub repo.
        offline: use only what is bundled, local or cached.
        progress: called with bytes done, bytes in all and a text while a Hub repo is fetched.

    Raises:
        CheckpointError: no such source, an architecture without weights, or a damaged or foreign checkpoint.
        HubError: the Hub did not give the repo; its `kind` and message say why and what to do.
    """
    name = str(source)
    if name in PRESETS:
        return _load_preset(name, PRESETS[name])
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # "~somebody", who has no home here
        path = path.expanduser()
    if name and _exists(path):
        return _load_folder(path, "folder", path.resolve().name)
    if name.startswith((".", "/", "~")):
        raise CheckpointError(f"there is no folder {path.name or name} at the place named; check the path")
    if name.count("/") != 1:
        raise CheckpointError(
            f"{name!r} is neither a preset ({suggest(name)}), nor a folder that exists, nor a Hub repo owner/name"
        )
    snapshot = hub.fetch(name, revision=revision, offline=offline, progress=progress)
    return _load_folder(snapshot.folder, "hub", name, snapshot.revision)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name
        return False


def _load_preset(name: str, preset: Preset) -> Classifier:
    if preset.folder is None:
        raise CheckpointError(f"{name} is an architecture without weights: {where_to_get(name)}")
    for file, expected in preset.sha256.items():
        if not (preset.folder / file).is_file():
            raise CheckpointError(f"{name}: {file} is missing from the bundled weights; restore the weights folder")
        if sha256(preset.folder / file) != expected:
            raise CheckpointError(f"{name}: {file} is not the file this release came with; restore the weights folder")
    return _open(preset.folder, "bundled", name)


def _load_folder(folder: Path, kind: str, name: str, revision: str | None = None) -> Classifier:
    trusted = any(_is_release_of(preset, folder) for preset in PRESETS.values())
    return _open(folder if trusted else cache.cached_export(folder), kind, name, revision, figures=folder)


def _is_release_of(preset: Preset, folder: Path) -> bool:
    """Whether `folder` holds exactly the files of a bundled checkpoint, so that its model.onnx may be run."""
    return bool(preset.sha256) and all(
        (folder / file).is_file() and sha256(folder / file) == digest for file, digest in preset.sha256.items()
    )


def _open(
    folder: Path, kind: str, name: str, revision: str | None = None, *, figures: Path | None = None
) -> Classifier:
    """`figures`: the folder with what was measured, where that is not the one with the files to run."""
    checkpoint = checkpoints.read(folder)
    classifier = Classifier(folder, Source(kind, name, sha256(folder / "model.safetensors"), revision), checkpoint)
    classifier.folder = figures or folder
    classifier.position_prior = _read_position_prior(classifier.folder / METRICS, checkpoint.config)
    return classifier


def _read_position_prior(path: Path, config: CCTConfig) -> np.ndarray | None:
    """The position prior in a metrics.json; None where there is no such file or no shares of this model's tokens."""
    try:
        prior = np.array(json.loads(path.read_text(encoding="utf-8"))["position_prior"], np.float64)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if config.pool != "seqpool" or prior.shape != (config.num_tokens,):
        return None
    if not (np.isfinite(prior).all() and prior.min() >= 0 and abs(prior.sum() - 1) < 1e-4):
        return None
    prior /= prior.sum()
    prior.setflags(write=False)
    return prior


def read_readout_weights(config: CCTConfig, weights: dict[str, np.ndarray]) -> ReadoutWeights:
    seqpool = config.pool == "seqpool"
    return ReadoutWeights(
        gamma=weights["norm/gamma"],
        beta=weights["norm/beta"],
        epsilon=config.layer_norm_epsilon,
        head=weights["head/kernel"],
        bias=weights["head/bias"],
        pool_kernel=weights["pool/score/kernel"][:, 0] if seqpool else None,
        pool_bias=float(weights["pool/score/bias"][0]) if seqpool else 0.0,
        position=weights.get("sequence/position"),
    )


def _spread(function: Callable[[T], R], items: Iterable[T], lanes: int = LANES) -> Iterator[R]:
    """`function` of each item, in order, computed in `lanes` threads; at most `lanes` + 1 items are under way.

    For functions that leave Python to others, as ONNX Runtime does. The items are drawn in the caller's thread; where
    that fails, what was drawn before comes first.
    """
    if lanes < 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="cct_viz") as threads:

        def begin() -> Iterator[Future[R]]:
            try:
                for item in items:
                    try:
                        future = threads.submit(function, item)
                    except RuntimeError:  # the interpreter is ending, and starts no more work in threads
                        future = Future()
                        future.set_result(function(item))
                    yield future
            except Exception as error:  # whatever it is, it waits its turn
                failed: Future[R] = Future()
                failed.set_exception(error)
                yield failed

        waiting: deque[Future[R]] = deque()
        try:
            for future in begin():
                waiting.append(future)
                if len(waiting) > lanes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # nobody asks for the rest
                future.cancel()


def _batched(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Chunks of `size` items (itertools.batched, which Python 3.11 has not)."""
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk
