"""The three ablations against direct computation, on a model simple enough to solve by hand."""

import dataclasses

import numpy as np
import pytest
from cell_classifier import make_case
from conftest import make_trace, tiny_config
from contract import check_contract

from cct_viz.architecture.pools import POOLS
from cct_viz.images.preprocessing import normalise
from cct_viz.methods import explain
from cct_viz.methods.ablation import paint_over

EXACT = 1e-5  # float32 logits of order 1


def without(trace, t, c):
    """The score of class c against the mean class, pooled again without token t."""
    others = np.arange(len(trace.evidence)) != t
    if trace.pool == "max":
        logits = trace.representation[others].max(axis=0) @ trace.readout_weights.head
    else:
        w = trace.pooling_weights[others].astype(np.float64)
        logits = (w / w.sum()) @ trace.evidence[others]
    return (logits - logits.mean())[c]


@pytest.mark.parametrize("pool", [name for name, pool in POOLS.items() if pool.splits])
def test_ablation_in_the_pool_is_pooling_without_the_token(pool):
    trace = make_trace(tiny_config(pool=pool))
    scores = trace.logits - trace.bias
    score = (scores - scores.mean())[2]
    expected = [score - without(trace, t, 2) for t in range(15)]
    np.testing.assert_allclose(explain(trace, "ablate_in_pool", target=2).maps.reshape(-1), expected, atol=EXACT)


def test_ablation_in_the_pool_handles_a_token_with_all_the_weight():
    trace = make_trace(tiny_config())
    weights = np.eye(1, 15, 4, dtype=np.float32)[0]
    sure = dataclasses.replace(
        trace,
        pooling_weights=weights,
        logits=(weights @ trace.representation) @ trace.readout_weights.head + trace.bias,
    )
    maps = explain(sure, "ablate_in_pool", target=0).maps.reshape(-1)
    scores = sure.logits - sure.bias
    assert maps[4] == pytest.approx((scores - scores.mean())[0], abs=EXACT)
    np.testing.assert_array_equal(np.delete(maps, 4), 0)


def test_dropping_a_token_removes_its_part_of_the_score():
    classifier, trace, parts = make_case()
    heat = check_contract(trace, "drop_token", exact=EXACT, classifier=classifier)
    expected = parts[:, 1] - parts.mean(axis=1)
    np.testing.assert_allclose(heat.maps.reshape(-1), expected, atol=EXACT)


@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
def test_hide_pixels_paints_over_the_receptive_field(baseline):
    classifier, trace, _ = make_case()
    paint = paint_over(trace.pixels, baseline)
    y0, x0, y1, x1 = trace.receptive_field[6]
    hidden = trace.pixels.copy()
    hidden[y0:y1, x0:x1] = paint[y0:y1, x0:x1]
    after = classifier.forward(normalise(hidden[None], classifier.config.preprocessing))[0]
    fall = (trace.logits - trace.logits.mean())[1] - (after - after.mean())[1]
    heat = explain(trace, "hide_pixels", target=1, classifier=classifier, baseline=baseline)
    assert heat.maps.reshape(-1)[6] == pytest.approx(fall, abs=EXACT)
    check_contract(trace, "hide_pixels", exact=EXACT, classifier=classifier)


def test_painted_images_run_in_batches_of_64():
    classifier, trace, _ = make_case(tiny_config(image_size=(40, 40)))
    classifier.batches.clear()
    explain(trace, "hide_pixels", classifier=classifier)
    assert trace.grid == (10, 10)
    assert classifier.batches == [64, 37]


def test_baselines_remove_the_content_of_the_image():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    assert not paint_over(pixels, "black").any()
    mean = paint_over(pixels, "mean")
    assert (mean == mean[0, 0]).all()
    np.testing.assert_allclose(mean[0, 0], pixels.mean(axis=(0, 1)), atol=0.5)
    assert paint_over(pixels, "blur").std() < 0.3 * pixels.std()
    flat = np.full((12, 20, 3), 77, np.uint8)
    np.testing.assert_array_equal(paint_over(flat, "blur"), flat)
    with pytest.raises(ValueError, match="baseline is 'white'"):
        paint_over(pixels, "white")
