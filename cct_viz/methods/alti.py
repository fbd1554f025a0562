"""ALTI: how much of each token comes from each other token in one layer, by vectors instead of attention alone.

y_i = sum_j T_ij is a token after attention: T_ij is what the heads move from j to i, plus the residual connection for
j = i. Where the block norms its stream, each T_ij goes through that norm with its deviation frozen. A token counts by
how close its vector comes to the whole: c_ij = max(0, |y_i|_1 - |y_i - T_ij|_1), rows scaled to sum to 1. The biases of
the projection and of the norm belong to no token and are left out.

Reference: Ferrando et al. 2022, Measuring the Mixing of Contextual Information in the Transformer,
https://arxiv.org/abs/2203.04212. It is written for blocks with a norm after attention, as the official block here;
leaving that norm out for a block with norms before its parts is ours.
"""

from __future__ import annotations

import numpy as np

from ..architecture.blocks import find_block
from ..inference.trace import Trace
from .attention import normalise_rows
from .frozen import deviation, layer_norm, require_weights_of_model

ROWS = 32  # queries at a time: the vectors of all pairs of 256 tokens would take 64 MB


def alti_matrices(trace: Trace) -> np.ndarray:
    """(L, M, M) float64: the mixing of each layer, rows summing to 1.

    Raises:
        NotApplicable: the trace does not come with the weights of its model.
    """
    config, _ = require_weights_of_model(trace)
    return np.stack([_mixing(trace, layer) for layer in range(config.num_layers)])


def _mixing(trace: Trace, layer: int) -> np.ndarray:
    config, weights = require_weights_of_model(trace)
    name, x = f"block_{layer}", trace.stream[layer]
    (m, dim), heads = x.shape, config.num_heads
    values = layer_norm(x, weights, f"{name}/norm_1", config.layer_norm_epsilon)
    values = values @ weights[f"{name}/attention/value/kernel"] + weights.get(f"{name}/attention/value/bias", 0)
    kernel = weights[f"{name}/attention/projection/kernel"].reshape(heads, -1, dim)
    moved = values.reshape(m, heads, -1).transpose(1, 0, 2) @ kernel  # (A, M, D): what each token offers to others
    normed = find_block(config.block).overwrites_stream
    middle = x + trace.attention_outputs[layer]
    scale = weights[f"{name}/norm_2/gamma"] / deviation(middle, config.layer_norm_epsilon)  # (M, D)
    rows = []
    for start in range(0, m, ROWS):
        queries = slice(start, start + ROWS)
        parts = np.einsum("arm,amd->rmd", trace.attentions[layer][:, queries], moved)  # (R, M, D)
        parts[np.arange(len(parts)), np.arange(m)[queries]] += x[queries]
        if normed:
            parts = (parts - parts.mean(axis=-1, keepdims=True)) * scale[queries, None]
        whole = parts.sum(axis=1, keepdims=True)
        near = np.abs(whole).sum(axis=-1) - np.abs(whole - parts).sum(axis=-1)  # (R, M)
        rows.append(np.maximum(near, 0))
    return normalise_rows(np.concatenate(rows).astype(np.float64))
