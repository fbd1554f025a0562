"""The record between inference and display: the intermediate results of one forward pass, as numpy arrays.

Axis letters, used in every docstring of the package: H W pixels of the model's input, S S' pixels of the displayed
crop, h w c cells and channels of a conv stage, gh gw the token grid, N = gh * gw image tokens, M tokens in the encoder
(N, or N + 1 with a class token first), D embedding width, A heads, L layers, K classes.
"""

from __future__ import annotations

import dataclasses
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..architecture.blocks import find_block
from ..architecture.geometry import StageGeometry
from ..architecture.outputs import find_output
from ..architecture.pools import find_pool, pool_tokens
from ..architecture.reprs import short_repr
from ..images.preprocessing import Geometry
from .heatmaps import freeze

if TYPE_CHECKING:
    from .classifier import Classifier


class NotApplicable(ValueError):
    """The explanation does not apply to this model; the message says why."""


def _require_shape(name: str, array: np.ndarray | None, shape: tuple[int, ...] | None) -> None:
    got = None if array is None else array.shape
    if got != shape:
        raise ValueError(f"Trace.{name} has shape {got}; expected {shape}")


@dataclass(frozen=True, eq=False)
class ReadoutWeights:
    """The weights between the residual stream and the logits; shared by all traces of a classifier.

    gamma, beta (D,) and epsilon of the final LayerNorm; pool_kernel a (D,) and pool_bias a0 of the pool scores
    a . r_t + a0, or None and 0; head W (D, K) and its bias b (K,); the positional embedding position (M, D), or None.
    float32.
    """

    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float
    head: np.ndarray
    bias: np.ndarray
    pool_kernel: np.ndarray | None = None
    pool_bias: float = 0.0
    position: np.ndarray | None = None

    __repr__ = short_repr

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Trace:
    """The intermediate results of a compact transformer for one image. Read-only float32 arrays unless noted.

    Attributes:
        image: (S, S', 3) uint8, the displayed crop.
        pixels: (H, W, 3) uint8, the model's input before normalisation; for a model of one input channel, its three
            channels are equal.
        geometry: the position of `image` and `pixels` in the original picture.
        stages: the position of the cells of each conv stage in `pixels`.
        feature_maps: one (h, w, c) array for each conv stage, after its pool.
        stream: (L+1, M, D), the residual stream: stream[0] enters the encoder, stream[l] leaves block l.
        attention_outputs, mlp_outputs: (L, M, D), added to the stream by each branch.
        attentions: (L, A, M, M); rows are queries and sum to 1.
        representation: (M, D), after the final LayerNorm.
        pool_scores: (N,) before SeqPool's softmax; None for a pool without scores.
        pooling_weights: (N,), >= 0, summing to 1; None for a pool without weights.
        logits: (K,).
        readout_weights: the weights from the stream to the logits.
        labels: K class names.
        pool: a name in POOLS.
        block: a name in BLOCKS.
        output: a name in OUTPUTS.
        channels: of the model's input: 3, or 1 for grey.
        note: what is unusual about how the image was read, one sentence; mostly empty.
        classifier: what made the trace, with its configuration and weights; None for a trace made of arrays alone, and
            in a pickled or copied one, so that it stays small.

    Raises:
        ValueError: no such pool, block or output, or an array does not fit the token grid of the last feature map; the
            message has both shapes.
    """

    image: np.ndarray
    pixels: np.ndarray
    geometry: Geometry
    stages: tuple[StageGeometry, ...]
    feature_maps: tuple[np.ndarray, ...]
    stream: np.ndarray
    attention_outputs: np.ndarray
    mlp_outputs: np.ndarray
    attentions: np.ndarray
    representation: np.ndarray
    pool_scores: np.ndarray | None
    pooling_weights: np.ndarray | None
    logits: np.ndarray
    readout_weights: ReadoutWeights
    labels: tuple[str, ...]
    pool: str
    block: str
    output: str = "softmax"
    channels: int = 3
    note: str = ""
    classifier: Classifier | None = None

    def __post_init__(self) -> None:
        pool = find_pool(self.pool)
        find_block(self.block)
        find_output(self.output)
        layers, heads = self.attentions.shape[:2]
        gh, gw, dim = self.feature_maps[-1].shape
        n, k = gh * gw, len(self.labels)
        m = n + pool.class_token
        _require_shape("stream", self.stream, (layers + 1, m, dim))
        _require_shape("attention_outputs", self.attention_outputs, (layers, m, dim))
        _require_shape("mlp_outputs", self.mlp_outputs, (layers, m, dim))
        _require_shape("attentions", self.attentions, (layers, heads, m, m))
        _require_shape("representation", self.representation, (m, dim))
        _require_shape("pool_scores", self.pool_scores, (n,) if pool.has_scores else None)
        _require_shape("pooling_weights", self.pooling_weights, (n,) if pool.has_weights else None)
        _require_shape("logits", self.logits, (k,))
        _require_shape("readout_weights.head", self.readout_weights.head, (dim, k))
        kernel = self.readout_weights.pool_kernel
        _require_shape("readout_weights.pool_kernel", kernel, (dim,) if pool.has_scores else None)
        for stage, feature_map in zip(self.stages, self.feature_maps, strict=True):
            _require_shape("stages", stage.centres, (*feature_map.shape[:2], 2))
        freeze(self)

    def __repr__(self) -> str:
        answer = ", ".join(f"{label} {p:.1%}" for label, p in self.top(3))
        (layers, heads), (gh, gw) = self.attentions.shape[:2], self.grid
        of = f"{gh}x{gw} tokens, {layers} layers, {heads} heads, {len(self.labels)} classes"
        return f"<Trace: {answer}; {of}, {find_pool(self.pool).name}>"

    def _repr_html_(self) -> str:
        from .notebook import trace_card

        return trace_card(self)

    def __getstate__(self) -> dict[str, Any]:
        """A classifier holds a running session, which is not for copies and other processes; weights are large."""
        return {**vars(self), "classifier": None}

    def explore(self, *, height: int = 760) -> Any:
        """The explorer of this picture, for the output cell of a notebook: see `cct_viz.explore`."""
        from .. import explore  # lazily, by its public name: what shows a record lies above it

        return explore(self, height=height)

    @property
    def has_class_token(self) -> bool:
        return find_pool(self.pool).class_token

    @property
    def grid(self) -> tuple[int, int]:
        """(gh, gw): rows and columns of tokens, as in the last feature map."""
        gh, gw, _ = self.feature_maps[-1].shape
        return gh, gw

    @property
    def tokens(self) -> np.ndarray:
        """(N, D): the image tokens that enter the encoder, with the positional embedding."""
        return self.stream[0, self.has_class_token :]

    @property
    def receptive_field(self) -> np.ndarray:
        """(N, 4) int32: y0, x0, y1, x1 of the pixels each token depends on; end exclusive, clipped."""
        return self.stages[-1].windows.reshape(-1, 4)

    @property
    def bias(self) -> np.ndarray:
        """(K,): the head's bias."""
        return self.readout_weights.bias

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(K,): softmax of the logits, which sums to 1, or with output "sigmoid" one probability for each class."""
        return _read_only(find_output(self.output).probabilities(self.logits))

    @property
    def is_grey(self) -> bool:
        """Whether the model has one input channel and sees the luminance of the picture."""
        return self.channels == 1

    @property
    def exclusive(self) -> bool:
        """Whether the classes compete, so that probabilities sum to 1 and maps are against the mean class."""
        return find_output(self.output).exclusive

    def relative(self, scores: np.ndarray) -> np.ndarray:
        """(..., K) class scores minus their mean if the classes compete, because softmax ignores a common shift."""
        return find_output(self.output).relative(scores)

    @cached_property
    def evidence(self) -> np.ndarray:
        """(N, K), logits: e_tc = W_c . r_t, each image token's own class scores, without the bias."""
        return _read_only(self.representation[self.has_class_token :] @ self.readout_weights.head)

    @cached_property
    def contributions(self) -> np.ndarray:
        """(N, K), logits: the contribution of each token to each class score; with the bias they sum to the logits.

        C_tc = sum_d W_cd f_td r_td with the pooling factors f. SeqPool and mean pooling: w_t e_tc. Max pooling: the sum
        of W_cd r_td over the channels d in which token t is the maximum.

        Raises:
            NotApplicable: the model has a class token; the head reads that token only.
        """
        pool, factors = find_pool(self.pool), self.pooling_factors
        if not pool.splits:
            raise NotApplicable(
                f"this model reads its answer with {pool.read_by}: image tokens reach it through attention only, so "
                "its scores do not split into token contributions"
            )
        if factors.shape[1] == 1:
            return _read_only(factors * self.evidence)
        return _read_only((factors * self.representation) @ self.readout_weights.head)

    @cached_property
    def pooling_factors(self) -> np.ndarray:
        """(M, D), or (M, 1) if all channels of a token have the same factor: pooled_d = sum_t f_td r_td."""
        return _read_only(find_pool(self.pool).factors(self.representation, self.pooling_weights))

    @cached_property
    def pooled(self) -> np.ndarray:
        """(D,): the pooled vector, which the head reads."""
        return _read_only(pool_tokens(self.pooling_factors, self.representation))

    @cached_property
    def readout(self) -> np.ndarray:
        """(M,), summing to 1: how much of the pooled vector comes from each token.

        The pooling weights; for a class token, one-hot; for max pooling, the fraction of channels in which each token
        is the maximum.
        """
        return _read_only(find_pool(self.pool).readout(self.pooling_factors))

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The `k` most probable classes, best first, as (label, probability).

        Raises:
            ValueError: `k` is below 1.
        """
        return best_classes(self.labels, self.probabilities, k)

    def class_index(self, target: int | str | None = None) -> int:
        """The index of a class given by name or index (also as text); None means the predicted class.

        Raises:
            ValueError: no such class.
        """
        if target is None:
            return int(self.logits.argmax())
        if isinstance(target, str) and target in self.labels:
            return self.labels.index(target)
        if isinstance(target, str) and not target.isdecimal():
            names = ", ".join(self.labels[:12]) + (", ..." if len(self.labels) > 12 else "")
            raise ValueError(f"no class is called {target[:40]!r}; this model has: {names}")
        try:
            index = operator.index(int(target) if isinstance(target, str) else target)
        except TypeError:
            raise ValueError(f"target is {target!r}; expected a class name or a whole number") from None
        if not 0 <= index < len(self.labels):
            raise ValueError(f"class {index} does not exist; this model has classes 0 to {len(self.labels) - 1}")
        return index


def best_classes(labels: tuple[str, ...], probabilities: np.ndarray, k: int) -> list[tuple[str, float]]:
    """The `k` most probable of K classes, best first, as (label, probability).

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more classes")
    best = np.argsort(-probabilities, kind="stable")[:k]
    return [(labels[c], float(probabilities[c])) for c in best]


def trace_arrays(trace: Trace) -> dict[str, np.ndarray]:
    """Every array of a trace by name, for saving; arrays in tuples are numbered."""
    arrays: dict[str, np.ndarray] = {}
    for f in dataclasses.fields(trace):
        value = getattr(trace, f.name)
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif f.name == "feature_maps":
            arrays.update({f"feature_map_{i}": feature_map for i, feature_map in enumerate(value)})
    weights = trace.readout_weights
    for f in dataclasses.fields(weights):
        if getattr(weights, f.name) is not None:
            arrays[f"readout_{f.name}"] = np.asarray(getattr(weights, f.name))
    for name in ("tokens", "receptive_field", "probabilities", "evidence", "readout", "bias"):
        arrays[name] = getattr(trace, name)
    if find_pool(trace.pool).splits:
        arrays["contributions"] = trace.contributions
    return arrays


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
