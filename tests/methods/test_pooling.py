"""The pooling laboratory and what pooling weights explain, by hand."""

import dataclasses

import numpy as np
import pytest
from conftest import make_trace, softmax, tiny_config

from cct_viz.methods import NotApplicable, explain
from cct_viz.methods import laboratory as lab
from cct_viz.methods.pooling import weights_explain

EXACT = 1e-5  # float32 logits of order 10


@pytest.mark.parametrize("pool", ["max", "class_token"])
def test_models_without_pooling_weights_are_refused(pool):
    trace = make_trace(tiny_config(pool=pool))
    for ask in (lab.pool_uniformly, lab.pool_shuffled, lab.top_token):
        with pytest.raises(NotApplicable, match="no pooling weights"):
            ask(trace)


def test_temperature_goes_from_mean_pooling_to_the_top_token(trace):
    np.testing.assert_allclose(lab.sharpen(trace, 1.0).logits, trace.logits, atol=EXACT)
    np.testing.assert_allclose(lab.sharpen(trace, 1.0).probabilities, trace.probabilities, atol=EXACT)
    np.testing.assert_allclose(lab.sharpen(trace, 0.0).logits, lab.pool_uniformly(trace).logits, atol=1e-12)
    np.testing.assert_allclose(lab.sharpen(trace, 1e4).logits, lab.top_token(trace).logits, atol=1e-9)
    np.testing.assert_allclose(lab.sharpen(trace, 2.5).weights, softmax(2.5 * trace.pool_scores), atol=1e-6)


def test_mean_pooling_has_no_scores_to_sharpen():
    trace = make_trace(tiny_config(pool="mean"))
    with pytest.raises(NotApplicable, match="no pool scores"):
        lab.sharpen(trace, 2.0)


def test_painted_weights_change_the_scores_by_their_evidence(trace):
    painted = trace.pooling_weights.astype(np.float64).copy()
    painted[3], painted[7] = painted[3] + 0.05, painted[7] - min(0.05, painted[7])
    painted /= painted.sum()
    moved = (painted - trace.pooling_weights) @ trace.evidence
    np.testing.assert_allclose(lab.pool_with(trace, painted).logits - trace.logits, moved, atol=EXACT)
    as_grid = lab.pool_with(trace, 7 * painted.reshape(trace.grid))  # unscaled, on the grid
    np.testing.assert_allclose(as_grid.logits, lab.pool_with(trace, painted).logits, atol=1e-12)


def test_shuffled_weights_are_the_same_values_in_another_order(trace):
    shuffled = lab.pool_shuffled(trace, seed=3)
    np.testing.assert_allclose(np.sort(shuffled.weights), np.sort(trace.pooling_weights), atol=1e-7)
    assert (shuffled.weights != trace.pooling_weights).any()
    np.testing.assert_array_equal(shuffled.weights, lab.pool_shuffled(trace, seed=3).weights)
    assert (shuffled.weights != lab.pool_shuffled(trace, seed=4).weights).any()


@pytest.mark.parametrize(
    "weights",
    [np.ones(14), np.ones((5, 3)), np.ones((1, 15)), np.zeros(15), -np.eye(1, 15)[0], np.full(15, np.nan)],
)
def test_impossible_weights_are_refused(trace, weights):
    with pytest.raises(ValueError, match="the weights"):
        lab.pool_with(trace, weights)


def test_impossible_tokens_and_temperatures_are_refused(trace):
    with pytest.raises(ValueError, match="token 15 does not exist"):
        lab.pool_one(trace, 15)
    with pytest.raises(ValueError, match=r"token is 1\.5; expected a whole number"):
        lab.pool_one(trace, 1.5)
    with pytest.raises(ValueError, match="beta is inf"):
        lab.sharpen(trace, np.inf)


def test_the_note_says_where_the_weights_explain_the_contributions():
    trace = make_trace(tiny_config())
    own = np.corrcoef(trace.relative(trace.contributions)[:, 1], trace.pooling_weights)[0, 1] ** 2
    assert weights_explain(trace, 1) == pytest.approx(own, rel=1e-6)
    assert own < 0.9
    assert explain(trace, "contribution", target=1).note == ""
    deep = dataclasses.replace(trace, representation=np.tile(trace.representation[:1], (15, 1)))  # all tokens alike
    assert weights_explain(deep, 1) == pytest.approx(1)
    assert explain(deep, "contribution", target=1).note.startswith("The pooling weights explain 100% of this map's")
    assert weights_explain(make_trace(tiny_config(pool="mean")), 1) is None
    assert weights_explain(make_trace(tiny_config(pool="max")), 1) is None
