"""The network with its decisions frozen at one picture: every class score as an affine function of every depth.

Freeze the attention, the pooling factors, the deviation of every LayerNorm, the gate f(u) / u of every activation, and
the winners of ReLU and max pool. What is left is affine, so that y_c = <G_c, x> + k_c for the array x at each place.
`Scores` holds G and k. Each `before_` method takes them back through one operation, by its transpose; k collects what
the biases add. There is no automatic differentiation: the frozen network's gradient is not that of the network.

Reference: Ali et al. 2022, https://arxiv.org/abs/2202.07304 (frozen attention and LayerNorm); Mehri et al. 2025,
LibraGrad, https://arxiv.org/abs/2411.16760 (frozen gates)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..architecture.activations import find_activation
from ..architecture.blocks import find_block
from ..architecture.config import CCTConfig
from ..inference.trace import NotApplicable, Trace

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Scores:
    """C scores as an affine function of an array x (M, D): y_c = sum_t <slope_ct, x_t> + constant_c.

    Attributes:
        slope: (C, M, D) float32.
        constant: (C,) float64.
    """

    slope: np.ndarray
    constant: np.ndarray

    def parts(self, x: np.ndarray) -> np.ndarray:
        """(C, M) float64: what each token of x adds to each score."""
        return (self.slope * x).sum(axis=-1, dtype=np.float64)

    def branch(self) -> Scores:
        """The same without the constant, which the residual connection keeps."""
        return Scores(self.slope, np.zeros_like(self.constant))

    def __add__(self, other: Scores) -> Scores:
        """The two paths of a residual connection, joined."""
        return Scores(self.slope + other.slope, self.constant + other.constant)

    def before_dense(self, weights: Weights, name: str) -> Scores:
        """Of x, where these are scores of x kernel + bias."""
        bias, kernel = weights.get(f"{name}/bias"), weights[f"{name}/kernel"]
        added = 0.0 if bias is None else self._over_tokens() @ bias
        return Scores(self.slope @ kernel.T, self.constant + added)

    def before_norm(self, x: np.ndarray, weights: Weights, name: str, epsilon: float) -> Scores:
        """Of x, where these are scores of gamma (x - mean x) / sigma + beta; sigma stays that of `x`."""
        added = self._over_tokens() @ weights[f"{name}/beta"]
        slope = self.slope * (weights[f"{name}/gamma"] / deviation(x, epsilon))
        dim = slope.shape[-1]
        slope -= slope @ np.full((dim, 1), 1 / dim, np.float32)  # the transpose of centring is centring
        return Scores(slope, self.constant + added)

    def before_gate(self, gate: np.ndarray) -> Scores:
        """Of u, where these are scores of gate * u."""
        return Scores(self.slope * gate, self.constant)

    def _over_tokens(self) -> np.ndarray:
        """(C, D) float64: the sum of the slopes; as a product, which takes a fifth of the time of a sum."""
        return (np.ones(self.slope.shape[1], np.float32) @ self.slope).astype(np.float64)

    def before_attention(self, attentions: np.ndarray) -> Scores:
        """Of the values (M, A E), where these are scores of sum_s A_h[t, s] values_s, head by head."""
        (heads, m, _), (c, _, inner) = attentions.shape, self.slope.shape
        split = self.slope.reshape(c, m, heads, -1).transpose(2, 1, 0, 3).reshape(heads, m, -1)  # (A, M, C E)
        moved = attentions.transpose(0, 2, 1) @ split
        slope = moved.reshape(heads, m, c, -1).transpose(2, 1, 0, 3).reshape(c, m, inner)
        return Scores(slope, self.constant)


def walk_back(trace: Trace, directions: np.ndarray) -> Iterator[tuple[np.ndarray, Scores]]:
    """The array (M, D) at every depth and scores as functions of it, from the pool back to the encoder's input.

    Depth L, where the walk starts, is the representation that the pool reads; depth l < L is the residual stream before
    block l + 1.

    Args:
        directions: (K, C): the scores to explain are y @ directions; the identity matrix explains every class.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
    """
    config, weights = require_weights_of_model(trace)
    towards = (weights["head/kernel"] @ directions).T.astype(np.float32)  # (C, D)
    slope = trace.pooling_factors * towards[:, None, :]  # (C, M, D): the pool reads f_td r_td
    scores = Scores(slope, directions.T @ weights["head/bias"].astype(np.float64))
    yield trace.representation, scores
    scores = scores.before_norm(trace.stream[-1], weights, "norm", config.layer_norm_epsilon)
    for layer in reversed(range(config.num_layers)):
        scores = _before_block(scores, trace, layer)
        yield trace.stream[layer], scores


def _before_block(scores: Scores, trace: Trace, layer: int) -> Scores:
    """Scores of the stream before a block, from scores of the stream after it."""
    config, weights = require_weights_of_model(trace)
    name, epsilon = f"block_{layer}", config.layer_norm_epsilon
    x, attended = trace.stream[layer], trace.attention_outputs[layer]
    normed = layer_norm(x + attended, weights, f"{name}/norm_2", epsilon)  # what the MLP reads

    def norm_2(scores: Scores) -> Scores:
        return scores.before_norm(x + attended, weights, f"{name}/norm_2", epsilon)

    def mlp(scores: Scores) -> Scores:
        return _before_mlp(scores.branch(), normed, config, weights, name)

    scores = find_block(config.block).split_mlp(scores, norm_2, mlp)
    branch = scores.branch().before_dense(weights, f"{name}/attention/projection")
    branch = branch.before_attention(trace.attentions[layer]).before_dense(weights, f"{name}/attention/value")
    return scores + branch.before_norm(x, weights, f"{name}/norm_1", epsilon)


def require_weights_of_model(trace: Trace) -> tuple[CCTConfig, Weights]:
    """The configuration and weights of the model that made the trace; NotApplicable if it was made of arrays alone."""
    if trace.classifier is None:
        raise NotApplicable("this trace came without the weights of its model; make one with Classifier.trace")
    return trace.classifier.config, trace.classifier.weights


def _before_mlp(scores: Scores, x: np.ndarray, config: CCTConfig, weights: Weights, name: str) -> Scores:
    hidden = x @ weights[f"{name}/mlp_1/kernel"] + weights[f"{name}/mlp_1/bias"]
    gate = gate_of(config.activation, hidden)
    if config.mlp_output_activation:
        out = (gate * hidden) @ weights[f"{name}/mlp_2/kernel"] + weights[f"{name}/mlp_2/bias"]
        scores = scores.before_gate(gate_of(config.activation, out))
    return scores.before_dense(weights, f"{name}/mlp_2").before_gate(gate).before_dense(weights, f"{name}/mlp_1")


def gate_of(activation: str, u: np.ndarray) -> np.ndarray:
    """f(u) / u of an activation in ACTIVATIONS: Phi(u) for GELU. 1/2, the limit, where u is 0."""
    return np.divide(find_activation(activation)(u, _Arrays), u, out=np.full_like(u, 0.5), where=u != 0)


class _Arrays:
    """The functions that activations need, on NumPy arrays."""

    tanh = np.tanh

    @staticmethod
    def erf(x: np.ndarray) -> np.ndarray:
        """The error function, to 1.5e-7. Source: Abramowitz and Stegun 1964, 7.1.26."""
        t = 1 / (1 + 0.3275911 * np.abs(x))
        series = 0.0
        for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
            series = (series + factor) * t
        return np.copysign(1 - series * np.exp(-x * x), x)


def deviation(x: np.ndarray, epsilon: float) -> np.ndarray:
    """(M, 1) float32: the square root of the variance of each row, plus epsilon."""
    return np.sqrt(x.var(axis=-1, keepdims=True) + np.float32(epsilon))


def layer_norm(x: np.ndarray, weights: Weights, name: str, epsilon: float) -> np.ndarray:
    """(M, D) float32: the LayerNorm called `name` of x."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return weights[f"{name}/gamma"] * centred / deviation(x, epsilon) + weights[f"{name}/beta"]
