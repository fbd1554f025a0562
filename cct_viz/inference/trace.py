"""The one record in which seeing and showing meet: everything one forward pass revealed of one image, as numpy arrays.

Axis letters, used in every docstring of the package: H W model pixels, S S' pixels of the crop that is shown, h w c
cells and channels of a conv stage, gh gw the token grid, N = gh * gw image tokens, M tokens in the encoder (N, or N + 1
with a class token first), D embedding width, A heads, L layers, K classes.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from ..architecture.geometry import StageGeometry
from ..images.preprocessing import Geometry


class NotApplicable(ValueError):
    """The explanation makes no sense for this model; the message says why."""


def _freeze(record: object) -> None:
    """Make every array that the record holds read-only."""
    for value in vars(record).values():
        for array in value if isinstance(value, tuple) else (value,):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)


def _require_shape(name: str, array: np.ndarray | None, shape: tuple[int, ...] | None) -> None:
    got = None if array is None else array.shape
    if got != shape:
        raise ValueError(f"Trace.{name} has shape {got}; expected {shape}")


@dataclass(frozen=True, eq=False)
class ReadoutWeights:
    """The few weights between the residual stream and the logits; shared by all traces of a classifier.

    gamma, beta (D,) and epsilon of the final LayerNorm; pool_kernel a (D,) and pool_bias a0 of SeqPool, or None and 0;
    head W (D, K) and its bias b (K,); position (M, D) that was added to the tokens, or None. float32.
    """

    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float
    head: np.ndarray
    bias: np.ndarray
    pool_kernel: np.ndarray | None = None
    pool_bias: float = 0.0
    position: np.ndarray | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, eq=False)
class Trace:
    """What a compact transformer made of one image. Read-only float32 arrays unless said.

    Attributes:
        image: (S, S', 3) uint8, the crop that is shown.
        pixels: (H, W, 3) uint8, what the model was given, before normalisation.
        geometry: how `image` and `pixels` lie in the original picture.
        stages: where the cells of each conv stage lie in `pixels`.
        feature_maps: one (h, w, c) for each conv stage, after its pool.
        stream: (L+1, M, D), the residual stream: stream[0] is what enters the encoder, stream[l] leaves block l.
        attention_outputs, mlp_outputs: (L, M, D), what each branch added to the stream.
        attentions: (L, A, M, M); rows are queries and sum to 1.
        representation: (M, D), after the final LayerNorm.
        pool_scores: (N,) before SeqPool's softmax; None without SeqPool.
        pooling_weights: (N,), >= 0, summing to 1; None with a class token or max pooling.
        logits: (K,).
        readout_weights: the weights from the stream to the logits.
        labels: K class names.
        pool: "seqpool", "mean", "max" or "class_token".
        block: "pre_norm" or "official".

    Raises:
        ValueError: arrays that do not fit the token grid of the last feature map; both shapes are named.
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

    def __post_init__(self) -> None:
        layers, heads = self.attentions.shape[:2]
        gh, gw, dim = self.feature_maps[-1].shape
        n, k = gh * gw, len(self.labels)
        m = n + self.has_class_token
        _require_shape("stream", self.stream, (layers + 1, m, dim))
        _require_shape("attention_outputs", self.attention_outputs, (layers, m, dim))
        _require_shape("mlp_outputs", self.mlp_outputs, (layers, m, dim))
        _require_shape("attentions", self.attentions, (layers, heads, m, m))
        _require_shape("representation", self.representation, (m, dim))
        _require_shape("pool_scores", self.pool_scores, (n,) if self.pool == "seqpool" else None)
        _require_shape("pooling_weights", self.pooling_weights, (n,) if self.pool in ("seqpool", "mean") else None)
        _require_shape("logits", self.logits, (k,))
        _require_shape("readout_weights.head", self.readout_weights.head, (dim, k))
        for stage, feature_map in zip(self.stages, self.feature_maps, strict=True):
            _require_shape("stages", stage.centres, (*feature_map.shape[:2], 2))
        _freeze(self)

    @property
    def has_class_token(self) -> bool:
        return self.pool == "class_token"

    @property
    def grid(self) -> tuple[int, int]:
        """(gh, gw): rows and columns of tokens, as the last feature map has them."""
        gh, gw, _ = self.feature_maps[-1].shape
        return gh, gw

    @property
    def tokens(self) -> np.ndarray:
        """(N, D): the image tokens that enter the encoder, position added."""
        return self.stream[0, self.has_class_token :]

    @property
    def receptive_field(self) -> np.ndarray:
        """(N, 4) int32: y0, x0, y1, x1 of the pixels each token sees; end exclusive, clipped."""
        return self.stages[-1].windows.reshape(-1, 4)

    @property
    def bias(self) -> np.ndarray:
        """(K,): the head's bias."""
        return self.readout_weights.bias

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(K,): softmax of the logits."""
        exponentials = np.exp(self.logits - self.logits.max())
        return _read_only(exponentials / exponentials.sum())

    @cached_property
    def evidence(self) -> np.ndarray:
        """(N, K), logits: e_tc = W_c . r_t, each image token's own class scores, without the bias."""
        return _read_only(self.representation[self.has_class_token :] @ self.readout_weights.head)

    @cached_property
    def contributions(self) -> np.ndarray:
        """(N, K), logits: what each token adds to each class score; with the bias the tokens sum to the logits.

        SeqPool and mean pooling: C_tc = w_t e_tc. Max pooling: the sum of W_cd r_td over the channels d that t wins.

        Raises:
            NotApplicable: with a class token the head reads one token, and no image token contributes by itself.
        """
        if self.pooling_weights is not None:
            return _read_only(self.pooling_weights[:, None] * self.evidence)
        if self.pool == "max":
            won = self.winners == np.arange(len(self.representation))[:, None]  # (N, D)
            return _read_only(np.where(won, self.representation, 0) @ self.readout_weights.head)
        raise NotApplicable(
            "this model reads its answer with a class token: image tokens reach it through attention only, so its "
            "scores do not split into token contributions"
        )

    @property
    def winners(self) -> np.ndarray:
        """(D,) int: with max pooling, the image token that wins each channel."""
        return self.representation[self.has_class_token :].argmax(axis=0)

    @cached_property
    def readout(self) -> np.ndarray:
        """(M,), summing to 1: how the model reads its answer out of the tokens.

        The pooling weights; the class token's one-hot; with max pooling the share of channels each token wins.
        """
        if self.pooling_weights is not None:
            return self.pooling_weights
        m, dim = self.representation.shape
        if self.has_class_token:
            return _read_only(np.eye(1, m, dtype=np.float32)[0])
        return _read_only(np.bincount(self.winners, minlength=m).astype(np.float32) / dim)

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The `k` most probable classes, best first, as (label, probability).

        Raises:
            ValueError: `k` below 1.
        """
        if k < 1:
            raise ValueError(f"{k} classes were asked for; expected 1 or more")
        best = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[c], float(self.probabilities[c])) for c in best]

    def class_index(self, target: int | str | None = None) -> int:
        """The index of a class given by name or index (also as text); None means the class that the model chose.

        Raises:
            ValueError: no such class.
        """
        if target is None:
            return int(self.logits.argmax())
        if isinstance(target, str) and target in self.labels:
            return self.labels.index(target)
        if isinstance(target, str) and not target.isdecimal():
            known = ", ".join(self.labels[:12]) + (", ..." if len(self.labels) > 12 else "")
            raise ValueError(f"no class is called {target[:40]!r}; this model has: {known}")
        try:
            index = operator.index(int(target) if isinstance(target, str) else target)
        except TypeError:
            raise ValueError(f"{target!r} is no class; expected a name or a whole number") from None
        if not 0 <= index < len(self.labels):
            raise ValueError(f"class {index} does not exist; this model has classes 0 to {len(self.labels) - 1}")
        return index


@dataclass(frozen=True, eq=False)
class Heatmaps:
    """Maps over the token grid that an explanation method made of a Trace.

    Attributes:
        maps: (n, gh, gw) float32. Unsigned maps are shares: >= 0, each summing to 1 (with a class token to
            1 - class_share), or 0 everywhere where the method found nothing. Signed maps are in logits.
        names: n captions.
        signed: whether values below 0 have a meaning.
        method: the method's name in METHODS.
        checks: identity -> its error on this very image.
        class_share: (n,) float32, what the class token keeps of each map; zeros without one.
    """

    maps: np.ndarray
    names: tuple[str, ...]
    signed: bool
    method: str
    checks: Mapping[str, float] = field(default_factory=dict)
    class_share: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.maps.ndim != 3 or len(self.names) != len(self.maps):
            raise ValueError(f"{len(self.names)} names for maps of shape {self.maps.shape}; expected (n, gh, gw)")
        share = np.zeros(len(self.maps), np.float32) if self.class_share is None else self.class_share
        if share.shape != (len(self.maps),):
            raise ValueError(f"class_share has shape {share.shape}; expected {(len(self.maps),)}")
        object.__setattr__(self, "class_share", share)
        object.__setattr__(self, "checks", MappingProxyType(dict(self.checks)))
        _freeze(self)

    @property
    def unit(self) -> str:
        """What the values are: "logits" for signed maps, a "share" of 1 for the others."""
        return "logits" if self.signed else "share"

    def __iter__(self):  # type: ignore[no-untyped-def]
        return zip(self.names, self.maps, strict=True)


def trace_arrays(trace: Trace) -> dict[str, np.ndarray]:
    """Every array of a trace by name, for saving; tuples are numbered."""
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
    if not trace.has_class_token:
        arrays["contributions"] = trace.contributions
    return arrays


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
