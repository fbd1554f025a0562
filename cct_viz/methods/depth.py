"""How the prediction forms over depth: the logit lens and direct logit attribution."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..architecture.blocks import find_block
from ..architecture.pools import find_pool, pool_tokens
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from .pooling import require_split

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Lens:
    """The readout applied after the tokenizer and after each block, D = L + 1 depths; the last is the model's output.

    Attributes:
        names: D captions.
        readouts: (D, M), the readout at each depth, rows summing to 1.
        logits, probabilities: (D, K).
        votes: (D, N) int, argmax_c(e_tc + b_c): the class that each image token alone would predict.
        check: largest error of the last row against the model's logits.
    """

    names: tuple[str, ...]
    readouts: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    votes: np.ndarray
    check: float


def read_lens(trace: Trace) -> Lens:
    """Logit lens: apply the final norm, the pool and the head to the residual stream at every depth.

    r^l = LN_final(x^l), then the model's own pool and head. Source: nostalgebraist 2020, the logit lens, with SeqPool
    for the last token. Limit: the head was trained on the last depth only, so earlier values are heuristic.
    """
    early = [read_early(trace, depth) for depth in range(len(trace.stream))]
    return Lens(
        depth_names(trace),
        np.stack([t.readout for t in early]),
        np.stack([t.logits for t in early]),
        np.stack([t.probabilities for t in early]),
        np.stack([(t.evidence + t.bias).argmax(axis=1) for t in early]),
        float(np.abs(early[-1].logits - trace.logits).max()),
    )


def read_early(trace: Trace, depth: int) -> Trace:
    """The trace as if the encoder ended after block `depth` (0 is the tokenizer): representation, pool and logits
    come from stream[depth]; everything before stays the same."""
    weights = trace.readout_weights
    r = _layer_norm(trace.stream[depth], weights.gamma, weights.beta, weights.epsilon)
    pool = find_pool(trace.pool)
    scores, pooling = pool.weigh(r, weights.pool_kernel, weights.pool_bias) if pool.weigh else (None, None)
    logits = pool_tokens(pool.factors(r, pooling), r) @ weights.head + weights.bias
    return dataclasses.replace(trace, representation=r, pool_scores=scores, pooling_weights=pooling, logits=logits)


def logit_lens(trace: Trace, *, target: int) -> Heatmaps:
    """Logit lens: what each token would contribute to the class score if the encoder ended after each block.

    C~^l_tc from r^l = LN_final(x^l) and the model's own pool and head; (L + 1, gh, gw) in logits against the mean
    class: first the tokenizer's tokens, last the model's contributions. Source: nostalgebraist 2020, the logit lens,
    for a language model, which reads each token on its own; ours is to read them through the pool, so that they add up.
    Limit: the head was trained on the last depth only, so all maps but the last are heuristic.

    Raises:
        NotApplicable: the model has a class token.
    """
    early = [read_early(trace, depth) for depth in range(len(trace.stream))]
    maps = np.stack([t.relative(t.contributions)[:, target] for t in early])
    return Heatmaps(
        maps.reshape(-1, *trace.grid).astype(np.float32),
        depth_names(trace),
        signed=True,
        method="logit_lens",
        checks={"the last is the model": float(np.abs(early[-1].logits - trace.logits).max())},
    )


@dataclass(frozen=True, eq=False)
class Attribution:
    """Every class score as a sum over the parts of the model.

    Attributes:
        names: P parts, in the order of the model; the first, "constants", are the biases after the norm and pool.
        logits: (P, K) float64; the sum over P is the model's logits.
        check: the largest error of that sum.
    """

    names: tuple[str, ...]
    logits: np.ndarray
    check: float


def attribute_logits(trace: Trace, *, weights: Weights | None = None) -> Attribution:
    """Split every class score into constants, tokenizer, position, each attention and each MLP.

    The residual stream before the final norm is the sum of the parts' outputs. With the norm's statistics fixed, the
    score splits exactly. Pre-norm blocks split fully. The official block replaces the stream by the output of its
    norm1, so there the split starts after the last norm1: everything before it, then the last MLP. Limit: it does not
    show what a part would output if another part were removed.

    Args:
        weights: `Classifier.weights`; if given, each attention is split into its heads, and the projection's bias goes
            to the constants. Not used with the official block, whose split starts after all attentions.
    """
    names, parts = _parts(trace, weights)
    parts = parts - parts.mean(axis=-1, keepdims=True)  # the norm subtracts the mean
    totals = np.einsum("pmd,md->pd", parts, _reading_weights(trace)) @ trace.readout_weights.head.astype(np.float64)
    constant = _constant(trace)
    if names[0] == "projection biases":
        constant, names, totals = constant + totals[0], names[1:], totals[1:]
    logits = np.concatenate([constant[None], totals])
    return Attribution(("constants", *names), logits, float(np.abs(logits.sum(axis=0) - trace.logits).max()))


def direct_logit_attribution(trace: Trace, *, target: int) -> Heatmaps:
    """Direct logit attribution: what each part of the model adds to the class score at each token.

    (P, gh, gw) in logits against the mean class: tokenizer, position, then attention and MLP of each block, with the
    final norm's statistics fixed; with the constants they sum to the score. The official block replaces the stream by
    the output of its norm1, so there the split starts after the last norm1. Source: Elhage et al. 2021,
    https://transformer-circuits.pub/2021/framework, for language models, and Gandelsman et al. 2024,
    https://arxiv.org/abs/2310.05916, for a class token; ours is to go on through the pool and the official block.
    Limit: it does not show what a part would output if another part were removed.

    Raises:
        NotApplicable: the head reads only a class token, so there are no maps; `attribute_logits` splits its score.
    """
    require_split(trace, ": no image token's stream is read, so there are totals but no maps")
    names, parts = _parts(trace, None)
    towards = trace.relative(trace.readout_weights.head.astype(np.float64))[:, target]
    read = _reading_weights(trace) * towards  # (N, D)
    read = read - read.mean(axis=-1, keepdims=True)  # the same product as with every part centred
    maps = np.einsum("pnd,nd->pn", parts, read)
    gap = maps.sum() + trace.relative(_constant(trace))[target] - trace.relative(trace.logits)[target]
    return Heatmaps(
        maps.reshape(-1, *trace.grid).astype(np.float32),
        names,
        signed=True,
        method="direct_logit_attribution",
        checks={"sums to the score": abs(float(gap))},
    )


def _parts(trace: Trace, weights: Weights | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the parts and their outputs, (P, M, D) float64, which sum to the stream before the final norm."""
    stream = trace.stream.astype(np.float64)
    if find_block(trace.block).overwrites_stream:
        mlp = trace.mlp_outputs[-1].astype(np.float64)
        layer = len(trace.mlp_outputs)
        return (f"all before the MLP of layer {layer}", f"MLP {layer}"), np.stack([stream[-1] - mlp, mlp])
    names, parts = ["class token" if trace.has_class_token else "tokenizer"], [stream[0]]
    position = trace.readout_weights.position
    if position is not None:
        names.append("position")
        parts = [stream[0] - position, position.astype(np.float64)]
    biases = np.zeros_like(stream[0])
    for layer, (attended, mlp) in enumerate(zip(trace.attention_outputs, trace.mlp_outputs, strict=True)):
        if weights is None:
            names.append(f"attention {layer + 1}")
            parts.append(attended.astype(np.float64))
        else:
            heads = _head_outputs(trace, layer, weights)
            names += [f"attention {layer + 1}, head {h + 1}" for h in range(len(heads))]
            parts += list(heads)
            biases += weights[f"block_{layer}/attention/projection/bias"]
        names.append(f"MLP {layer + 1}")
        parts.append(mlp.astype(np.float64))
    if weights is not None:
        names, parts = ["projection biases", *names], [biases, *parts]
    return tuple(names), np.stack(parts)


