"""Classifier.trace(image) -> Trace: a trained model and its runner. Imports no framework and no runtime."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import checkpoints
from ..architecture.config import CCTConfig
from ..architecture.geometry import stage_geometry
from ..architecture.pools import find_pool, pool_tokens
from ..images.decode import ImageWarning, Picture
from ..images.preprocessing import Preprocessed, crop_and_resize, normalise
from .arguments import is_number, require_whole
from .gauge import Gauge, read_gauge
from .parallel import CHUNK, LANES, batched, spread
from .trace import ReadoutWeights, Trace

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT


@dataclass(frozen=True)
class Source:
    """Where a classifier's weights came from, for people to read and for manifests.

    `kind` is "bundled", "folder" or "hub"; `revision` is the Hub's 40-hex commit; `sha256` is the digest of
    model.safetensors.
    """

    kind: str
    name: str
    sha256: str
    revision: str | None = None


class Runner(Protocol):
    """Runs a model, with ONNX Runtime or Keras. Safe to call from several threads.

    Attributes:
        output_names: the names of all outputs, as in `CCT.intermediates`.
    """

    output_names: tuple[str, ...]

    def run(self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray) -> list[np.ndarray]:
        """The named outputs of a (B, H, W, C) float32 batch with a (B, N) float32 mask."""

    def encode(self, stream: np.ndarray, token_mask: np.ndarray) -> np.ndarray:
        """(B, K) logits from the encoder's input (B, M, D), of any number of tokens, with a (B, N) float32 mask."""


