"""POOLS, BLOCKS and ACTIVATIONS: every name works in all modules, and every entry is consistent with the model."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
from conftest import layer_norm, make_trace, tiny_config
from random_models import FORMS

from cct_viz.architecture.activations import ACTIVATIONS, find_activation
from cct_viz.architecture.blocks import BLOCKS, find_block
from cct_viz.architecture.config import CCTConfig, ConfigError
from cct_viz.architecture.cost import count_macs
from cct_viz.architecture.keras_model import POOLING_LAYERS, build_model, named_weights
from cct_viz.architecture.onnx_graph import POOLING_GRAPHS
from cct_viz.architecture.outputs import OUTPUTS
from cct_viz.architecture.pools import POOLS, find_pool, pool_tokens
from cct_viz.architecture.presets import PRESETS
from cct_viz.architecture.weights import expected_shapes
from cct_viz.inference.classifier import read_readout_weights
from cct_viz.web.payload import make_payload

EXACT = 1e-5  # float32 sums of 15 tokens and 8 channels of order 1
NAMES = {"pool": POOLS, "block": BLOCKS, "activation": ACTIVATIONS}


def expected_message(field):
    return f"^{field} is 'median'; expected one of {', '.join(NAMES[field])}$"


def renamed(config, field):
    """A config with an unknown name, which bypasses the check of the config."""
    config = dataclasses.replace(config)
    object.__setattr__(config, field, "median")
    return config


@pytest.mark.parametrize("field", NAMES)
def test_config_refuses_an_unknown_name(field):
    with pytest.raises(ConfigError, match=expected_message(field)):
        tiny_config(**{field: "median"})
    with pytest.raises(ConfigError, match=expected_message(field)):
        CCTConfig.from_dict(tiny_config().to_dict() | {field: "median"})


@pytest.mark.parametrize("value", [None, 3, ["max"], "MAX", ""])
@pytest.mark.parametrize("field", NAMES)
def test_config_refuses_a_value_that_is_not_a_string(field, value):
    with pytest.raises(ConfigError):
        CCTConfig.from_dict(tiny_config().to_dict() | {field: value})


@pytest.mark.parametrize("field", ["pool", "block"])
def test_trace_refuses_an_unknown_name(trace, field):
    with pytest.raises(ValueError, match=expected_message(field)):
        dataclasses.replace(trace, **{field: "median"})


@pytest.mark.parametrize("field", NAMES)
def test_keras_model_refuses_an_unknown_name(field):
    with pytest.raises(ValueError, match=expected_message(field)):
        build_model(renamed(tiny_config(), field))


def test_shapes_macs_and_readout_weights_refuse_an_unknown_pool():
    config = renamed(tiny_config(), "pool")
    for read in (expected_shapes, count_macs, lambda config: read_readout_weights(config, {})):
        with pytest.raises(ValueError, match=expected_message("pool")):
            read(config)


@pytest.mark.parametrize(
    ("find", "field"), [(find_pool, "pool"), (find_block, "block"), (find_activation, "activation")]
)
def test_look_up_returns_the_entry_or_lists_the_names(find, field):
    assert [find(name) for name in NAMES[field]] == list(NAMES[field].values())
    with pytest.raises(ValueError, match=expected_message(field)):
        find("median")


def test_every_pool_has_a_layer_and_a_graph():
    assert list(POOLING_LAYERS) == list(POOLING_GRAPHS) == list(POOLS)


@pytest.mark.parametrize(("field", "table"), [*NAMES.items(), ("output", OUTPUTS)])
def test_every_entry_is_in_a_model_with_random_weights(field, table):
    """These models compare gradients, splits and exported files with the framework."""
    assert {getattr(config, field) for config in FORMS.values()} == set(table)


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS)
def test_pool_shapes_equal_those_of_the_model(name):
    config = tiny_config(pool=name)
    weights = named_weights(build_model(config))
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == expected_shapes(config)


def random_layer(name, dim):
    """The Keras layer of a pool with random weights, and (a, a0) of its scores or (None, 0)."""
    layer = POOLING_LAYERS[name]()
    layer(np.zeros((1, 2, dim), np.float32), np.ones((1, 2), np.float32))
    rng = np.random.default_rng(3)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    assert [tuple(weight.shape) for weight in layer.weights] == list(POOLS[name].shapes(dim).values())
    if not POOLS[name].has_scores:
        return layer, None, 0.0
    kernel, bias = (np.asarray(weight) for weight in layer.weights)
    return layer, kernel[:, 0], float(bias[0])


def run_layer(layer, r, mask=None):
    """Pooled vector and intermediate results of the layer for one image; `mask` is 0 for each removed token."""
    mask = np.ones(len(r)) if mask is None else mask
    output = layer(r[None], mask[None].astype(np.float32))
    return np.asarray(output.pooled)[0], {key: np.asarray(value)[0] for key, value in output.seen.items()}


@pytest.mark.parametrize("name", POOLS)
def test_numpy_pool_equals_its_keras_layer(name):
    pool, r = POOLS[name], np.random.default_rng(4).normal(size=(15, 8)).astype(np.float32)
    layer, a, a0 = random_layer(name, 8)
    expected, seen = run_layer(layer, r)
    scores, weights = pool.weigh(r, a, a0) if pool.has_weights else (None, None)
    assert ("pool_scores" in seen, "pooling_weights" in seen) == (pool.has_scores, pool.has_weights)
    if pool.has_scores:
        np.testing.assert_allclose(scores, seen["pool_scores"], atol=EXACT)
    if pool.has_weights:
        np.testing.assert_allclose(weights, seen["pooling_weights"], atol=EXACT)
    factors = pool.factors(r, weights)
    assert factors.dtype == np.float32
    assert factors.shape in ((15, 1), (15, 8))
    np.testing.assert_allclose(pool_tokens(factors, r), expected, atol=EXACT)
    readout = pool.readout(factors)
    assert readout.shape == (15,)
    assert readout.min() >= 0
    assert readout.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 15])
@pytest.mark.parametrize("name", [name for name, pool in POOLS.items() if pool.splits])
def test_ablating_a_token_equals_the_layer_without_it(name, count):
    rng = np.random.default_rng(5)
    pool, r, towards = POOLS[name], rng.normal(size=(count, 8)).astype(np.float32), rng.normal(size=8)
    layer, a, a0 = random_layer(name, 8)
    weights = pool.weigh(r, a, a0)[1] if pool.has_weights else None
    padded = np.concatenate(
        [r, r[:1]]
    )  # plus a token that is always masked, because Keras warns about a softmax over one element

    def score(tokens):
        return float(run_layer(layer, padded, np.append(tokens, 0))[0] @ towards)

    whole = score(np.ones(count))
    fall, checks = pool.ablate(r, weights, r @ towards, towards, whole)
    without = [score(1 - np.eye(count)[t]) for t in range(count)]
    np.testing.assert_allclose(fall, whole - np.array(without), atol=EXACT)
    assert all(0 <= error < EXACT for error in checks.values())


@pytest.mark.parametrize("name", POOLS)
def test_trace_arrays_depend_on_the_pool(name):
    pool, trace = POOLS[name], make_trace(tiny_config(pool=name))
    np.testing.assert_allclose(trace.pooled @ trace.readout_weights.head + trace.bias, trace.logits, atol=EXACT)
    assert trace.readout.sum() == pytest.approx(1, abs=1e-6)
    assert trace.has_class_token == pool.class_token
    if pool.splits:
        np.testing.assert_allclose(trace.contributions.sum(axis=0) + trace.bias, trace.logits, atol=EXACT)
    sent = json.loads(make_payload(trace))["contributions"]
    assert (sent is not None) == (pool.splits and not pool.has_weights)


def test_trace_with_pool_scores_requires_the_pool_kernel(trace):
    readout = dataclasses.replace(trace.readout_weights, pool_kernel=None)
    with pytest.raises(ValueError, match="pool_kernel has shape None; expected"):
        dataclasses.replace(trace, readout_weights=readout)


@pytest.mark.parametrize("name", POOLS)
def test_every_pool_has_a_description(name):
    pool = POOLS[name]
    texts = (pool.name, pool.title, pool.summary, pool.read_by)
    assert all(texts)
    assert not any(text.endswith(".") for text in texts)


@pytest.mark.parametrize("name", BLOCKS)
def test_block_returns_the_stream_and_the_mlp_output(name):
    rng = np.random.default_rng(6)
    x, gamma, beta, matrix = rng.normal(size=(5, 8)), rng.normal(size=8), rng.normal(size=8), rng.normal(size=(8, 8))
    block = BLOCKS[name]

    def norm(x):
        return layer_norm(x, gamma, beta)

    stream, added = block.add_mlp(x, norm, lambda x: np.tanh(x @ matrix))
    np.testing.assert_allclose(added, np.tanh(norm(x) @ matrix))
    np.testing.assert_allclose(stream, (norm(x) if block.overwrites_stream else x) + added)


def test_gelu_is_exact():
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    expected = [v * (1 + math.erf(v / np.sqrt(2))) / 2 for v in x.tolist()]
    np.testing.assert_allclose(find_activation("gelu")(x, keras.ops), expected, atol=1e-6)


def test_gelu_tanh_is_the_default_of_keras():
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    got = find_activation("gelu_tanh")(x, keras.ops)
    np.testing.assert_allclose(got, keras.ops.gelu(x), atol=1e-6)  # float32 rounding
    assert 1e-4 < np.abs(got - find_activation("gelu")(x, keras.ops)).max() < 5e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_model_uses_the_activation_of_its_config(name, monkeypatch):
    config = tiny_config(activation=name)
    images = np.random.default_rng(7).random((1, *config.input_shape), dtype=np.float32)
    model = build_model(config)
    before = np.asarray(model.intermediates(images)["mlp_output_0"])
    assert (before != 0).any()
    monkeypatch.setitem(ACTIVATIONS, name, lambda x, ops: 0 * x)
    other = build_model(config)
    assert not np.asarray(other.intermediates(images)["mlp_output_0"]).any()


def test_default_activation_is_not_written():
    """The first release can still read config.json."""
    assert "activation" not in tiny_config().to_dict()
    assert CCTConfig.from_dict(tiny_config().to_dict() | {"activation": "gelu"}) == tiny_config()
    for preset in PRESETS.values():
        if preset.folder:
            text = (preset.folder / "config.json").read_text()
            assert json.loads(text) == json.loads(json.dumps(preset.config.to_dict()))


def test_other_activation_json_round_trip(monkeypatch):
    monkeypatch.setattr("cct_viz.architecture.config.ACTIVATIONS", {**ACTIVATIONS, "other": ACTIVATIONS["gelu"]})
    config = tiny_config(activation="other")
    assert CCTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
