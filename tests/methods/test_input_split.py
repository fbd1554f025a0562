"""The input split: one identity at every depth, on random models of every form."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from conftest import layer_norm, make_trace, tiny_config
from contract import FROM_WEIGHTS, check_contract
from page_vectors import random_weights
from random_models import FORMS

from cct_viz.architecture.activations import ACTIVATIONS
from cct_viz.architecture.config import ConvStage
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.load import open_weights
from cct_viz.methods import NotApplicable, explain
from cct_viz.methods.alti import alti_matrices
from cct_viz.methods.frozen import gate_of, walk_back
from cct_viz.methods.input_split import class_direction, split_pixels, split_scores

RELATIVE = 1e-5  # of the largest logit: float32 sums over a few layers of 15 tokens
FORMS = FORMS | {
    "output activation": tiny_config(block="official", mlp_output_activation=True, num_layers=3),
    "no ReLU": tiny_config(  # where a zero of the padding can win the pool
        tokenizer=(
            ConvStage(5, 4, 2, padding=3, relu=False),
            ConvStage(8, 2, conv_padding="same", relu=False, pool_padding="same"),
        ),
    ),
}


def make_case(form):
    config = FORMS[form]
    classifier = open_weights(config, random_weights(config, "float32"))
    pixels = np.random.default_rng(1).integers(0, 256, (*config.image_size, 3), dtype=np.uint8)
    return classifier, classifier.trace(pixels)


@pytest.fixture(scope="module", params=FORMS)
def case(request):
    return make_case(request.param)


@pytest.fixture(scope="module")
def keras_io():
    return make_case("keras.io")


def bound(trace):
    return RELATIVE * max(1.0, float(np.abs(trace.logits).max()))


@pytest.mark.parametrize("method", FROM_WEIGHTS)
def test_contract(case, method):
    _, trace = case
    if method == "pixel_contribution" and any(stage.use_bias for stage in trace.classifier.config.tokenizer):
        with pytest.raises(NotApplicable, match="tokenizer has biases"):
            explain(trace, method)
    else:
        check_contract(trace, method, exact=bound(trace))


def test_all_classes_split_at_every_depth_in_one_walk(case):
    _, trace = case
    split = split_scores(trace)
    assert split.parts.shape == (len(trace.stream), len(trace.representation), len(trace.labels))
    sums = split.parts.sum(axis=1) + split.constants
    np.testing.assert_allclose(sums, np.broadcast_to(trace.logits, sums.shape), atol=bound(trace))
    assert split.errors.max() < bound(trace)
    for c in range(len(trace.labels)):
        one = split_scores(trace, np.eye(len(trace.labels))[:, c : c + 1])
        np.testing.assert_allclose(one.parts[..., 0], split.parts[..., c], atol=bound(trace))


def test_a_wrong_score_is_reported(keras_io):
    _, trace = keras_io
    off = dataclasses.replace(trace, logits=trace.logits + np.float32(0.5) * np.arange(3, dtype=np.float32))
    assert explain(off, "depth_sum", target=2).checks["every depth sums to the score"] == pytest.approx(0.5, abs=1e-5)


def frozen_logits(trace, depth, change):
    """(K,) float64: the logits if `change` (M, D) is added to the stream at a depth and every decision stays as it was.

    The forward pass, written for itself: what it leaves as it was comes from the trace or is computed from its stream.
    """
    config = trace.classifier.config
    weights = {name: array.astype(np.float64) for name, array in trace.classifier.weights.items()}
    before = trace.stream[depth].astype(np.float64)
    x, epsilon = before + change, config.layer_norm_epsilon

    def norm(name, x, before):
        deviation = np.sqrt(before.var(axis=-1, keepdims=True) + epsilon)
        return weights[f"{name}/gamma"] * (x - x.mean(axis=-1, keepdims=True)) / deviation + weights[f"{name}/beta"]

    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)

    def activate(x, before):
        return x * gate_of(config.activation, before)

    for layer in range(depth, config.num_layers):
        name = f"block_{layer}"
        values = dense(f"{name}/attention/value", norm(f"{name}/norm_1", x, before)).reshape(
            len(x), config.num_heads, -1
        )
        mixed = np.einsum("ats,sae->tae", trace.attentions[layer].astype(np.float64), values).reshape(len(x), -1)
        x = x + dense(f"{name}/attention/projection", mixed)
        before = before + trace.attention_outputs[layer]
        new, old = norm(f"{name}/norm_2", x, before), norm(f"{name}/norm_2", before, before)
        if config.block == "official":
            x, before = new, old
        new, old = dense(f"{name}/mlp_1", new), dense(f"{name}/mlp_1", old)
        new, old = dense(f"{name}/mlp_2", activate(new, old)), dense(f"{name}/mlp_2", activate(old, old))
        if config.mlp_output_activation:
            new, old = activate(new, old), activate(old, old)
        x, before = x + new, before + old
    r = norm("norm", x, before)
    return dense("head", (trace.pooling_factors * r).sum(axis=0))


def test_slopes_agree_with_central_differences_of_the_frozen_network(case):
    _, trace = case
    k, layers = len(trace.labels), len(trace.attentions)
    change = np.random.default_rng(0).normal(size=trace.stream[0].shape)
    for depth, (x, scores) in zip(reversed(range(layers)), list(walk_back(trace, np.eye(k)))[1:], strict=True):
        assert x is trace.stream[depth] or (x == trace.stream[depth]).all()
        ends = [frozen_logits(trace, depth, step * change) for step in (1.0, -1.0)]
        expected = (scores.slope * change).sum(axis=(1, 2))
        scale = np.abs(scores.slope * change).sum(axis=(1, 2)).max()
        np.testing.assert_allclose((ends[0] - ends[1]) / 2, expected, atol=RELATIVE * scale)
        np.testing.assert_allclose(frozen_logits(trace, depth, 0 * change), trace.logits, atol=bound(trace))


def test_the_last_depth_is_the_contribution(case):
    _, trace = case
    heat = explain(trace, "contribution_by_depth", target=0)
    if trace.has_class_token:
        assert not heat.maps[-1].any()  # the head reads the class token only
        score = trace.relative(trace.logits)[0] - trace.relative(trace.bias)[0]
        assert heat.class_share[-1] == pytest.approx(score, abs=bound(trace))
    else:
        np.testing.assert_allclose(heat.maps[-1], explain(trace, "contribution", target=0).maps[0], atol=bound(trace))


def test_one_class_against_another_is_antisymmetric(case):
    _, trace = case
    for method in FROM_WEIGHTS[:3]:
        one, other = (explain(trace, method, target=a, against=b).maps for a, b in ((0, 2), (2, "class 0")))
        np.testing.assert_allclose(one, -other, atol=bound(trace))
    difference = [explain(trace, "contribution_by_depth", target=c).maps for c in (0, 2)]
    split = explain(trace, "contribution_by_depth", target=0, against=2).maps
    np.testing.assert_allclose(split, difference[0] - difference[1], atol=bound(trace))


def test_the_parts_of_the_input_sum_to_the_score(case):
    _, trace = case
    heat = explain(trace, "input_contribution", target=1)
    score, parts = heat.note.removeprefix("Score ").rstrip(".").split(" = ")
    told = {words.rsplit(" ", 1)[0]: float(words.rsplit(" ", 1)[1]) for words in parts.split(", ")}
    assert ("position" in told) == (trace.classifier.config.position != "none")
    assert ("class token" in told) == trace.has_class_token
    assert float(score) == pytest.approx(trace.relative(trace.logits)[1], abs=0.0051)  # two decimals
    assert sum(told.values()) == pytest.approx(float(score), abs=0.0051 * (len(told) + 1))
    assert heat.maps.sum() == pytest.approx(told["tokens"], abs=0.0051)


def test_pixels_by_finite_differences_of_the_tokens(keras_io):
    """Tokens are homogeneous in the pixels, so each token's part is that of its pixels: here with one token's slope."""
    classifier, trace = keras_io
    pixels = split_pixels(trace, 1)
    assert pixels.values.shape == classifier.config.image_size
    x = normalise(trace.pixels, classifier.config.preprocessing)
    slope = split_scores(trace, class_direction(trace, 1, None)).input.slope[0]
    for y, column in ((0, 0), (5, 9), (11, 19)):
        moved = [classifier._run(["stream_0"], (x * grown(x, y, column, s))[None], None)[0][0] for s in (1e-3, -1e-3)]
        rise = ((moved[0] - moved[1]) * slope).sum() / 2e-3  # x dy/dx is the part of the pixel
        assert pixels.values[y, column] == pytest.approx(rise, abs=2e-4)


def grown(x, y, column, share):
    factors = np.ones_like(x)
    factors[y, column] += share
    return factors


def test_a_trace_of_arrays_alone_is_refused():
    for method in FROM_WEIGHTS:
        with pytest.raises(NotApplicable, match="without the weights of its model"):
            explain(make_trace(tiny_config()), method)


def test_a_pickled_trace_leaves_the_weights_behind(keras_io):
    again = pickle.loads(pickle.dumps(keras_io[1]))
    assert again.classifier is None
    np.testing.assert_array_equal(again.stream, keras_io[1].stream)
    assert "mlp_1/kernel" not in repr(keras_io[1])


def test_a_class_is_not_compared_with_itself(keras_io):
    with pytest.raises(ValueError, match="class 1 cannot be compared with itself"):
        explain(keras_io[1], "depth_sum", target=1, against="class 1")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gates_give_the_activation(name):
    u = np.linspace(-6, 6, 1001)
    gate = gate_of(name, u.astype(np.float32))
    exact = {
        "gelu": lambda x: (1 + math.erf(x / math.sqrt(2))) / 2,
        "gelu_tanh": lambda x: (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    }[name]
    np.testing.assert_allclose(gate, [exact(x) for x in u], atol=3e-7)  # the formula's 1.5e-7 and float32


def test_alti_by_hand(case):
    """One entry of each layer, with the vectors of its token written out head by head."""
    _, trace = case
    config = trace.classifier.config
    weights = {name: array.astype(np.float64) for name, array in trace.classifier.weights.items()}
    matrices = alti_matrices(trace)
    np.testing.assert_allclose(matrices.sum(axis=-1), 1, atol=1e-12)
    for layer, matrix in enumerate(matrices):
        name, x = f"block_{layer}", trace.stream[layer].astype(np.float64)
        gamma, beta = weights[f"{name}/norm_1/gamma"], weights[f"{name}/norm_1/beta"]
        values = layer_norm(x, gamma, beta) @ weights[f"{name}/attention/value/kernel"]
        values = values + weights.get(f"{name}/attention/value/bias", 0)
        parts = np.zeros((len(x), config.embedding_dim))
        for head in range(config.num_heads):
            own = slice(head * config.key_dim, (head + 1) * config.key_dim)
            output = values[:, own] @ weights[f"{name}/attention/projection/kernel"][own]
            parts += trace.attentions[layer, head, 3][:, None] * output
        parts[3] += x[3]
        if config.block == "official":
            middle = x[3] + trace.attention_outputs[layer, 3]
            parts = weights[f"{name}/norm_2/gamma"] * (parts - parts.mean(axis=1, keepdims=True))
            parts /= np.sqrt(middle.var() + config.layer_norm_epsilon)
        near = np.maximum(0, np.abs(parts.sum(axis=0)).sum() - np.abs(parts.sum(axis=0) - parts).sum(axis=1))
        np.testing.assert_allclose(matrix[3], near / near.sum(), atol=1e-5)


def test_contribution_rollout_through_alti(keras_io):
    _, trace = keras_io
    second, first = alti_matrices(trace)[::-1]
    heat = check_contract(trace, "contribution_rollout", exact=bound(trace), mixing="alti")
    parts = trace.relative(trace.contributions)[:, 1]
    np.testing.assert_allclose(heat.maps.ravel(), parts @ second @ first, atol=1e-6)
    assert heat.maps.sum() == pytest.approx(parts.sum(), abs=bound(trace))
