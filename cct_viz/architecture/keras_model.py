"""The compact transformers, in the order of the paper: tokenizer, encoder, sequence pooling, classifier.

One definition for all variants; `CCTConfig` selects which. Layers always return their intermediate results as named
tuples. `CCT.intermediates` returns those of the whole model, `CCT.call` only the logits.

Axis letters: B images, H W C pixels and channels of the input, h w c cells and channels of a conv stage, N image
tokens, M tokens in the encoder (N, or N + 1 with a class token first), D embedding width, A heads, E key width,
L layers, K classes.

Reference: Hassani et al. 2021, Escaping the Big Data Paradigm with Compact Transformers, https://arxiv.org/abs/2104.05704
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from .activations import find_activation
from .blocks import find_block
from .config import MASKED, CCTConfig
from .lookup import look_up
from .position import sinusoidal_position
from .presets import configure

_registered = keras.saving.register_keras_serializable(package="cct_viz")


class TokenizerOutput(NamedTuple):
    tokens: Any  # (B, N, D)
    feature_maps: tuple[Any, ...]  # one (B, h, w, c) a stage, after its pool


class AttentionOutput(NamedTuple):
    output: Any  # (B, M, D)
    attentions: Any  # (B, A, M, M): rows are queries and sum to 1


class BlockOutput(NamedTuple):
    stream: Any  # (B, M, D): the residual stream after the block
    attention_output: Any  # (B, M, D): added by attention
    mlp_output: Any  # (B, M, D): added by the MLP
    attentions: Any  # (B, A, M, M)


class PoolOutput(NamedTuple):
    pooled: Any  # (B, D)
    seen: dict[str, Any]  # pool_scores (B, N) and pooling_weights (B, N), summing to 1, where the pool has them


class ConvTokenizer(layers.Layer):
    """Convolution, ReLU and max pool per stage; the last feature map, flattened row by row, gives the tokens."""

    def __init__(self, config: CCTConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stages = config.tokenizer
        self.num_tokens, self.dim = config.num_tokens, config.embedding_dim
        self.convs, self.pads, self.pools = [], [], []
        for i, stage in enumerate(self.stages):
            pad = (stage.padding, stage.pool_zero_padding if stage.pool_size else 0)
            self.pads.append([layers.ZeroPadding2D(p, name=f"pad_{i}_{j}") if p else None for j, p in enumerate(pad)])
            conv = layers.Conv2D(
                stage.channels,
                stage.kernel_size,
                stage.stride,
                stage.conv_padding,
                use_bias=stage.use_bias,
                kernel_initializer="he_normal",
                name=f"conv_{i}",
            )
            self.convs.append(conv)
            pool = layers.MaxPooling2D(stage.pool_size or 1, stage.pool_stride, stage.pool_padding, name=f"pool_{i}")
            self.pools.append(pool if stage.pool_size else None)

    def build(self, input_shape: Any) -> None:
        *batch_and_size, channels = input_shape
        for stage, conv in zip(self.stages, self.convs, strict=True):
            conv.build((*batch_and_size, channels))  # a kernel depends on the channels only
            channels = stage.channels

    def call(self, images: Any) -> TokenizerOutput:
        x, feature_maps = images, []  # (B, H, W, C)
        for stage, conv, (pad, pool_pad), pool in zip(self.stages, self.convs, self.pads, self.pools, strict=True):
            x = conv(pad(x) if pad else x)
            x = ops.relu(x) if stage.relu else x
            x = pool_pad(x) if pool_pad else x
            x = pool(x) if pool else x  # (B, h, w, c)
            feature_maps.append(x)
        tokens = ops.reshape(x, (-1, self.num_tokens, self.dim))  # (B, N, D)
        return TokenizerOutput(tokens, tuple(feature_maps))


@_registered
class TokenSequence(layers.Layer):
    """Prepends the class token, if there is one, and adds the positional embedding."""

    def __init__(self, config: CCTConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TokenSequence:
        return cls(**{**config, "config": CCTConfig.from_dict(config["config"])})

    def build(self, _: Any) -> None:
        length, dim = self.config.sequence_length, self.config.embedding_dim
        if self.config.has_class_token:
            self.class_token = self.add_weight(shape=(1, dim), initializer="zeros", name="class_token")
        if self.config.position == "learnable":
            normal = keras.initializers.TruncatedNormal(stddev=0.2)
            self.position = self.add_weight(shape=(length, dim), initializer=normal, name="position")
        elif self.config.position == "sinusoidal":
            # A weight, not a constant: exporters turn a constant created here into a hidden required input.
            self.position = self.add_weight(
                shape=(length, dim),
                initializer=lambda shape, dtype=None: ops.cast(sinusoidal_position(*shape), dtype),
                trainable=False,
                name="position",
            )

    def call(self, tokens: Any) -> Any:
        if self.config.has_class_token:
            class_token = ops.zeros_like(tokens[:, :1]) + ops.cast(self.class_token, tokens.dtype)
            tokens = ops.concatenate([class_token, tokens], axis=1)  # (B, M, D)
        if self.config.position != "none":
            tokens = tokens + ops.cast(self.position, tokens.dtype)
        return tokens


class SelfAttention(layers.Layer):
    """Multi-head self-attention. Written out because the official form has a bias on the output projection only."""

    def __init__(self, config: CCTConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.key_dim, self.length = config.num_heads, config.key_dim, config.sequence_length
        inner = self.heads * self.key_dim
        self.query = layers.Dense(inner, use_bias=config.qkv_bias, name="query")
        self.key = layers.Dense(inner, use_bias=config.qkv_bias, name="key")
        self.value = layers.Dense(inner, use_bias=config.qkv_bias, name="value")
        self.projection = layers.Dense(config.embedding_dim, name="projection")
        self.dropout = layers.Dropout(config.attention_dropout, name="dropout")

    def build(self, input_shape: Any) -> None:
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.projection.build((*input_shape[:-1], self.heads * self.key_dim))

    def split_heads(self, x: Any) -> Any:
        x = ops.reshape(x, (-1, self.length, self.heads, self.key_dim))
        return ops.transpose(x, (0, 2, 1, 3))  # (B, A, M, E)

    def call(self, x: Any, key_mask: Any = None) -> AttentionOutput:
        query = self.split_heads(self.query(x)) * (1.0 / math.sqrt(self.key_dim))
        key, value = self.split_heads(self.key(x)), self.split_heads(self.value(x))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))  # (B, A, M, M)
        if key_mask is not None:
            scores = scores + (1.0 - key_mask[:, None, None, :]) * MASKED
        attentions = ops.softmax(scores, axis=-1)
        heads = ops.matmul(self.dropout(attentions), value)  # (B, A, M, E)
        joined = ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (-1, self.length, self.heads * self.key_dim))
        return AttentionOutput(self.projection(joined), attentions)


@_registered
class EncoderBlock(layers.Layer):
    """Attention and MLP on the residual stream, with the order of norms that the config selects."""

    def __init__(self, config: CCTConfig, drop_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config, self.drop_rate = config, drop_rate
        self.block, self.activation = find_block(config.block), find_activation(config.activation)
        self.norm_1 = layers.LayerNormalization(epsilon=config.layer_norm_epsilon, name="norm_1")
        self.attention = SelfAttention(config, name="attention")
        self.norm_2 = layers.LayerNormalization(epsilon=config.layer_norm_epsilon, name="norm_2")
        self.mlp_1 = layers.Dense(config.mlp_dim, name="mlp_1")
        self.mlp_2 = layers.Dense(config.embedding_dim, name="mlp_2")
        self.dropout_1 = layers.Dropout(config.dropout, name="dropout_1")
        self.dropout_2 = layers.Dropout(config.dropout, name="dropout_2")
        self.projection_dropout = layers.Dropout(config.dropout, name="projection_dropout")
        # Stochastic depth (Huang et al. 2016) is dropout of the whole branch: one draw per sample, scaled by 1 / keep.
        self.drop_attention = layers.Dropout(drop_rate, noise_shape=(None, 1, 1), name="drop_attention")
        self.drop_mlp = layers.Dropout(drop_rate, noise_shape=(None, 1, 1), name="drop_mlp")

    def build(self, input_shape: Any) -> None:
        for layer in (self.norm_1, self.attention, self.norm_2, self.mlp_1):
            layer.build(input_shape)
        self.mlp_2.build((*input_shape[:-1], self.config.mlp_dim))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.to_dict(), "drop_rate": self.drop_rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EncoderBlock:
        return cls(**{**config, "config": CCTConfig.from_dict(config["config"])})

    def mlp(self, x: Any) -> Any:
        x = self.dropout_1(self.activation(self.mlp_1(x), ops))
        x = self.mlp_2(x)
        return self.dropout_2(self.activation(x, ops) if self.config.mlp_output_activation else x)

    def call(self, x: Any, key_mask: Any = None) -> BlockOutput:
        attended, attentions = self.attention(self.norm_1(x), key_mask)
        attended = self.drop_attention(self.projection_dropout(attended))
        x, added = self.block.add_mlp(x + attended, self.norm_2, lambda x: self.drop_mlp(self.mlp(x)))
        return BlockOutput(x, attended, added, attentions)


@_registered
class SequencePooling(layers.Layer):
    """SeqPool: one score per token, softmax over the tokens, weighted mean of the tokens."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score = layers.Dense(1, name="score")

    def build(self, input_shape: Any) -> None:
        self.score.build(input_shape)

    def call(self, representation: Any, token_mask: Any = None) -> PoolOutput:
        token_mask = _all_tokens(representation) if token_mask is None else token_mask
        scores = ops.squeeze(self.score(representation), axis=-1)  # (B, N)
        weights = ops.softmax(scores + (1.0 - token_mask) * MASKED, axis=-1) * token_mask
        pooled = ops.squeeze(ops.matmul(weights[:, None, :], representation), axis=1)  # (B, D)
        return PoolOutput(pooled, {"pool_scores": scores, "pooling_weights": weights})


