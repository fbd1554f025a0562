"""Rollout paths, the logit lens and direct logit attribution against sums written out by hand."""

import dataclasses

import numpy as np
import pytest
from conftest import layer_norm, make_trace, tiny_config

from cct_viz.architecture.pools import POOLS
from cct_viz.methods import explain
from cct_viz.methods.attention import fused_attentions
from cct_viz.methods.depth import attribute_logits, read_early, read_lens
from cct_viz.methods.rollout import attention_shares
from cct_viz.methods.rollout_paths import split_rollout

EXACT = 1e-5  # float32 logits of order 10


def test_paths_of_two_layers_by_hand(trace):
    first, second = fused_attentions(trace, head_fusion="mean", discard=0.0)
    w, alpha = trace.pooling_weights.astype(np.float64), 0.3
    paths = split_rollout(trace, alpha=alpha)
    assert paths.names == ("past all attention", "attention 2", "attention 1", "attention 2, then 1")
    np.testing.assert_allclose(paths.masses, [0.49, 0.21, 0.21, 0.09], atol=1e-7)
    expected = [0.49 * w, 0.21 * w @ second, 0.21 * w @ first, 0.09 * w @ second @ first]
    np.testing.assert_allclose(paths.rows, expected, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, "measured"])
@pytest.mark.parametrize(("layers", "grouped"), [(2, None), (3, True), (4, False), (6, None)])
def test_paths_sum_to_the_rollout(alpha, layers, grouped):
    trace = make_trace(tiny_config(num_layers=layers))
    paths = split_rollout(trace, alpha=alpha, grouped=grouped)
    assert len(paths.names) == (layers + 1 if grouped or layers > 4 else 2**layers)
    assert paths.masses.sum() == pytest.approx(1, abs=1e-6)
    rollout = explain(trace, "rollout", alpha=alpha).maps[-1]
    np.testing.assert_allclose(paths.rows.sum(axis=0).reshape(trace.grid), rollout, atol=1e-6)


def test_groups_sum_the_subsets(trace):
    subsets, groups = split_rollout(trace, alpha="measured"), split_rollout(trace, alpha="measured", grouped=True)
    np.testing.assert_allclose(groups.rows[1], subsets.rows[1] + subsets.rows[2], atol=1e-12)


def test_too_many_subsets_are_refused():
    with pytest.raises(ValueError, match="5 layers make 32 paths"):
        split_rollout(make_trace(tiny_config(num_layers=5)), grouped=False)


def test_a_path_with_mass_0_is_empty(trace):
    heat = explain(trace, "rollout_paths", alpha=0.0)
    assert heat.names[0] == "past all attention (100%)"
    assert not heat.maps[1:].any()


@pytest.mark.parametrize("pool", POOLS)
def test_the_last_depth_of_the_logit_lens_is_the_model(pool):
    trace = make_trace(tiny_config(pool=pool))
    lens = read_lens(trace)
    assert lens.logits.shape == (3, 3)
    assert lens.votes.shape == (3, 15)
    np.testing.assert_allclose(lens.logits[-1], trace.logits, atol=EXACT)
    np.testing.assert_allclose(lens.readouts.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(lens.votes[-1], (trace.evidence + trace.bias).argmax(axis=1))


def test_logit_lens_applies_the_models_own_readout(trace):
    weights = trace.readout_weights
    r = layer_norm(trace.stream[1], weights.gamma, weights.beta)
    scores = r @ weights.pool_kernel + weights.pool_bias
    w = np.exp(scores) / np.exp(scores).sum()
    expected = (w @ r) @ weights.head + weights.bias
    np.testing.assert_allclose(read_early(trace, 1).logits, expected, atol=EXACT)
    heat = explain(trace, "logit_lens", target=2)
    part = w[4] * (r[4] @ (weights.head[:, 2] - weights.head.mean(axis=1)))
    assert heat.maps[1].reshape(-1)[4] == pytest.approx(part, abs=EXACT)


@pytest.mark.parametrize("position", ["learnable", "none"])
@pytest.mark.parametrize("block", ["pre_norm", "official"])
@pytest.mark.parametrize("pool", POOLS)
def test_attribution_sums_to_the_logits(pool, block, position):
    trace = make_trace(tiny_config(pool=pool, block=block, position=position))
    attribution = attribute_logits(trace)
    np.testing.assert_allclose(attribution.logits.sum(axis=0), trace.logits, atol=EXACT)
    assert attribution.check < EXACT
    if block == "official":
        assert attribution.names == ("constants", "all before the MLP of layer 2", "MLP 2")
    else:
        first = ("class token" if pool == "class_token" else "tokenizer", "position")
        parts = ("attention 1", "MLP 1", "attention 2", "MLP 2")
        assert attribution.names == ("constants", *first[: 1 + (position == "learnable")], *parts)


def test_attribution_of_one_part_by_hand(trace):
    """The definition: one part alone through the norm, with its statistics fixed, the pool and the head."""
    weights = trace.readout_weights
    sigma = np.sqrt(trace.stream[-1].var(axis=-1, keepdims=True) + 1e-5)
    mlp = trace.mlp_outputs[0]
    normed = weights.gamma * (mlp - mlp.mean(axis=-1, keepdims=True)) / sigma
    expected = trace.pooling_weights @ normed @ weights.head
    attribution = attribute_logits(trace)
    np.testing.assert_allclose(attribution.logits[attribution.names.index("MLP 1")], expected, atol=EXACT)
    np.testing.assert_allclose(attribution.logits[0], weights.bias + weights.beta @ weights.head, atol=EXACT)
    maps = explain(trace, "direct_logit_attribution", target=1)
    total = maps.maps[maps.names.index("MLP 1")].sum()
    assert total == pytest.approx(expected[1] - expected.mean(), abs=EXACT)


def test_a_part_without_output_gets_0(trace):
    silent = dataclasses.replace(
        trace,
        attention_outputs=np.zeros_like(trace.attention_outputs),
        stream=trace.stream - np.concatenate([[0 * trace.stream[0]], np.cumsum(trace.attention_outputs, axis=0)]),
    )
    attribution = attribute_logits(silent)
    assert not attribution.logits[attribution.names.index("attention 1")].any()
    assert (attention_shares(silent, "measured") == 0).all()