class Classifier:
    """A trained compact transformer that classifies images and traces its computation. Thread-safe.

    Attributes:
        config: the architecture, labels and preprocessing.
        weights: canonical name -> array of every stored weight, e.g. "block_0/attention/query/kernel"; read-only.
        source: where the weights came from.
        folder: the folder of the weights, which may also hold a card and a history; None for weights in memory.
        metrics: the metrics.json of the folder, which `evaluate` writes; empty if there is no such file.
        accuracy: top-1 accuracy on the validation images, 0 to 1, from metrics.json; None if it is not there.
        position_prior: (N,) float64, summing to 1: the mean pooling weights over the validation images, from
            metrics.json; None if they are not there.
    """

    def __init__(
        self,
        config: CCTConfig,
        weights: Mapping[str, np.ndarray],
        source: Source,
        runner: Runner,
        *,
        folder: Path | None = None,
        metrics: Mapping[str, Any] | None = None,
        network: CCT | None = None,
    ):
        """`runner` runs the model of `config` with `weights`; `network` is the Keras model, if it is already built."""
        self.config = config
        self.labels = config.labels
        self.weights: Mapping[str, np.ndarray] = MappingProxyType({k: _read_only(v) for k, v in weights.items()})
        self.source = source
        self.folder = folder
        self.metrics: Mapping[str, Any] = MappingProxyType(dict(metrics or {}))
        self.accuracy = _check_accuracy(self.metrics.get("accuracy"))
        self.position_prior = _check_prior(self.metrics.get("position_prior"), config)
        self._runner = runner
        self._network, self._model = network, None
        self._building = threading.RLock()
        self._stages = stage_geometry(config)
        self._readout = read_readout_weights(config, self.weights)

    def __repr__(self) -> str:
        size, (gh, gw) = "x".join(map(str, self.config.image_size)), self.config.grid
        of = f"{self.num_parameters:,} parameters, {size} pixels, {gh}x{gw} tokens, {len(self.labels)} classes"
        return f"<Classifier: {self.source.name} ({self.source.kind}), {of}, {find_pool(self.config.pool).name}>"

    @property
    def num_parameters(self) -> int:
        return sum(array.size for array in self.weights.values())

    @cached_property
    def gauge(self) -> Gauge | None:
        """How usual pictures are for this model, read once from the folder; None without a sound gauge there."""
        return None if self.folder is None else read_gauge(self.folder, self.config.embedding_dim)

    @property
    def network(self) -> CCT:
        """The Keras model with these weights, built on first use (imports Keras and its backend).

        `network(images, token_mask=None)` gives logits, `network.intermediates(images)` everything that a trace holds.
        """
        with self._building:
            if self._network is None:
                from ..architecture.keras_model import build_model

                network = build_model(self.config)
                checkpoints.assign(network, self.weights)
                self._network = network
            return self._network

    @property
    def model(self) -> Any:
        """The same as a functional Keras model with the same weights, from images (B, H, W, C) to logits (B, K).

        For tools that take a Keras model apart: it has inputs, outputs and layers by name, see `make_functional`.
        Images are float32, normalised as `images.preprocessing.normalise` does.
        """
        with self._building:
            if self._model is None:
                from ..architecture.keras_model import make_functional

                self._model = make_functional(self.network)
            return self._model

    def forward(self, batch: np.ndarray, token_mask: np.ndarray | None = None) -> np.ndarray:
        """(B, K) float32 logits of a (B, H, W, C) float32 batch, already normalised.

        `token_mask` (B, N) of 0 and 1: tokens with 0 are neither attended to nor pooled.

        Raises:
            ValueError: an array has the wrong shape.
        """
        return self._run(["logits"], batch, token_mask)[0]

    def forward_masked(self, trace: Trace, token_mask: np.ndarray) -> np.ndarray:
        """(B, K) float32 logits of the trace's image under each of (B, N) masks, as `forward` gives them.

        The tokenizer does not run again, and tokens with 0 are not computed. All masks of a deletion curve take a third
        of the time that `forward` takes for CCT-2/3x2.

        Raises:
            ValueError: an array has the wrong shape.
        """
        if np.shape(token_mask) != (len(token_mask), self.config.num_tokens):
            raise ValueError(f"the token mask has shape {np.shape(token_mask)}; expected (B, {self.config.num_tokens})")
        first = int(self.config.has_class_token)
        present = np.asarray(token_mask) > 0
        count = present.sum(axis=1)
        rows = np.argsort(count, kind="stable")  # masks of about the same number of tokens make one batch

        def run(chunk: np.ndarray) -> np.ndarray:
            longest = max(1, count[chunk[-1]])
            kept = np.argsort(~present[chunk], axis=1, kind="stable")[:, :longest]  # those that are present come first
            mask = np.take_along_axis(present[chunk], kept, axis=1).astype(np.float32)
            kept = np.pad(first + kept, ((0, 0), (first, 0)))  # the class token is in the stream, but in no mask
            return self._runner.encode(trace.stream[0][kept], mask)

        logits = np.empty((len(rows), self.config.num_classes), np.float32)
        logits[rows] = np.concatenate(list(spread(run, np.split(rows, range(CHUNK, len(rows), CHUNK)))))
        return logits

    def read_out(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(B, K) logits and (B, N) pooling weights of a batch as in `forward`; faster than a whole trace.

        The weights are None for a model without pooling weights (class token or max pooling).
        """
        if "pooling_weights" not in self._runner.output_names:
            return self.forward(batch), None
        logits, weights = self._run(["logits", "pooling_weights"], batch, None)
        return logits, weights

    def read_pooled(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, K) logits and (B, D) pooled vectors, which the head reads, of a batch as in `forward`."""
        pool = find_pool(self.config.pool)
        names = ["logits", "representation", *({"pooling_weights"} & set(self._runner.output_names))]
        logits, representation, *rest = self._run(names, batch, None)
        weights = rest[0] if rest else [None] * len(batch)
        pairs = zip(representation, weights, strict=True)
        return logits, np.stack([pool_tokens(pool.factors(r, w), r) for r, w in pairs])

    def trace(self, image: Any, *, stretch: bool = False) -> Trace:
        """The trace of one forward pass over `image`: a path, a file's bytes, an open binary file, a PIL image or a
        uint8 array (H, W, 3); see `images.decode.read_picture`.

        Args:
            stretch: use the whole range of 16-bit grey images that use their lower bits only.

        Raises:
            ImageError: the image cannot be read.

        Warns:
            ImageWarning: the image uses a small part of its range and looks dark. `Trace.note` says it too.
        """
        (prepared,), seen = self._see(self._preprocess_chunk([image], stretch))
        if prepared.note and not stretch and not isinstance(image, (Picture, Preprocessed)):
            warnings.warn(prepared.note, ImageWarning, stacklevel=2)
        return self._make_trace(prepared, seen, 0)

    def traces(self, images: Iterable[Any], *, batch_size: int = 64, stretch: bool = False) -> Iterator[Trace]:
        """The traces of many images, in order, with at most `batch_size` images in progress.

        `stretch` is as in `trace`. There are no warnings: each `Trace.note` says what is unusual about its image.

        Raises:
            ImageError: an image cannot be read. The images of the same chunk before it are lost.
            ValueError: `batch_size` is below 1.
        """
        require_whole("batch_size", batch_size, low=1)
        chunks = batched(images, max(1, min(CHUNK, batch_size // (LANES + 1))))
        prepared_chunks = (self._preprocess_chunk(chunk, stretch) for chunk in chunks)
        for prepared, seen in spread(self._see, prepared_chunks, min(LANES, batch_size - 1)):
            for i, image in enumerate(prepared):
                yield self._make_trace(image, seen, i)

    def trace_batch(self, images: Sequence[Any], *, stretch: bool = False) -> list[Trace]:
        """The traces of a few images, one or more, in one pass of the model and in the caller's thread.

        `stretch` is as in `trace`; there are no warnings.

        Raises:
            ImageError: an image cannot be read.
        """
        prepared, seen = self._see(self._preprocess_chunk(images, stretch))
        return [self._make_trace(image, seen, i) for i, image in enumerate(prepared)]

    def preprocess(self, image: Any, *, stretch: bool = False) -> Preprocessed:
        """Decode an image, then crop and resize it to the model's input; what is prepared already stays as it is."""
        if isinstance(image, Preprocessed):
            return image
        return crop_and_resize(image, self.config.image_size, self.config.preprocessing, stretch=stretch)

    def _preprocess_chunk(self, images: Iterable[Any], stretch: bool) -> tuple[list[Preprocessed], np.ndarray]:
        prepared = [self.preprocess(image, stretch=stretch) for image in images]
        return prepared, normalise(np.stack([image.pixels for image in prepared]), self.config.preprocessing)

    def _see(self, chunk: tuple[list[Preprocessed], np.ndarray]) -> tuple[list[Preprocessed], dict[str, np.ndarray]]:
        """The preprocessed images of the chunk, and every output of the model by name."""
        prepared, batch = chunk
        names = self._runner.output_names
        return prepared, dict(zip(names, self._run_chunk(names, batch), strict=True))

    def _make_trace(self, prepared: Preprocessed, seen: dict[str, np.ndarray], i: int) -> Trace:
        """The trace of image `i` of a chunk. Copies, so that a trace does not keep the whole chunk in memory."""
        layers = self.config.num_layers

        def own(name: str) -> np.ndarray:
            return seen[name][i].copy()

        def pile(name: str, count: int) -> np.ndarray:
            """Stack the outputs `name`_0, `name`_1, ... into one array."""
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
            output=self.config.output,
            channels=self.config.channels,
            note=prepared.note,
            classifier=self,
        )

    def _run(self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray | None) -> list[np.ndarray]:
        """The named outputs of a batch of any size."""
        batch = np.asarray(batch)
        expected = self.config.input_shape
        if batch.ndim != 4 or batch.shape[1:] != expected:
            raise ValueError(f"the batch has shape {batch.shape}; expected (B, {', '.join(map(str, expected))})")
        if token_mask is not None and np.shape(token_mask) != (len(batch), self.config.num_tokens):
            raise ValueError(
                f"the token mask has shape {np.shape(token_mask)}; expected ({len(batch)}, {self.config.num_tokens})"
            )
        if len(batch) <= CHUNK:
            return self._run_chunk(names, batch, token_mask)

        def run(chunk: slice) -> list[np.ndarray]:
            return self._run_chunk(names, batch[chunk], None if token_mask is None else token_mask[chunk])

        parts = spread(run, (slice(start, start + CHUNK) for start in range(0, len(batch), CHUNK)))
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run_chunk(
        self, names: Sequence[str], batch: np.ndarray, token_mask: np.ndarray | None = None
    ) -> list[np.ndarray]:
        if token_mask is None:
            token_mask = np.ones((len(batch), self.config.num_tokens), np.float32)
        return self._runner.run(names, np.asarray(batch, np.float32), np.asarray(token_mask, np.float32))


def _check_accuracy(value: Any) -> float | None:
    return float(value) if is_number(value) and 0 <= value <= 1 else None


def _check_prior(values: Any, config: CCTConfig) -> np.ndarray | None:
    """`values` as a read-only (N,) float64 array; None unless they are N pooling weights that sum to 1."""
    if not find_pool(config.pool).has_scores:
        return None
    try:
        prior = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if prior.shape != (config.num_tokens,) or not (np.isfinite(prior).all() and prior.min() >= 0):
        return None
    if abs(prior.sum() - 1) >= 1e-4:
        return None
    prior /= prior.sum()
    prior.setflags(write=False)
    return prior


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


def read_readout_weights(config: CCTConfig, weights: Mapping[str, np.ndarray]) -> ReadoutWeights:
    has_scores = find_pool(config.pool).has_scores
    return ReadoutWeights(
        gamma=weights["norm/gamma"],
        beta=weights["norm/beta"],
        epsilon=config.layer_norm_epsilon,
        head=weights["head/kernel"],
        bias=weights["head/bias"],
        pool_kernel=weights["pool/score/kernel"][:, 0] if has_scores else None,
        pool_bias=float(weights["pool/score/bias"][0]) if has_scores else 0.0,
        position=weights.get("sequence/position"),
    )
