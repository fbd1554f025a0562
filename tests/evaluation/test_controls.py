"""Chance, the distance to the centre and sampled Shapley values: what every map is compared with."""

import numpy as np
import pytest
from cell_classifier import make_case
from conftest import softmax

from cct_viz.evaluation.controls import CONTROLS, sampled_shapley
from cct_viz.images.preprocessing import normalise


@pytest.fixture(scope="module")
def case():
    return make_case()


def probability(classifier, trace, present):
    pixels = normalise(trace.pixels[None], classifier.config.preprocessing)
    return softmax(classifier.forward(pixels, np.asarray(present, np.float32)[None])[0])[trace.class_index()]


def test_the_centre_is_the_largest_and_falls_with_the_distance(case):
    classifier, trace, _ = case
    values = CONTROLS["centre_distance"](classifier, trace, np.random.default_rng(0))
    middle = np.array(trace.pixels.shape[:2]) / 2
    distance = np.linalg.norm(trace.stages[-1].centres.reshape(-1, 2) - middle, axis=1)
    assert values.min() == 0
    np.testing.assert_array_equal(np.argsort(-values, kind="stable"), np.argsort(distance, kind="stable"))


def test_chance_is_seeded(case):
    classifier, trace, _ = case
    a, b, c = (CONTROLS["random_order"](classifier, trace, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_shapley_values_are_mean_rises_and_sum_to_the_whole_rise(case):
    classifier, trace, _ = case
    values = sampled_shapley(classifier, trace, np.random.default_rng(3), orders=4)
    rng, expected = np.random.default_rng(3), np.zeros(15)
    for order in (rng.permutation(15), rng.permutation(15)):
        for one in (order, order[::-1]):
            present = np.zeros(15)
            before = probability(classifier, trace, present)
            for token in one:
                present[token] = 1
                after = probability(classifier, trace, present)
                expected[token] += (after - before) / 4
                before = after
    np.testing.assert_allclose(values, expected, atol=1e-5)  # float32 logits
    whole = probability(classifier, trace, np.ones(15)) - probability(classifier, trace, np.zeros(15))
    assert values.sum() == pytest.approx(whole, abs=1e-5)


def test_an_odd_number_of_orders_is_refused(case):
    classifier, trace, _ = case
    with pytest.raises(ValueError, match="expected an even number"):
        sampled_shapley(classifier, trace, np.random.default_rng(0), orders=3)
