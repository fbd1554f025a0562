"""Small compact transformers written with Keras 3 in the ways people do, to be saved and read back."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="tests")
class Tokenizer(layers.Layer):
    """Convolution, zero padding and max pool a stage, kept in a Sequential; then one token a cell."""

    def __init__(
        self, channels=(8, 12), kernel_size=3, stride=1, padding=1, pooling_kernel_size=3, pooling_stride=2, **kw
    ):
        super().__init__(**kw)
        self.conv_model = keras.Sequential()
        for width in channels:
            conv = layers.Conv2D(width, kernel_size, stride, "valid", use_bias=False, activation="relu")
            self.conv_model.add(conv)
            self.conv_model.add(layers.ZeroPadding2D(padding))
            self.conv_model.add(layers.MaxPooling2D(pooling_kernel_size, pooling_stride, "same"))

    def call(self, images):
        cells = self.conv_model(images)
        return ops.reshape(cells, (-1, cells.shape[1] * cells.shape[2], cells.shape[3]))


@keras.saving.register_keras_serializable(package="tests")
class Position(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(shape[1], shape[2]), initializer="normal", name="table")

    def call(self, tokens):
        return tokens + self.table


@keras.saving.register_keras_serializable(package="tests")
class Pooling(layers.Layer):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.attention = layers.Dense(1)

    def call(self, tokens):
        weights = ops.softmax(self.attention(tokens), axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), tokens), axis=-2)


@keras.saving.register_keras_serializable(package="tests")
class StochasticDepth(layers.Layer):
    """Drops a whole branch while training."""

    def __init__(self, rate=0.1, **kw):
        super().__init__(**kw)
        self.rate = rate
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        if training:
            keep = ops.floor(1 - self.rate + keras.random.uniform((ops.shape(x)[0], 1, 1), seed=self.seed))
            return x / (1 - self.rate) * keep
        return x


@keras.saving.register_keras_serializable(package="tests")
class Block(layers.Layer):
    """An encoder block with attributes, in an order of their own."""

    def __init__(self, heads=2, key_dim=5, width=12, mlp_dim=9, activation="gelu", **kw):
        super().__init__(**kw)
        self.ffn = keras.Sequential(
            [layers.Dense(mlp_dim, activation=activation), layers.Dense(width, activation=activation)]
        )
        self.norm_of_attention = layers.LayerNormalization(epsilon=1e-5)
        self.attn = layers.MultiHeadAttention(heads, key_dim)
        self.mlp_norm = layers.LayerNormalization(epsilon=1e-5)

    def call(self, x):
        y = self.norm_of_attention(x)
        x = x + self.attn(y, y)
        return x + self.ffn(self.mlp_norm(x))


def mlp(x, units, activation):
    for count in units:
        x = layers.Dropout(0.1)(layers.Dense(count, activation=activation)(x))
    return x


def example(
    *,
    image_size=(16, 16),
    channels=(8, 12),
    num_layers=2,
    heads=2,
    key_dim=5,
    mlp_dim=9,
    classes=4,
    activation=ops.gelu,
    position=True,
    rescale=True,
    crop=True,
    epsilon=1e-5,
    head="linear",
    **tokenizer,
):
    """The example as it stands today: functional, with layers of its own for tokens, position, pooling and depth."""
    inputs = keras.Input((*image_size, 3))
    augmentation = [layers.Rescaling(1 / 255)] if rescale else []
    augmentation += [layers.RandomCrop(*image_size)] if crop else []
    x = keras.Sequential([*augmentation, layers.RandomFlip("horizontal")], name="data_augmentation")(inputs)
    x = Tokenizer(channels, **tokenizer)(x)
    if position:
        x = Position()(x)
    for i in range(num_layers):
        y = layers.LayerNormalization(epsilon=epsilon)(x)
        y = layers.MultiHeadAttention(heads, key_dim, dropout=0.1)(y, y)
        x = layers.Add()([StochasticDepth(0.1 * i)(y), x])
        y = layers.LayerNormalization(epsilon=epsilon)(x)
        y = mlp(y, (mlp_dim, channels[-1]), activation)
        x = layers.Add()([StochasticDepth(0.1 * i)(y), x])
    x = layers.LayerNormalization(epsilon=epsilon)(x)
    return randomise(keras.Model(inputs, layers.Dense(classes, activation=head, name="answer")(Pooling()(x))))


def plain(*, grey=False, pool="mean", mlp_activation="gelu", normalise=True, official=False, classes=4, last=None):
    """Layers of Keras alone, with names of their own; the mean of the tokens, and colours normalised in the model."""
    inputs = keras.Input((18, 14, 1 if grey else 3))
    x = layers.Rescaling(1 / 255)(inputs)
    if normalise:
        count = 1 if grey else 3
        x = layers.Normalization(mean=[0.4, 0.5, 0.6][:count], variance=[0.04, 0.05, 0.06][:count])(x)
    x = layers.RandomRotation(0.1)(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(x)
    x = layers.MaxPooling2D(2, name="halve")(x)
    x = layers.ReLU()(layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False, name="tokens")(x))
    x = layers.Reshape((-1, 8))(x)
    for i in range(2):
        y = layers.LayerNormalization(name=f"ln_a{i}")(x)
        x = layers.Add(name=f"res_a{i}")([x, layers.MultiHeadAttention(4, 2, use_bias=False, name=f"msa{i}")(y, y)])
        y = layers.LayerNormalization(name=f"ln_b{i}")(x)
        x = y if official else x
        y = layers.Activation(mlp_activation)(layers.Dense(8, name=f"fc_a{i}")(y))
        x = layers.Add(name=f"res_b{i}")([x, layers.Dense(8, name=f"fc_b{i}")(y)])
    x = layers.LayerNormalization(name="final_norm")(x)
    x = layers.GlobalAveragePooling1D()(x) if pool == "mean" else layers.GlobalMaxPooling1D()(x)
    return randomise(keras.Model(inputs, layers.Dense(classes, activation=last, name="predictions")(x)))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A subclassed model with a list of blocks and the position as a weight of its own."""

    def __init__(self, depth=3, classes=4, **kw):
        super().__init__(**kw)
        self.head = layers.Dense(classes)
        self.tokenizer = Tokenizer((8, 12))
        self.blocks = [Block() for _ in range(depth)]
        self.final = layers.LayerNormalization(epsilon=1e-5)
        self.pool = Pooling()
        self.scale = layers.Rescaling(1 / 255)

    def build(self, shape):
        self.positions = self.add_weight(shape=(1, (shape[1] // 4) * (shape[2] // 4), 12), name="positions")
        super().build(shape)

    def call(self, images):
        x = self.tokenizer(self.scale(images)) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(self.final(x)))


def subclassed(depth=3, size=16):
    model = Subclassed(depth)
    model(np.zeros((1, size, size, 3), "float32"))
    return randomise(model)


def with_layers_of_blocks(depth=11):
    """A functional model whose blocks are layers: more of them than one digit counts."""
    inputs = keras.Input((16, 16, 3))
    x = Position()(Tokenizer((12,))(layers.Rescaling(1 / 127.5, -1)(inputs)))
    for _ in range(depth):
        x = Block()(x)
    x = Pooling()(layers.LayerNormalization(epsilon=1e-5)(x))
    return randomise(keras.Model(inputs, keras.Sequential([layers.Dropout(0.2), layers.Dense(3)])(x)))


def randomise(model, seed=0):
    """Weights large enough that each of them changes the logits."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        noise = rng.normal(size=variable.shape).astype("float32")
        is_gain = "gamma" in variable.path
        variable.assign(1 + 0.3 * noise if is_gain else 0.4 * noise / np.sqrt(max(1, variable.shape[0] / 8)))
    return model


def answer(model, pixels):
    """(B, K), what the model itself says of uint8 pixels."""
    return np.asarray(model(pixels.astype("float32"), training=False))


class NamedTokenizer(layers.Layer):
    """A tokenizer whose layers are attributes with names of their own."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.first, self.second = (layers.Conv2D(n, 3, use_bias=False, activation="relu") for n in (8, 12))
        self.pad_a, self.pad_b = layers.ZeroPadding2D(1), layers.ZeroPadding2D(1)
        self.shrink_a, self.shrink_b = (layers.MaxPooling2D(3, 2, "same") for _ in range(2))

    def call(self, images):
        x = self.shrink_a(self.pad_a(self.first(images)))
        x = self.shrink_b(self.pad_b(self.second(x)))
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def with_named_tokenizer():
    inputs = keras.Input((16, 16, 3))
    x = Position()(NamedTokenizer()(layers.Rescaling(1 / 255)(inputs)))
    x = Pooling()(layers.LayerNormalization(epsilon=1e-5)(Block()(x)))
    return randomise(keras.Model(inputs, layers.Dense(3)(x)))
