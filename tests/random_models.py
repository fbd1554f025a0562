"""Small models of every form with random weights."""

import numpy as np
from conftest import tiny_config

from cct_viz.architecture.config import ConvStage, Preprocessing

FORMS = {
    "keras.io": tiny_config(),
    "official": tiny_config(
        tokenizer=(ConvStage(6, padding=1), ConvStage(8, padding=1)),
        block="official",
        qkv_bias=False,
        mlp_output_activation=False,
        position="sinusoidal",
    ),
    "class token": tiny_config(
        image_size=(12, 20),
        tokenizer=(ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0),),
        pool="class_token",
        block="official",
    ),
    "mean": tiny_config(pool="mean", position="none"),
    "max": tiny_config(pool="max", num_layers=3),
    "grey, tanh GELU, sigmoid": tiny_config(
        channels=1, preprocessing=Preprocessing((0.5,), (0.2,)), activation="gelu_tanh", output="sigmoid"
    ),
}


def random_model(config, seed=0):
    """A model with random weights, including biases and norms, so that no term is 0 or 1 by default."""
    from cct_viz.architecture.keras_model import build_model, named_weights

    model = build_model(config)
    rng = np.random.default_rng(seed)
    for name, variable in named_weights(model).items():
        if not (name == "sequence/position" and config.position == "sinusoidal"):
            variable.assign(rng.normal(0.0, 0.5, variable.shape).astype(np.float32) + name.endswith("gamma"))
    return model