@_registered
class MeanPooling(layers.Layer):
    """The mean of the tokens."""

    def call(self, representation: Any, token_mask: Any = None) -> PoolOutput:
        token_mask = _all_tokens(representation) if token_mask is None else token_mask
        weights = token_mask / ops.maximum(ops.sum(token_mask, axis=-1, keepdims=True), 1.0)
        pooled = ops.squeeze(ops.matmul(weights[:, None, :], representation), axis=1)
        return PoolOutput(pooled, {"pooling_weights": weights})


@_registered
class MaxPooling(layers.Layer):
    """The largest value of each channel over the tokens."""

    def call(self, representation: Any, token_mask: Any = None) -> PoolOutput:
        token_mask = _all_tokens(representation) if token_mask is None else token_mask
        visible = representation + (1.0 - token_mask[:, :, None]) * MASKED
        count = ops.sum(token_mask, axis=-1, keepdims=True)
        return PoolOutput(ops.where(count > 0, ops.max(visible, axis=1), 0.0), {})


@_registered
class ClassTokenPooling(layers.Layer):
    """Reads the class token; it has attended to all the other tokens."""

    def call(self, representation: Any, token_mask: Any = None) -> PoolOutput:
        return PoolOutput(representation[:, 0], {})


def _all_tokens(representation: Any) -> Any:
    """A token mask (B, N) of ones, for a pool without a class token."""
    return ops.ones_like(representation[..., 0])


