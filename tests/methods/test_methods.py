"""The contract of every method, and each formula against numbers computed by hand."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
from conftest import layer_norm, make_trace, tiny_config
from contract import FROM_WEIGHTS, NOT_APPLICABLE, POSITION_ONLY, check_contract

import cct_viz
from cct_viz.architecture.outputs import OUTPUTS
from cct_viz.architecture.pools import POOLS
from cct_viz.methods import (
    METHODS,
    RENAMED,
    NotApplicable,
    describe,
    explain,
    method_options,
    method_title,
    rank_channels,
    takes,
)
from cct_viz.methods.attention import effective_tokens
from cct_viz.methods.cam import representation_gradient
from cct_viz.methods.depth import read_early, read_lens
from cct_viz.methods.laboratory import pool_with
from cct_viz.methods.rollout import attention_shares, mixing_matrices

EXACT = 1e-5  # float32 sums of 15 tokens and 8 channels of order 1
TRACE_ONLY = [method for method in METHODS if not takes(method, "classifier") and method not in FROM_WEIGHTS]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("method", TRACE_ONLY)
def test_contract(method, pool):
    for block in ("pre_norm", "official"):
        trace = make_trace(tiny_config(pool=pool, block=block))
        if (method, pool) in NOT_APPLICABLE:
            with pytest.raises(NotApplicable, match="this model reads its answer"):
                explain(trace, method, target=1)
        else:
            check_contract(trace, method, exact=EXACT)


@pytest.mark.parametrize("labels", [("cat",), ("cat", "dog", "tree")])
@pytest.mark.parametrize("method", TRACE_ONLY)
def test_contract_for_independent_classes(method, labels):
    """Sigmoid: one class is enough, and the maps split the score itself, not its distance from the mean class."""
    trace = make_trace(tiny_config(output="sigmoid", labels=labels))
    if method == "contrast" and len(labels) == 1:
        with pytest.raises(NotApplicable, match="one class, cat, so there is no other class"):
            explain(trace, method, target=0)
        return
    heat = check_contract(trace, method, exact=EXACT, target=0)
    if method in ("contribution", "contribution_rollout"):
        assert heat.maps[-1].sum() + trace.bias[0] == pytest.approx(trace.logits[0], abs=EXACT)
    if method == "evidence":
        np.testing.assert_array_equal(heat.maps[0].ravel(), trace.evidence[:, 0])


def test_probabilities_of_independent_classes_do_not_sum_to_one():
    trace = make_trace(tiny_config(output="sigmoid"))
    np.testing.assert_allclose(trace.probabilities, 1 / (1 + np.exp(-trace.logits)), rtol=1e-6)
    assert trace.top(3) == sorted(zip(trace.labels, trace.probabilities.tolist(), strict=True), key=lambda x: -x[1])
    assert pool_with(trace, trace.pooling_weights).probabilities == pytest.approx(trace.probabilities, abs=1e-6)
    np.testing.assert_array_equal(read_lens(trace).probabilities[-1], read_early(trace, 2).probabilities)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_extreme_scores_are_finite(name):
    scores = np.array([[-1000.0, 1000.0], [0.0, 0.0]])
    got = OUTPUTS[name].probabilities(scores)
    assert got[0].tolist() == [0.0, 1.0]
    assert got[1].tolist() == [0.5, 0.5]
    assert OUTPUTS[name].probabilities(scores.astype(np.float32)).dtype == np.float32
    assert np.isfinite(OUTPUTS[name].log_loss(scores, np.array([[1.0, 0.0], [1.0, 0.0]]))).all()


@pytest.mark.parametrize("method", [method for method in METHODS if takes(method, "classifier")])
def test_methods_that_run_the_model_require_a_classifier(trace, method):
    with pytest.raises(ValueError, match="runs the model again"):
        explain(trace, method)


def test_every_method_is_documented():
    assert len({method_title(method) for method in METHODS}) == len(METHODS)
    for method, function in METHODS.items():
        doc = " ".join(inspect.getdoc(function).split())
        assert describe(method).endswith("."), method
        assert "Limit: " in doc, f"{method} names no limit"
        assert re.search(r"\b(ours|Ours|of this project)\b", doc), f"{method} does not say what of it is ours"
        assert len(method_title(method)) <= 32, "it stands in menus and table heads"
        assert "_" not in method_title(method), method
        assert all(f"{option}:" in doc for option in method_options(method)), method


def make_flat_trace(pool="seqpool"):
    """A trace with all tokens equal, as a model without position makes of a constant image."""
    trace = make_trace(tiny_config(pool=pool, position="none"))
    weights = trace.readout_weights

    def level(array):
        return np.broadcast_to(array[..., :1, :], array.shape).copy()

    attended, added = level(trace.attention_outputs), level(trace.mlp_outputs)
    stream = np.concatenate([level(trace.stream)[:1], level(trace.stream)[:1] + np.cumsum(attended + added, axis=0)])
    r = layer_norm(stream[-1], weights.gamma, weights.beta)
    n = len(r)
    return dataclasses.replace(
        trace,
        stream=stream,
        attention_outputs=attended,
        mlp_outputs=added,
        representation=r,
        pool_scores=None if trace.pool_scores is None else r @ weights.pool_kernel,
        pooling_weights=None if trace.pooling_weights is None else np.full(n, 1 / n, np.float32),
        attentions=np.full_like(trace.attentions, 1 / n),
        logits=r[0] @ weights.head + weights.bias,
    )


@pytest.mark.parametrize("method", [method for method in TRACE_ONLY if method not in POSITION_ONLY])
def test_a_constant_image_gives_a_constant_map(method):
    for pool in ("seqpool", "mean"):
        heat = check_contract(make_flat_trace(pool), method, exact=EXACT, target=0)
        assert np.ptp(heat.maps, axis=(1, 2)).max() < EXACT, pool


@pytest.mark.parametrize(("earlier", "name"), RENAMED.items())
def test_an_old_name_works_and_warns_with_the_new_name(trace, earlier, name):
    with pytest.warns(FutureWarning, match=f"now called '{name}'"):
        heat = explain(trace, earlier, target=1)
    np.testing.assert_array_equal(heat.maps, explain(trace, name, target=1).maps)


def test_unknown_methods_options_and_classes_are_refused(trace):
    with pytest.raises(ValueError, match="no method is called 'jet'"):
        explain(trace, "jet")
    with pytest.raises(ValueError, match="rollout has no option fusion; it has head_fusion, alpha, discard, readout"):
        explain(trace, "rollout", fusion="mean")
    with pytest.raises(ValueError, match="no class is called 'cat'"):
        explain(trace, "contribution", target="cat")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("rollout", {"alpha": 1.5}),
        ("rollout", {"alpha": "half"}),
        ("rollout", {"readout": "max"}),
        ("contribution_rollout", {"mixing": "ALTI"}),
        ("rollout", {"discard": 1.0}),
        ("rollout", {"head_fusion": "median"}),
        ("attention", {"layer": 2}),
        ("attention", {"head": 5}),
        ("attention", {"layer": 1.5}),
        ("attention", {"head": "x"}),
        ("rollout", {"alpha": "a"}),
        ("rollout", {"alpha": [1]}),
        ("rollout", {"alpha": True}),
        ("rollout", {"alpha": float("nan")}),
        ("rollout", {"discard": "0.5"}),
        ("rollout", {"discard": False}),
        ("attention", {"layer": True}),
        ("attention", {"head": 0.0}),
        ("attention", {"token": False}),
        ("rollout_paths", {"grouped": "no"}),
        ("rollout_paths", {"grouped": 1}),
        ("attention", {"token": 15}),
        ("contrast", {"against": 1}),
    ],
)
def test_options_out_of_range_are_refused(trace, method, options):
    with pytest.raises(ValueError, match=r"expected|does not exist|itself|cannot use"):
        explain(trace, method, target=1, **options)


def test_the_package_exports_explain(trace):
    assert cct_viz.explain(trace, "seqpool").method == "seqpool"


# The exact decomposition of the scores


def test_a_shift_common_to_all_classes_changes_no_contribution(trace):
    shifted = dataclasses.replace(
        trace,
        readout_weights=dataclasses.replace(
            trace.readout_weights,
            head=trace.readout_weights.head + np.linspace(-2, 2, 8, dtype=np.float32)[:, None],
        ),
    )
    shifted = dataclasses.replace(shifted, logits=shifted.contributions.sum(axis=0) + shifted.bias)
    total = np.zeros(trace.grid)
    for c in range(3):
        np.testing.assert_allclose(
            explain(shifted, "contribution", target=c).maps, explain(trace, "contribution", target=c).maps, atol=EXACT
        )
        total += explain(trace, "contribution", target=c).maps[0]
    np.testing.assert_allclose(total, 0, atol=EXACT)


def test_contribution_by_hand():
    trace = make_trace(tiny_config())
    w, r, head = trace.pooling_weights, trace.representation, trace.readout_weights.head
    for t in (0, 7, 14):
        expected = w[t] * sum(r[t, d] * (head[d, 2] - head[d].mean()) for d in range(8))
        assert explain(trace, "contribution", target=2).maps.reshape(-1)[t] == pytest.approx(expected, abs=EXACT)


def test_contrast_is_antisymmetric_and_sums_to_the_margin(trace):
    forward = explain(trace, "contrast", target=0, against=2).maps
    backward = explain(trace, "contrast", target=2, against="class 0").maps
    np.testing.assert_array_equal(forward, -backward)
    margin = (trace.logits - trace.bias)[0] - (trace.logits - trace.bias)[2]
    assert forward.sum() == pytest.approx(margin, abs=EXACT)


def test_adding_to_the_pool_bias_changes_nothing():
    trace = make_trace(tiny_config())
    weights = trace.readout_weights
    moved = dataclasses.replace(trace, readout_weights=dataclasses.replace(weights, pool_bias=weights.pool_bias + 5.0))
    for layer in range(len(trace.stream)):
        before, after = read_early(trace, layer), read_early(moved, layer)
        np.testing.assert_allclose(after.logits, before.logits, atol=1e-6)
        np.testing.assert_allclose(after.contributions, before.contributions, atol=1e-6)


# Rollout from the pool


def test_rollout_reports_attention_rows_that_do_not_sum_to_1(trace):
    assert explain(trace, "rollout").checks["rows sum to 1"] < 1e-6
    turned = dataclasses.replace(trace, attentions=np.swapaxes(trace.attentions, -1, -2).copy())  # transposed
    off = np.abs(turned.attentions.sum(axis=-1) - 1).max()
    assert explain(turned, "rollout").checks["rows sum to 1"] == pytest.approx(off, rel=1e-5)
    assert off > 0.1


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.5, 0.99])
def test_rows_of_every_mixing_matrix_sum_to_one(trace, fusion, discard):
    mixing = mixing_matrices(trace, head_fusion=fusion, alpha=0.7, discard=discard)
    np.testing.assert_allclose(mixing.sum(axis=-1), 1, atol=1e-12)
    heat = explain(trace, "rollout", head_fusion=fusion, discard=discard)
    assert heat.maps.min() >= 0
    np.testing.assert_allclose(heat.maps.sum(axis=(1, 2)), 1, atol=EXACT)


def test_rollout_by_hand():
    trace = make_trace(tiny_config())
    first, second = (0.5 * np.eye(15) + 0.5 * trace.attentions[layer].mean(axis=0) for layer in (0, 1))
    w = trace.pooling_weights
    maps = explain(trace, "rollout").maps.reshape(3, 15)
    np.testing.assert_allclose(maps[0], w, atol=1e-7)
    np.testing.assert_allclose(maps[1], w @ second, atol=1e-6)
    np.testing.assert_allclose(maps[2], w @ second @ first, atol=1e-6)


def test_rollout_without_attention_is_the_readout(trace):
    for step in explain(trace, "rollout", alpha=0.0).maps:
        np.testing.assert_array_equal(step.reshape(-1), trace.pooling_weights)


def test_rollout_of_uniform_attention_is_uniform(trace):
    uniform = dataclasses.replace(trace, attentions=np.full_like(trace.attentions, 1 / 15))
    np.testing.assert_allclose(explain(uniform, "rollout", alpha=1.0).maps[1:], 1 / 15, atol=1e-7)


def test_discard_drops_the_smallest_of_each_row(trace):
    mixing = mixing_matrices(trace, head_fusion="mean", alpha=1.0, discard=0.4)
    assert ((mixing == 0).sum(axis=-1) == 6).all()
    fused = trace.attentions.mean(axis=1)
    smallest_left = np.where(mixing > 0, fused, np.inf).min(axis=-1)
    largest_dropped = np.where(mixing > 0, -np.inf, fused).max(axis=-1)
    assert (largest_dropped <= smallest_left).all()


def test_rollout_with_a_class_token_starts_from_its_row(class_token_trace):
    trace = class_token_trace
    heat = explain(trace, "rollout")
    first, second = (0.5 * np.eye(16) + 0.5 * trace.attentions[layer].mean(axis=0) for layer in (0, 1))
    assert heat.names == ("through layer 2", "through layer 1")
    np.testing.assert_allclose(heat.maps[1].reshape(-1), (second @ first)[0, 1:], atol=1e-6)
    assert heat.class_share[1] == pytest.approx((second @ first)[0, 0], abs=1e-6)


def test_attention_shows_one_row_or_the_mean_weighted_by_the_pool(trace):
    np.testing.assert_allclose(
        explain(trace, "attention", layer=0, head=1, token=4).maps.reshape(-1), trace.attentions[0, 1, 4], atol=1e-7
    )
    assert explain(trace, "attention").names == ("layer 2, head 1", "layer 2, head 2")
    np.testing.assert_allclose(
        explain(trace, "attention", layer=-1).maps[0].reshape(-1),
        trace.pooling_weights @ trace.attentions[1, 0],
        atol=1e-6,
    )


def test_measured_alpha_is_the_share_of_the_attention_output(trace):
    shares = attention_shares(trace, "measured")
    output, stream = (np.sqrt((x[1, 7] ** 2).sum()) for x in (trace.attention_outputs, trace.stream))
    assert shares[1, 7] == pytest.approx(output / (output + stream), rel=1e-6)
    mixing = mixing_matrices(trace, head_fusion="mean", alpha="measured", discard=0.0)
    np.testing.assert_allclose(mixing.sum(axis=-1), 1, atol=1e-12)
    off = np.delete(mixing[1, 7], 7).sum()
    expected = shares[1, 7] * np.delete(trace.attentions[1].mean(axis=0)[7], 7).sum()
    assert off == pytest.approx(expected, rel=1e-5)
    still = dataclasses.replace(
        trace, stream=np.zeros_like(trace.stream), attention_outputs=np.zeros_like(trace.attention_outputs)
    )
    assert not attention_shares(still, "measured").any()


def test_rollout_can_start_from_the_mean_of_all_tokens(trace, class_token_trace):
    mixing = mixing_matrices(trace, head_fusion="mean", alpha=0.5, discard=0.0)
    maps = explain(trace, "rollout", readout="mean").maps
    np.testing.assert_allclose(maps[-1].reshape(-1), (mixing[1] @ mixing[0]).mean(axis=0), atol=1e-7)
    heat = explain(class_token_trace, "rollout", readout="mean")
    assert heat.names[0] == "readout"
    np.testing.assert_allclose(heat.maps[0], 1 / 15, atol=1e-7)


def test_contribution_rollout_by_hand(trace):
    first, second = mixing_matrices(trace, head_fusion="mean", alpha=0.3, discard=0.0)
    parts = trace.contributions[:, 1] - trace.contributions.mean(axis=1)
    heat = explain(trace, "contribution_rollout", target=1, alpha=0.3)
    np.testing.assert_allclose(heat.maps.reshape(-1), parts @ second @ first, atol=1e-6)
    assert heat.maps.sum() == pytest.approx(explain(trace, "contribution", target=1).maps.sum(), abs=EXACT)
    unmoved = explain(trace, "contribution_rollout", target=1, alpha=0.0).maps
    np.testing.assert_allclose(unmoved, explain(trace, "contribution", target=1).maps, atol=1e-7)


def test_grad_cam_is_positive_evidence():
    """Channels weighted by their mean gradient, as published, give the evidence over N for every pool that splits."""
    for pool in ("seqpool", "mean", "max"):
        trace = make_trace(tiny_config(pool=pool))
        target = int(trace.evidence.max(axis=0).argmax())  # of which some evidence is positive
        heat = explain(trace, "grad_cam", target=target)
        published = np.maximum(trace.representation @ representation_gradient(trace, target).mean(axis=0), 0)
        np.testing.assert_allclose(heat.maps.ravel(), published / published.sum(), atol=1e-6)
        positive = np.maximum(trace.evidence[:, target], 0)
        np.testing.assert_allclose(heat.maps.ravel(), positive / positive.sum(), atol=1e-6)


def test_effective_tokens_of_simple_maps():
    assert effective_tokens(np.full((3, 5), 1 / 15)) == pytest.approx(15)
    assert effective_tokens(np.eye(1, 15)) == pytest.approx(1)
    assert effective_tokens(np.zeros(15)) == 0


def test_effective_tokens_of_a_rollout_approach_all(trace):
    uniform = dataclasses.replace(trace, attentions=np.full_like(trace.attentions, 1 / 15))
    counts = [effective_tokens(step) for step in explain(uniform, "rollout", alpha=0.9).maps]
    assert counts[0] == pytest.approx(effective_tokens(trace.pooling_weights))
    assert (np.diff(counts) > 0).all()
    assert counts[-1] > 14.9


def test_channels_come_strongest_first(trace):
    maps = rank_channels(trace, 0)
    energy = (trace.feature_maps[0] ** 2).mean(axis=(0, 1))
    np.testing.assert_allclose((maps**2).mean(axis=(1, 2)), np.sort(energy)[::-1], rtol=1e-6)
    np.testing.assert_array_equal(maps[0], trace.feature_maps[0][..., energy.argmax()])
    with pytest.raises(ValueError, match="stage 2 does not exist"):
        rank_channels(trace, 2)
