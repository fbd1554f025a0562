import dataclasses

import numpy as np
import pytest
from conftest import make_trace, tiny_config

from cct_viz.architecture.pools import POOLS
from cct_viz.inference.heatmaps import Heatmaps
from cct_viz.inference.trace import NotApplicable, trace_arrays

EXACT = 1e-5  # float32 sums of 15 tokens and 8 channels of order 1


@pytest.mark.parametrize("pool", [name for name, pool in POOLS.items() if pool.splits])
def test_contributions_and_bias_sum_to_the_logits(pool):
    trace = make_trace(tiny_config(pool=pool))
    np.testing.assert_allclose(trace.contributions.sum(axis=0) + trace.bias, trace.logits, atol=EXACT)


@pytest.mark.parametrize("pool", POOLS)
def test_readout_sums_to_one(pool):
    trace = make_trace(tiny_config(pool=pool))
    assert trace.readout.shape == (15 + (pool == "class_token"),)
    assert trace.readout.min() >= 0
    assert trace.readout.sum() == pytest.approx(1, abs=1e-6)


def test_class_token_has_no_contributions(class_token_trace):
    assert class_token_trace.tokens.shape == (15, 8)
    assert class_token_trace.evidence.shape == (15, 3)
    with pytest.raises(NotApplicable, match="class token"):
        _ = class_token_trace.contributions


def test_scores_lie_within_the_range_of_the_evidence(trace):
    assert (trace.evidence.min(axis=0) <= trace.logits - trace.bias + EXACT).all()
    assert (trace.logits - trace.bias <= trace.evidence.max(axis=0) + EXACT).all()


def test_top_is_sorted_and_sums_to_one(trace):
    top = trace.top(3)
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    assert sum(p for _, p in top) == pytest.approx(1, abs=1e-6)
    assert top[0][0] == trace.labels[int(trace.logits.argmax())]


@pytest.mark.parametrize("k", [0, -2])
def test_top_refuses_k_below_one(trace, k):
    with pytest.raises(ValueError, match="expected 1 or more"):
        trace.top(k)


def test_huge_logits_give_finite_probabilities(trace):
    huge = dataclasses.replace(trace, logits=np.float32([1000, -1000, 999]))
    assert np.isfinite(huge.probabilities).all()


def test_arrays_are_read_only(trace):
    for name, array in trace_arrays(trace).items():
        assert not array.flags.writeable or array.base is None, name
    for array in (trace.attentions, trace.evidence, trace.probabilities, trace.contributions, trace.feature_maps[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream", np.zeros((3, 14, 8), np.float32)),
        ("attentions", np.zeros((2, 2, 15, 14), np.float32)),
        ("logits", np.zeros(4, np.float32)),
        ("pooling_weights", None),
    ],
)
def test_shape_error_names_both_shapes(trace, field, value):
    with pytest.raises(ValueError, match=rf"Trace.{field} has shape .*; expected \("):
        dataclasses.replace(trace, **{field: value})


@pytest.mark.parametrize(("target", "index"), [(None, None), (2, 2), (np.int64(2), 2), ("class 1", 1), ("2", 2)])
def test_classes_are_found_by_name_and_index(trace, target, index):
    assert trace.class_index(target) == (int(trace.logits.argmax()) if index is None else index)


def test_class_named_by_a_number_is_found_by_its_name(trace):
    assert dataclasses.replace(trace, labels=("7", "0", "1")).class_index("1") == 2


@pytest.mark.parametrize("target", [3, -1, 1.5, -0.5, "cat", "3", "²", "x" * 300, [1]])
def test_unknown_classes_are_refused(trace, target):
    with pytest.raises(ValueError, match=r"^.{0,120}$"):
        trace.class_index(target)


def test_heatmaps_check_their_shapes():
    with pytest.raises(ValueError, match="2 names"):
        Heatmaps(np.zeros((1, 2, 3), np.float32), ("a", "b"), signed=False, method="x")
