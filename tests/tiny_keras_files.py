"""The smallest files of Keras that hold a compact transformer, written without Keras, for tests to change."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np

WIDTH, HEADS, KEY_DIM, HIDDEN, CLASSES = 4, 2, 3, 5, 3


def random(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def weights(blocks=1):
    """Name of a layer -> its arrays: a convolution of 3x3 patches, a position for 2x2 of them, sequence pooling."""
    shapes = {"conv2d": [(3, 3, 3, WIDTH), (WIDTH,)], "position": [(4, WIDTH)]}
    for i in range(blocks):
        attention = numbered("multi_head_attention", i)
        for part in ("query", "key", "value"):
            shapes[f"{attention}/{part}_dense"] = [(WIDTH, HEADS, KEY_DIM), (HEADS, KEY_DIM)]
        shapes[f"{attention}/output_dense"] = [(HEADS, KEY_DIM, WIDTH), (WIDTH,)]
        shapes[numbered("dense", 2 * i)] = [(WIDTH, HIDDEN), (HIDDEN,)]
        shapes[numbered("dense", 2 * i + 1)] = [(HIDDEN, WIDTH), (WIDTH,)]
    for i in range(2 * blocks + 1):
        shapes[numbered("layer_normalization", i)] = [(WIDTH,), (WIDTH,)]
    shapes[numbered("dense", 2 * blocks)] = [(WIDTH, 1), (1,)]
    shapes[numbered("dense", 2 * blocks + 1)] = [(WIDTH, CLASSES), (CLASSES,)]
    return {name: random(*some) for name, some in shapes.items()}


def numbered(name, i):
    """As Keras names the layers of a class: dense, dense_1, dense_2."""
    return f"{name}_{i}" if i else name


def described(kind, name, *, module="keras.layers", registered=None, nodes=(), **config):
    """A layer as Keras 3 describes it."""
    entry = {"module": module, "class_name": kind, "registered_name": registered, "inbound_nodes": list(nodes)}
    return entry | {"name": name, "config": {"name": name, **config}}


def reads(*names, **options):
    """A call of a layer on the outputs of others, as Keras 3 describes it."""
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in names]
    return {"args": tensors, "kwargs": options}


def layers(blocks=1):
    """Name -> description of each layer of the model of `weights`."""
    result = [
        described("InputLayer", "images", batch_shape=[None, 6, 6, 3]),
        described("Rescaling", "rescaling", scale=1 / 255, offset=0),
        described("Conv2D", "conv2d", kernel_size=[3, 3], strides=[3, 3], padding="valid", activation="linear"),
        described("Reshape", "reshape", target_shape=[4, WIDTH]),
        described("Position", "position", module=None, registered="Custom>Position"),
    ]
    for i in range(blocks):
        names = [numbered("layer_normalization", 2 * i + k) for k in (0, 1)]
        result += [
            described("LayerNormalization", names[0], epsilon=1e-5),
            described("MultiHeadAttention", numbered("multi_head_attention", i), nodes=[reads(names[0], names[0])]),
            described("Add", numbered("add", 2 * i)),
            described("LayerNormalization", names[1], epsilon=1e-5),
            described("Dense", numbered("dense", 2 * i), units=HIDDEN, activation="gelu", nodes=[reads(names[1])]),
            described("Dense", numbered("dense", 2 * i + 1), units=WIDTH, activation="gelu"),
            described("Add", numbered("add", 2 * i + 1)),
        ]
    result += [
        described("LayerNormalization", numbered("layer_normalization", 2 * blocks), epsilon=1e-5),
        described("Dense", numbered("dense", 2 * blocks), units=1, activation="linear"),
        described("Softmax", "softmax", axis=1),
        described("Dense", "answer", units=CLASSES, activation="linear"),
    ]
    return {layer["name"]: layer for layer in result}


def write_weights(target, arrays):
    """A `.weights.h5` of Keras 3 at a path, or in a file in memory."""
    with h5py.File(target, "w") as file:
        for name, some in arrays.items():
            own = file.create_group(f"layers/{name}/vars")
            for i, array in enumerate(some):
                own[str(i)] = array


def write_archive(path, description, arrays, metadata=None):
    """A `.keras` file of the functional model with these layers; `description` may also be the whole JSON."""
    content = io.BytesIO()
    write_weights(content, arrays)
    root = description if "class_name" in description else functional(description)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(root))
        archive.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.15.0"}))
        archive.writestr("model.weights.h5", content.getvalue())


def functional(description):
    config = {"name": "model", "layers": list(description.values())}
    return {"module": "keras", "class_name": "Functional", "registered_name": "Functional", "config": config}
