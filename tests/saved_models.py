"""Makes tf-keras SavedModels like those of the keras.io example, in any size. Needs `tf_keras`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tf_keras import layers
from tf_keras.export import ExportArchive


class Tokenizer(layers.Layer):
    """Conv stages, then one token per cell. `stages` are (channels, kernel size, conv padding)."""

    def __init__(self, stages, *, conv_bias=False, activation="relu", pool=True, **kwargs):
        super().__init__(**kwargs)
        self.convs = tf_keras.Sequential()
        for channels, kernel_size, padding in stages:
            self.convs.add(
                layers.Conv2D(channels, kernel_size, padding=padding, use_bias=conv_bias, activation=activation)
            )
            if pool:
                self.convs.add(layers.ZeroPadding2D(1))
                self.convs.add(layers.MaxPool2D(3, 2, "same"))

    def call(self, images):
        cells = self.convs(images)
        shape = tf.shape(cells)
        return tf.reshape(cells, (-1, shape[1] * shape[2], shape[3]))


class Position(layers.Layer):
    """A positional embedding as a variable, added in different ways."""

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind

    def build(self, shape):
        self.table = self.add_weight("table", shape[1:])

    def call(self, tokens):
        if self.kind == "lookup":
            return tokens + tf.nn.embedding_lookup(self.table, tf.range(0, tokens.shape[1], 1))
        if self.kind == "broadcast":
            table = tf.slice(self.table, [0, 0], [tokens.shape[1], -1])
            return tokens + tf.broadcast_to(table, tf.shape(tokens))
        if self.kind == "computed":
            return tokens + tf.sin(self.table)
        if self.kind == "twice":
            return tokens + self.table + self.table
        return tokens + self.table


class SequencePooling(layers.Layer):
    """The pooling layer of later versions of the example."""

    def __init__(self, axis=1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.score = layers.Dense(1)

    def call(self, tokens):
        weights = tf.transpose(tf.nn.softmax(self.score(tokens), axis=self.axis), (0, 2, 1))
        return tf.squeeze(tf.matmul(weights, tokens), axis=-2)


class CentreCrop(layers.Layer):
    """RandomCrop outside training before Keras 2.8: resize the shorter side, then crop the centre."""

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, images):
        shape = tf.shape(images)
        tall = shape[1] / shape[2] > self.height / self.width
        height = tf.cond(tall, lambda: tf.cast(self.width * shape[1] / shape[2], tf.int32), lambda: self.height)
        width = tf.cond(tall, lambda: self.width, lambda: tf.cast(self.height * shape[2] / shape[1], tf.int32))
        resized = tf.image.resize(images, tf.stack([height, width]))
        top, left = (tf.cast((n - m) / 2, tf.int32) for n, m in ((height, self.height), (width, self.width)))
        return tf.slice(resized, tf.stack([0, top, left, 0]), tf.stack([-1, self.height, self.width, -1]))


def make_model(
    *,
    image_size=(16, 16),
    crop="random",
    crop_size=None,
    scale=1 / 255,
    offset=0.0,
    stages=((8, 3, "valid"), (12, 3, "valid")),
    conv_bias=False,
    conv_activation="relu",
    conv_pool=True,
    num_layers=2,
    num_heads=2,
    key_dim=5,
    mlp_dim=9,
    mlp_activation=tf.nn.gelu,
    output_activation=tf.nn.gelu,
    attention_bias=True,
    epsilon=1e-5,
    last_epsilon=None,
    last_heads=None,
    position="constant",
    pool="loose",
    classes=10,
    head_activation=None,
    seed=0,
):
    """A small CCT as in the keras.io example, with random weights that are large enough to matter."""
    tf_keras.backend.clear_session()  # so that layers have the same names whatever ran before in this process
    inputs = layers.Input((*image_size, 3))
    augmentation = [layers.Rescaling(scale, offset)] if scale else []
    if crop:
        augmentation.append({"random": layers.RandomCrop, "old": CentreCrop}[crop](*(crop_size or image_size)))
    augmentation.append(layers.RandomFlip("horizontal"))
    images = tf_keras.Sequential(augmentation)(inputs)
    tokens = Tokenizer(stages, conv_bias=conv_bias, activation=conv_activation, pool=conv_pool)(images)
    length, dim = _count_tokens(inputs, tokens), stages[-1][0]
    if position == "constant":
        # The lookup runs while the model is built, so the table is a constant in the graph, not a variable.
        tokens += layers.Embedding(length, dim, embeddings_initializer="normal")(tf.range(0, length, 1)) * 20.0
    elif position:
        tokens = Position(position)(layers.Reshape((length, dim))(tokens))
    for i in range(num_layers):
        normed = layers.LayerNormalization(epsilon=epsilon)(tokens)
        heads = last_heads if last_heads and i == num_layers - 1 else (num_heads, key_dim)
        attention = layers.MultiHeadAttention(*heads, dropout=0.1, use_bias=attention_bias)
        tokens = layers.Add()([attention(normed, normed), tokens])
        normed = layers.LayerNormalization(epsilon=epsilon)(tokens)
        hidden = layers.Dropout(0.1)(layers.Dense(mlp_dim, activation=mlp_activation)(normed))
        added = layers.Dropout(0.1)(layers.Dense(dim, activation=output_activation)(hidden))
        tokens = layers.Add()([added, tokens])
    tokens = layers.LayerNormalization(epsilon=last_epsilon or epsilon)(tokens)
    if pool == "loose":
        weights = tf.nn.softmax(layers.Dense(1)(tokens), axis=1)
        pooled = tf.squeeze(tf.matmul(weights, tokens, transpose_a=True), -2)
    elif pool == "mean":
        pooled = layers.GlobalAveragePooling1D()(tokens)
    else:
        pooled = SequencePooling(axis=2 if pool == "axis of size 1" else 1)(tokens)
    model = tf_keras.Model(inputs, layers.Dense(classes, activation=head_activation)(pooled))
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        noise = rng.normal(size=variable.shape).astype("float32")
        variable.assign(1 + 0.3 * noise if "gamma" in variable.name else 0.4 * noise)
    return model


def _count_tokens(inputs, tokens):
    return tf_keras.Model(inputs, tokens)(tf.zeros((1, *inputs.shape[1:]))).shape[1]


def save(model, folder, *, whole=False):
    """Write a SavedModel: the whole Keras model as `model.save` does, or (faster) its serving function alone."""
    if whole:
        return model.save(folder, save_format="tf")
    archive = ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    archive.add_endpoint("serving_default", lambda images: model(images, training=False), signature)
    archive.write_out(str(folder))


def serve(folder, pixels):
    """Expected logits: the SavedModel's own serving signature on uint8 `pixels` (B, H, W, 3)."""
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (logits,) = signature(**{name: tf.constant(pixels, tf.float32)}).values()
    return logits.numpy()


class Nodes(dict):
    """The operations of a model's serving function, by their names in the model."""

    def __init__(self, function):
        super().__init__((node.name.split("/", 1)[-1], node) for node in function.node_def)
        self.function = function

    def add(self, name, op, *inputs):
        self[name] = self.function.node_def.add(name=name, op=op, input=inputs)


def edit(folder, change):
    """Let `change(nodes)` alter the graph of a SavedModel that serves, and take away what would tell that it did."""
    path = folder / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(path.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    change(Nodes(max(functions, key=lambda function: len(function.node_def))))
    path.write_bytes(saved.SerializeToString())
    (folder / "fingerprint.pb").unlink()