# Entry of POOLS -> its layer, which maps (B, M, D) and a token mask (B, N) to a PoolOutput. Its weights are "pool/...".
POOLING_LAYERS: dict[str, type[layers.Layer]] = {
    "seqpool": SequencePooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "class_token": ClassTokenPooling,
}


@_registered
class CCT(keras.Model):
    """A compact transformer: (B, H, W, C) float images, normalised as the config says, to (B, K) logits.

    `token_mask` (B, N), ones by default: a token with 0 is neither attended to nor pooled, as if it did not exist. If
    every token is masked, the pooled vector is 0 and the logits are the head's bias.
    """

    built: bool  # Keras's own

    def __init__(self, config: CCTConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.tokenizer = ConvTokenizer(config, name="tokenizer")
        self.sequence = TokenSequence(config, name="sequence")
        rates = np.linspace(0.0, config.stochastic_depth, config.num_layers).tolist()
        self.blocks = [EncoderBlock(config, rate, name=f"block_{i}") for i, rate in enumerate(rates)]
        self.norm = layers.LayerNormalization(epsilon=config.layer_norm_epsilon, name="norm")
        self.pooling = look_up(POOLING_LAYERS, "pool", config.pool)(name="pool")
        self.head = layers.Dense(config.num_classes, name="head")

    def build(self, _: Any = None) -> None:
        """Create every weight. No layer is called, so that each has one output, that of `make_functional`."""
        if not self.built:
            tokens = (None, self.config.sequence_length, self.config.embedding_dim)
            self.tokenizer.build((None, *self.config.input_shape))
            for layer in (self.sequence, *self.blocks, self.norm, self.pooling):
                layer.build(tokens)
            self.head.build((None, self.config.embedding_dim))
            self.built = True

    def intermediates(self, images: Any, token_mask: Any = None, training: bool | None = None) -> dict[str, Any]:
        """Everything one pass reveals, named as in `Trace`, each with the batch axis first.

        Returns:
            feature_map_0.. (B, h, w, c), stream_0.. (B, M, D), attention_output_0.., mlp_output_0.. (B, M, D),
            attentions_0.. (B, A, M, M), representation (B, M, D), logits (B, K), and where the pool has them
            pool_scores (B, N) and pooling_weights (B, N). float32 unless a mixed dtype policy says otherwise.
        """
        if token_mask is None:
            one = ops.ones_like(ops.reshape(images[:, :1, :1, :1], (-1, 1)))  # (B, 1), whatever B is
            token_mask = one * ops.ones((1, self.num_tokens), dtype=one.dtype)
        token_mask = ops.cast(token_mask, self.compute_dtype)
        key_mask = token_mask
        if self.config.has_class_token:
            key_mask = ops.concatenate([ops.ones_like(token_mask[:, :1]), token_mask], axis=1)  # (B, M)
        tokens, feature_maps = self.tokenizer(images)
        seen = {f"feature_map_{i}": feature_map for i, feature_map in enumerate(feature_maps)}
        x = seen["stream_0"] = self.sequence(tokens)
        for i, block in enumerate(self.blocks):
            x, seen[f"attention_output_{i}"], seen[f"mlp_output_{i}"], seen[f"attentions_{i}"] = block(
                x, key_mask, training=training
            )
            seen[f"stream_{i + 1}"] = x
        seen["representation"] = self.norm(x)
        pooled, pool_seen = self.pooling(seen["representation"], token_mask)
        seen |= pool_seen
        seen["logits"] = ops.cast(self.head(pooled), "float32")
        return seen

    @property
    def num_tokens(self) -> int:
        return self.config.num_tokens

    def call(self, images: Any, token_mask: Any = None, training: bool | None = None) -> Any:
        return self.intermediates(images, token_mask, training)["logits"]

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> CCT:
        return cls(CCTConfig.from_dict(config["config"]), name=config["name"])


def make_functional(network: CCT) -> keras.Model:
    """The functional Keras model of a built CCT: images (B, H, W, C) to logits (B, K). It shares all weights.

    Every layer is there by name, with inputs and outputs: "conv_0", "relu_0", "pool_0", ... (B, h, w, c), "tokens" and
    "sequence" (B, M, D), "block_0", ... (a list as in `BlockOutput`), "norm", "pool" (a list that starts with the
    pooled vector) and "head". So tools that take a Keras model apart, such as Grad-CAM on a conv stage, work on it.
    """
    config = network.config
    x = images = keras.Input(config.input_shape, name="images")
    tokenizer = network.tokenizer
    parts = zip(tokenizer.stages, tokenizer.convs, tokenizer.pads, tokenizer.pools, strict=True)
    for i, (stage, conv, (pad, pool_pad), pool) in enumerate(parts):
        relu = layers.ReLU(name=f"relu_{i}") if stage.relu else None
        for layer in filter(None, (pad, conv, relu, pool_pad, pool)):
            x = layer(x)
    x = network.sequence(layers.Reshape((config.num_tokens, config.embedding_dim), name="tokens")(x))
    for block in network.blocks:
        x = block(x).stream
    logits = network.head(network.pooling(network.norm(x)).pooled)
    return keras.Model(images, logits, name=network.name)


def build_model(config: CCTConfig) -> CCT:
    """The untrained Keras model of `config`, with all its weights created."""
    model = CCT(config, name="cct")
    model.build()
    return model


def build(name: str, *, num_classes: int | None = None, image_size: int | tuple[int, int] | None = None) -> CCT:
    """The untrained Keras model of a preset, or of a config.json given by its path.

    Args:
        num_classes: number of classes, if it differs from the preset's; they are then named "class 0" and so on.
        image_size: side in pixels, or (height, width), if it differs from the preset's.

    Raises:
        ConfigError: no such preset or file, or a size that leaves no token.
    """
    return build_model(configure(name, num_classes=num_classes, image_size=image_size))


def named_weights(model: CCT) -> dict[str, keras.Variable]:
    """Canonical name -> variable, e.g. "block_0/attention/query/kernel", for every stored weight of the model."""
    return {v.path.split("/", 1)[1]: v for v in model.weights if not v.path.endswith("seed_generator_state")}