def _head_outputs(trace: Trace, layer: int, weights: Weights) -> np.ndarray:
    """(A, M, D) float64: what each head adds in a pre-norm block; with the projection's bias they sum to its output."""
    name = f"block_{layer}"
    gamma, beta = weights[f"{name}/norm_1/gamma"], weights[f"{name}/norm_1/beta"]
    x = _layer_norm(trace.stream[layer].astype(np.float64), gamma, beta, trace.readout_weights.epsilon)
    values = x @ weights[f"{name}/attention/value/kernel"]
    bias = weights.get(f"{name}/attention/value/bias")
    values = values if bias is None else values + bias
    heads = trace.attentions.shape[1]
    values = values.reshape(len(x), heads, -1)  # (M, A, E)
    kernel = weights[f"{name}/attention/projection/kernel"].astype(np.float64).reshape(heads, values.shape[-1], -1)
    return np.einsum("ats,sae,aed->atd", trace.attentions[layer].astype(np.float64), values, kernel, optimize=True)


def _reading_weights(trace: Trace) -> np.ndarray:
    """(M, D) float64: the factors that map a centred part into the pooled vector.

    r = gamma (x - mean x) / sigma + beta is linear in x if sigma is fixed, and the pool reads f_td r_td.
    """
    weights = trace.readout_weights
    variance = trace.stream[-1].astype(np.float64).var(axis=-1, keepdims=True)
    return trace.pooling_factors.astype(np.float64) * weights.gamma / np.sqrt(variance + weights.epsilon)


def _constant(trace: Trace) -> np.ndarray:
    """(K,) float64: b_c + sum_d W_cd beta_d sum_t f_td, the part of the scores that comes from the biases."""
    weights = trace.readout_weights
    return weights.bias + (weights.beta * trace.pooling_factors.sum(axis=0, dtype=np.float64)) @ weights.head


def _layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + np.asarray(epsilon, x.dtype)) + beta


def depth_names(trace: Trace) -> tuple[str, ...]:
    """L + 1 captions of the places in the residual stream."""
    return ("after the tokenizer", *(f"after block {i + 1}" for i in range(len(trace.stream) - 1)))
