"""Where in depth the answer forms: the model's own readout applied early, and what each part added to the logits."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..inference.trace import Heatmaps, NotApplicable, Trace


def read_early(trace: Trace, depth: int) -> Trace:
    """The trace as if the encoder had ended after block `depth` (0 is the tokenizer): representation, pool and logits
    are made from stream[depth]; everything before them stays."""
    weights = trace.readout_weights
    r = _layer_norm(trace.stream[depth], weights.gamma, weights.beta, weights.epsilon)
    scores, pooling = None, trace.pooling_weights  # of mean pooling the weights are the same everywhere
    if trace.pool == "seqpool":
        assert weights.pool_kernel is not None  # SeqPool has one
        scores = r @ weights.pool_kernel + np.float32(weights.pool_bias)
        exponentials = np.exp(scores - scores.max())
        pooling = exponentials / exponentials.sum()
    if pooling is not None:
        pooled = pooling @ r
    else:
        pooled = r[0] if trace.has_class_token else r.max(axis=0)
    logits = pooled @ weights.head + weights.bias
    return dataclasses.replace(trace, representation=r, pool_scores=scores, pooling_weights=pooling, logits=logits)


def logit_lens(trace: Trace, *, target: int) -> Heatmaps:
    """Logit lens: what each token would add to the class score if the encoder ended here, after each block in turn.

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


def direct_logit_attribution(trace: Trace, *, target: int) -> Heatmaps:
    """Direct logit attribution: what each part of the model wrote at each token; with constants it sums to the score.

    (P, gh, gw) in logits against the mean class: tokenizer, position, then attention and MLP of each block, with the
    final norm's statistics held. The official block overwrites the stream by its norm1, so there the split starts
    after the last one. Source: Elhage et al. 2021, https://transformer-circuits.pub/2021/framework, and Gandelsman et
    al. 2024, https://arxiv.org/abs/2310.05916. It cannot say what a part would have written had another been absent.

    Raises:
        NotApplicable: the model has a class token, which alone is read.
    """
    if trace.has_class_token:
        raise NotApplicable(
            "this model reads its answer with a class token: no image token's stream is read, so there are no maps"
        )
    names, parts = _parts(trace)
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


def _parts(trace: Trace) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and what each part wrote to the stream that the final norm reads, (P, M, D) float64 summing to it."""
    stream = trace.stream.astype(np.float64)
    if trace.block == "official":
        mlp = trace.mlp_outputs[-1].astype(np.float64)
        layer = len(trace.mlp_outputs)
        return (f"all before the MLP of layer {layer}", f"MLP {layer}"), np.stack([stream[-1] - mlp, mlp])
    names, parts = ["tokenizer"], [stream[0]]
    position = trace.readout_weights.position
    if position is not None:
        names.append("position")
        parts = [stream[0] - position, position.astype(np.float64)]
    for layer, (attended, mlp) in enumerate(zip(trace.attention_outputs, trace.mlp_outputs, strict=True), 1):
        names += [f"attention {layer}", f"MLP {layer}"]
        parts += [attended.astype(np.float64), mlp.astype(np.float64)]
    return tuple(names), np.stack(parts)


def _reading_weights(trace: Trace) -> np.ndarray:
    """(M, D) float64: the factors with which a centred part is read into the pooled vector.

    r = gamma (x - mean x) / sigma + beta is linear in x once sigma is held, and the pool takes a share of each r_td.
    """
    weights = trace.readout_weights
    if trace.pool == "max":
        taken = (trace.winners == np.arange(len(trace.representation))[:, None]).astype(np.float64)  # (M, D)
    else:
        taken = trace.readout.astype(np.float64)[:, None]
    variance = trace.stream[-1].astype(np.float64).var(axis=-1, keepdims=True)
    return taken * weights.gamma / np.sqrt(variance + weights.epsilon)


def _constant(trace: Trace) -> np.ndarray:
    """(K,) float64: b_c + W_c . beta, the part of the scores that no image changes."""
    weights = trace.readout_weights
    return weights.bias + weights.beta.astype(np.float64) @ weights.head


def _layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + np.asarray(epsilon, x.dtype)) + beta


def _depth_names(trace: Trace) -> tuple[str, ...]:
    return ("after the tokenizer", *(f"after block {i + 1}" for i in range(len(trace.stream) - 1)))
