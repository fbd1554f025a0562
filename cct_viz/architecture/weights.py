"""The names and shapes of a model's weights, from its configuration alone.

Names are the paths of the Keras model's weights without the model's own name, for example
"block_0/attention/query/kernel".
"""

from __future__ import annotations

from .config import CCTConfig
from .pools import find_pool


def expected_shapes(config: CCTConfig) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of every weight of the model of `config`, in the model's order.

    Raises:
        ValueError: the config's pool does not exist.
    """
    dim, inner = config.embedding_dim, config.num_heads * config.key_dim
    shapes: dict[str, tuple[int, ...]] = {}

    def add_dense(name: str, inputs: int, outputs: int, *, use_bias: bool = True) -> None:
        shapes[f"{name}/kernel"] = (inputs, outputs)
        if use_bias:
            shapes[f"{name}/bias"] = (outputs,)

    def add_norm(name: str) -> None:
        shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (dim,)

    channels = config.channels
    for i, stage in enumerate(config.tokenizer):
        shapes[f"tokenizer/conv_{i}/kernel"] = (stage.kernel_size, stage.kernel_size, channels, stage.channels)
        if stage.use_bias:
            shapes[f"tokenizer/conv_{i}/bias"] = (stage.channels,)
        channels = stage.channels
    if config.has_class_token:
        shapes["sequence/class_token"] = (1, dim)
    if config.position != "none":
        shapes["sequence/position"] = (config.sequence_length, dim)
    for i in range(config.num_layers):
        add_norm(f"block_{i}/norm_1")
        for name in ("query", "key", "value"):
            add_dense(f"block_{i}/attention/{name}", dim, inner, use_bias=config.qkv_bias)
        add_dense(f"block_{i}/attention/projection", inner, dim)
        add_norm(f"block_{i}/norm_2")
        add_dense(f"block_{i}/mlp_1", dim, config.mlp_dim)
        add_dense(f"block_{i}/mlp_2", config.mlp_dim, dim)
    add_norm("norm")
    shapes |= {f"pool/{name}": shape for name, shape in find_pool(config.pool).shapes(dim).items()}
    add_dense("head", dim, config.num_classes)
    return shapes
