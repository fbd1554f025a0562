"""The Keras model: its parts against the formulas, its masks, and what other tools do with it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import pool_by_formula, tiny_config
from random_models import FORMS, random_model

import cct_viz
from cct_viz.architecture.keras_model import build_model, make_functional, named_weights, sinusoidal_position
from cct_viz.architecture.presets import PRESETS

pytestmark = pytest.mark.slow  # TensorFlow
FLOAT32 = 1e-5  # of the largest value: rounding of a few hundred additions in float32


def random_images(config, count=3, seed=1):
    return np.random.default_rng(seed).random((count, *config.input_shape), dtype=np.float32)


def see(model, images, mask=None):
    return {name: np.asarray(value) for name, value in model.intermediates(images, mask).items()}


def test_keras_io_model_has_the_published_parameter_count_and_a_trained_position():
    # The keras.io example's checkpoint holds 408,139; its positional embedding of 64 x 128 is not among them.
    assert build_model(PRESETS["keras_cct_cifar10"].config).count_params() == 408_139 + 64 * 128


def test_weights_have_explicit_names():
    assert set(named_weights(build_model(tiny_config(num_layers=1)))) == {
        "tokenizer/conv_0/kernel",
        "tokenizer/conv_1/kernel",
        "sequence/position",
        *(f"block_0/norm_{i}/{part}" for i in (1, 2) for part in ("gamma", "beta")),
        *(
            f"block_0/attention/{layer}/{part}"
            for layer in ("query", "key", "value", "projection")
            for part in ("kernel", "bias")
        ),
        *(f"block_0/mlp_{i}/{part}" for i in (1, 2) for part in ("kernel", "bias")),
        "norm/gamma",
        "norm/beta",
        "pool/score/kernel",
        "pool/score/bias",
        "head/kernel",
        "head/bias",
    }


@pytest.mark.parametrize("config", FORMS.values(), ids=FORMS)
def test_intermediates_are_consistent(config):
    model = random_model(config)
    seen = see(model, random_images(config))
    weights = {name: np.asarray(value) for name, value in named_weights(model).items()}

    def layer_norm(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(centred.var(axis=-1, keepdims=True) + config.layer_norm_epsilon)
        return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    def close(a, b):
        np.testing.assert_allclose(a, b, atol=FLOAT32 * max(1, np.abs(b).max()))

    for i in range(config.num_layers):
        stream = seen[f"stream_{i}"] + seen[f"attention_output_{i}"]
        if config.block == "official":
            stream = layer_norm(stream, f"block_{i}/norm_2")
        close(stream + seen[f"mlp_output_{i}"], seen[f"stream_{i + 1}"])
        close(seen[f"attentions_{i}"].sum(axis=-1), np.ones_like(seen[f"attentions_{i}"][..., 0]))
    r = seen["representation"]
    close(layer_norm(seen[f"stream_{config.num_layers}"], "norm"), r)
    kernel, bias = (weights.get(f"pool/score/{part}") for part in ("kernel", "bias"))
    a, a0 = (None, 0.0) if kernel is None else (kernel[:, 0], bias[0])
    expected = {
        name: np.stack(arrays)
        for name, arrays in zip(
            ("pool_scores", "pooling_weights", "pooled"),
            zip(*(pool_by_formula(config.pool, tokens, a, a0) for tokens in r), strict=True),
            strict=True,
        )
        if arrays[0] is not None
    }
    pooled = expected.pop("pooled")
    for name, value in expected.items():
        close(seen[name], value)
    close(pooled @ weights["head/kernel"] + weights["head/bias"], seen["logits"])


@pytest.mark.parametrize("config", FORMS.values(), ids=FORMS)
def test_masking_a_token_equals_removing_it(config):
    model = random_model(config)
    images = random_images(config, count=1)
    mask = np.ones((1, config.num_tokens), np.float32)
    mask[0, [2, 7]] = 0
    masked = see(model, images, mask)
    # The same model without the two tokens, computed step by step.
    kept = np.flatnonzero(mask[0])
    first = int(config.pool == "class_token")
    rows = np.concatenate([np.arange(first), kept + first])
    x = keras.ops.convert_to_tensor(see(model, images)["stream_0"][:, rows])
    for block in model.blocks:
        block.attention.length = len(rows)
        x = block(x, keras.ops.ones((1, len(rows)))).stream
        block.attention.length = config.sequence_length
    representation = model.norm(x)
    pooled = model.pooling(representation, keras.ops.ones((1, len(kept)))).pooled
    expected = np.asarray(model.head(pooled))
    np.testing.assert_allclose(masked["logits"], expected, atol=FLOAT32 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("pool", ["seqpool", "mean", "max"])
def test_all_tokens_masked_gives_the_bias(pool):
    model = random_model(tiny_config(pool=pool))
    seen = see(model, random_images(model.config), np.zeros((3, model.config.num_tokens), np.float32))
    bias = np.asarray(model.head.bias)
    np.testing.assert_allclose(seen["logits"], np.tile(bias, (3, 1)), atol=1e-6)


def test_stochastic_depth_keeps_the_expectation_and_does_not_change_inference():
    config = tiny_config(stochastic_depth=0.5, num_layers=2)
    model = random_model(config)
    plain = random_model(dataclasses.replace(config, stochastic_depth=0.0))
    images = random_images(config, count=1)
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(plain(images)))
    branch = keras.ops.convert_to_tensor(np.random.default_rng(3).normal(size=(4000, 2, 3)).astype(np.float32))
    dropped = np.asarray(model.blocks[1].drop_attention(branch, training=True))
    kept = dropped[:, 0, 0] != 0
    np.testing.assert_allclose(dropped[kept], 2 * np.asarray(branch)[kept], rtol=1e-6)  # scaled by 1 / keep
    assert not dropped[~kept].any()  # the whole sample is dropped
    assert kept.mean() == pytest.approx(0.5, abs=0.04)  # five standard errors of 4,000 draws
    assert (np.asarray(model.blocks[0].drop_attention(branch, training=True)) != 0).all()  # the first layer's rate is 0


def test_training_in_mixed_bfloat16_gives_float32_logits():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(tiny_config())
    finally:
        keras.config.set_dtype_policy(policy)
    images = np.random.default_rng(0).random((2, *model.config.input_shape), np.float32)
    logits = keras.ops.convert_to_numpy(model(images, training=True))
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_sinusoidal_position_equals_the_papers():
    table = sinusoidal_position(5, 6)
    assert table[3, 0] == pytest.approx(np.sin(3.0), abs=1e-6)
    assert table[3, 1] == pytest.approx(np.cos(3.0), abs=1e-6)
    assert table[4, 4] == pytest.approx(np.sin(4 / 10000 ** (4 / 6)), abs=1e-6)


def test_build_accepts_classes_and_size():
    model = cct_viz.build("keras_cct_cifar10", num_classes=3, image_size=(40, 24))
    assert model(np.zeros((2, 40, 24, 3), np.float32)).shape == (2, 3)


def test_model_config_round_trip():
    model = random_model(tiny_config())
    again = type(model).from_config(model.get_config())
    assert again.config == model.config


@pytest.fixture(scope="module", params=FORMS)
def functional(request):
    """A random model of one form, the same as a functional model, and two images."""
    network = random_model(FORMS[request.param])
    return network, make_functional(network), random_images(network.config, 2)


def test_functional_model_gives_the_same_logits(functional):
    network, model, images = functional
    assert model.inputs[0].shape == (None, *network.config.input_shape)
    assert model.output.shape == (None, network.config.num_classes)
    np.testing.assert_allclose(model.predict(images, verbose=0), network(images), atol=1e-5)  # sums in another order
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in network.trainable_variables}


def test_tools_can_take_the_functional_model_apart(functional):
    """What Grad-CAM tools do: an outer model of one layer's output and the answer, then the gradient between them."""
    network, model, images = functional
    seen = network.intermediates(images)
    stage = network.config.tokenizer[-1]
    last = len(network.config.tokenizer) - 1
    name = f"pool_{last}" if stage.pool_size else f"relu_{last}" if stage.relu else f"conv_{last}"
    outer = keras.Model(model.input, [model.get_layer(name).output, model.output])
    with tf.GradientTape() as tape:
        features, logits = outer(images)
        score = logits[:, 0]
    gradient = tape.gradient(score, features)
    np.testing.assert_allclose(features, seen[f"feature_map_{last}"], atol=1e-6)
    assert gradient.shape == features.shape
    assert np.abs(gradient).max() > 0
    block = keras.Model(model.input, model.get_layer("block_0").output[-1])
    np.testing.assert_allclose(block(images), seen["attentions_0"], atol=1e-6)
    assert model.layers[-1].name == "head"
    assert model.layers[-1].activation is keras.activations.linear
    lines = []
    model.summary(print_fn=lines.append)
    assert "block_0" in "".join(lines)


def test_functional_model_can_be_cloned_and_saved(functional, tmp_path):
    """Tools clone a model to randomise its layers; weights are set by position."""
    _, model, images = functional
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(images), model(images), atol=1e-6)
    clone.get_layer("head").set_weights([0 * weight for weight in clone.get_layer("head").get_weights()])
    assert not np.asarray(clone(images)).any()
    assert np.asarray(model(images)).any()  # the weights are its own
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images), model(images))
