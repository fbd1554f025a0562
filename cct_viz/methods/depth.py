"""Where in depth the answer forms: the model's own readout applied early, and what each part added to the logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..architecture.blocks import find_block
from ..architecture.pools import find_pool, pool_tokens
from ..inference.trace import Heatmaps, Trace
from .pooling import require_split

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Lens:
    """The answer read after the tokenizer and after each block; D = L + 1 depths. Only the last is the model's.

    Attributes:
        names: D captions.
        readouts: (D, M), the readout at each depth, rows summing to 1.
        logits, probabilities: (D, K).
        votes: (D, N) int, argmax_c(e_tc + b_c): the class each image token would name by itself.
        check: largest error of the last row against the model's logits.
    """

    names: tuple[str, ...]
    readouts: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    votes: np.ndarray
    check: float


def read_lens(trace: Trace) -> Lens:
    """Read the stream at every depth through the final norm, the pool and the head, with each token's vote.

    r^l = LN_final(x^l), then the model's own pool and head. Source: nostalgebraist 2020, the logit lens, with SeqPool
    for the last token. It cannot show what the model believed at a depth: later blocks were trained to read a stream
    that the head never saw.
    """
    early = [read_early(trace, depth) for depth in range(len(trace.stream))]
    return Lens(
        _depth_names(trace),
        np.stack([t.readout for t in early]),
        np.stack([t.logits for t in early]),
        np.stack([t.probabilities for t in early]),
        np.stack([(t.evidence + t.bias).argmax(axis=1) for t in early]),
        float(np.abs(early[-1].logits - trace.logits).max()),
    )


def read_early(trace: Trace, depth: int) -> Trace:
    """The trace as if the encoder had ended after block `depth` (0 is the tokenizer): representation, pool and logits
    are made from stream[depth]; everything before them stays."""
    weights = trace.readout_weights
    r = _layer_norm(trace.stream[depth], weights.gamma, weights.beta, weights.epsilon)
    pool = find_pool(trace.pool)
    scores, pooling = pool.weigh(r, weights.pool_kernel, weights.pool_bias) if pool.weigh else (None, None)
    logits = pool_tokens(pool.factors(r, pooling), r) @ weights.head + weights.bias
    return dataclasses.replace(trace, representation=r, pool_scores=scores, pooling_weights=pooling, logits=logits)


def logit_lens(trace: Trace, *, target: int) -> Heatmaps:
    """Lens: what each token would add to the class score if the encoder ended here, after each block in turn.

    C~^l_tc from r^l = LN_final(x^l) and the model's own pool and head; (L + 1, gh, gw) in logits against the mean
    class, first the tokenizer's tokens, last the model's contributions; all but the last are heuristic. Source:
    nostalgebraist 2020, the logit lens, with SeqPool for the last token. It cannot show what the model believed at a
    depth: later blocks were trained to read a stream that the head never saw.

    Raises:
        NotApplicable: the model has a class token.
    """
    early = [read_early(trace, depth) for depth in range(len(trace.stream))]
    maps = np.stack([t.contributions[:, target] - t.contributions.mean(axis=1) for t in early])
    return Heatmaps(
        maps.reshape(-1, *trace.grid).astype(np.float32),
        _depth_names(trace),
        signed=True,
        method="logit_lens",
        checks={"the last is the model": float(np.abs(early[-1].logits - trace.logits).max())},
    )


@dataclass(frozen=True, eq=False)
class Attribution:
    """Every class score as a sum over the parts of the model.

    Attributes:
        names: P parts, in the order of the model; the first are the biases, as this image's norm and pool read them.
        logits: (P, K) float64; the sum over P is the model's logits.
        check: the largest error of that sum.
    """

    names: tuple[str, ...]
    logits: np.ndarray
    check: float


def attribute_logits(trace: Trace, *, weights: Weights | None = None) -> Attribution:
    """Split every class score into constants, tokenizer, position, each attention and each MLP.

    The stream that the final norm reads is the sum of what the parts wrote to it; with the norm's statistics held, the
    score splits exactly. Pre-norm blocks split fully. The official block overwrites the stream by its norm1, so
    there the split starts after the last one: all before it, then the last MLP. It cannot say what a part would have
    written had another been absent.

    Args:
        weights: `Classifier.weights`; splits each attention into its heads, and moves the projection's bias to the
            constants. The official block's split starts after all attentions, and does not use it.
    """
    names, parts = _parts(trace, weights)
    parts = parts - parts.mean(axis=-1, keepdims=True)  # as the norm does
    totals = np.einsum("pmd,md->pd", parts, _reading_weights(trace)) @ trace.readout_weights.head.astype(np.float64)
    constant = _constant(trace)
    if names[0] == "projection biases":
        constant, names, totals = constant + totals[0], names[1:], totals[1:]
    logits = np.concatenate([constant[None], totals])
    return Attribution(("constants", *names), logits, float(np.abs(logits.sum(axis=0) - trace.logits).max()))


def direct_logit_attribution(trace: Trace, *, target: int) -> Heatmaps:
    """Direct logit attribution: what each part of the model wrote at each token; with constants it sums to the score.

    (P, gh, gw) in logits against the mean class: tokenizer, position, then attention and MLP of each block, with the
    final norm's statistics held. The official block overwrites the stream by its norm1, so there the split starts
    after the last one. Source: Elhage et al. 2021, https://transformer-circuits.pub/2021/framework, and Gandelsman et
    al. 2024, https://arxiv.org/abs/2310.05916. It cannot say what a part would have written had another been absent.

    Raises:
        NotApplicable: the model has a class token, which alone is read; `attribute_logits` splits its score.
    """
    require_split(trace, ": no image token's stream is read, so there are totals but no maps")
    names, parts = _parts(trace, None)
    head = trace.readout_weights.head.astype(np.float64)
    towards = head[:, target] - head.mean(axis=1)
    read = _reading_weights(trace) * towards  # (N, D)
    read = read - read.mean(axis=-1, keepdims=True)  # instead of centring every part, which comes to the same product
    maps = np.einsum("pnd,nd->pn", parts, read)
    constant = _constant(trace)
    score = trace.logits[target] - trace.logits.mean()
    gap = maps.sum() + constant[target] - constant.mean() - score
    return Heatmaps(
        maps.reshape(-1, *trace.grid).astype(np.float32),
        names,
        signed=True,
        method="direct_logit_attribution",
        checks={"sums to the score": abs(float(gap))},
    )


def _parts(trace: Trace, weights: Weights | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and what each part wrote to the stream that the final norm reads, (P, M, D) float64 summing to it."""
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
    """(A, M, D) float64: what each head of a pre-norm block adds; with the projection's bias they are its output."""
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
    """(M, D) float64: the factors with which a centred part is read into the pooled vector.

    r = gamma (x - mean x) / sigma + beta is linear in x once sigma is held, and the pool reads f_td r_td.
    """
    weights = trace.readout_weights
    variance = trace.stream[-1].astype(np.float64).var(axis=-1, keepdims=True)
    return trace.pooling_factors.astype(np.float64) * weights.gamma / np.sqrt(variance + weights.epsilon)


def _constant(trace: Trace) -> np.ndarray:
    """(K,) float64: b_c + sum_d W_cd beta_d sum_t f_td, what the biases give; the factors f of most pools sum to 1."""
    weights = trace.readout_weights
    return weights.bias + (weights.beta * trace.pooling_factors.sum(axis=0, dtype=np.float64)) @ weights.head


def _layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + np.asarray(epsilon, x.dtype)) + beta


def _depth_names(trace: Trace) -> tuple[str, ...]:
    return ("after the tokenizer", *(f"after block {i + 1}" for i in range(len(trace.stream) - 1)))
