"""Parameters and multiply-accumulates of a compact transformer, counted from its configuration alone."""

from __future__ import annotations

import math

from .config import CCTConfig
from .pools import find_pool
from .weights import expected_shapes


def count_parameters(config: CCTConfig) -> int:
    """Number of stored parameters, including a sinusoidal positional embedding."""
    return sum(math.prod(shape) for shape in expected_shapes(config).values())


def count_macs(config: CCTConfig) -> int:
    """Multiply-accumulates of one forward pass over one image.

    Counts every convolution, dense layer and matrix product, including those of attention and of the pool. Biases,
    norms, activations, max pools and softmaxes are not counted. With M tokens of width D, an encoder block costs
    M D (4 E' + 2 F) + 2 M^2 E', where E' is the width of all heads together and F the MLP's width.
    """
    macs, channels = 0, config.channels
    size = config.image_size
    for stage, after in zip(config.tokenizer, config.stage_shapes, strict=True):
        convolved = [stage.convolved_length(length) for length in size]
        macs += math.prod(convolved) * stage.kernel_size**2 * channels * stage.channels
        channels, size = stage.channels, after
    m, dim, inner = config.sequence_length, config.embedding_dim, config.num_heads * config.key_dim
    macs += config.num_layers * (m * dim * (4 * inner + 2 * config.mlp_dim) + 2 * m * m * inner)
    macs += find_pool(config.pool).macs(config.num_tokens, dim)
    return macs + dim * config.num_classes


def describe_count(count: int) -> str:
    """A number of parameters for people: "0.41 M", "12.3 k"."""
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count / 1e3:.1f} k"
