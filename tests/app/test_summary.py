"""An explanation in a few lines: what a language model reads."""

import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config

from cct_viz.app.summary import MAPS, TOKENS, summarise
from cct_viz.inference.bands import Band
from cct_viz.inference.heatmaps import Heatmaps
from cct_viz.methods import explain


@pytest.mark.parametrize("method", ["rollout", "contribution", "attention"])
def test_the_strongest_tokens_have_their_places_and_values(method):
    trace = make_trace(tiny_config())
    heatmaps = explain(trace, method)
    summary = summarise(trace, heatmaps, trace.labels[0], None)
    assert summary["top"][0] == {
        "label": trace.top(1)[0][0],
        "probability": pytest.approx(trace.top(1)[0][1], abs=1e-4),
    }
    assert summary["identity_errors"] == pytest.approx(dict(heatmaps.checks), rel=0.1)
    assert len(summary["maps"]) + summary["more_maps"] == len(heatmaps.names)
    for told, (name, values) in zip(summary["maps"], heatmaps, strict=False):
        assert (told["name"], len(told["strongest"])) == (name, TOKENS)
        first = told["strongest"][0]
        assert first["value"] == pytest.approx(values[first["row"], first["column"]], rel=1e-3)
        assert abs(first["value"]) == pytest.approx(np.abs(values).max(), rel=1e-3)
    assert all(0 <= token["x"] <= 1 and 0 <= token["y"] <= 1 for told in summary["maps"] for token in told["strongest"])
    assert len(json.dumps(summary)) < 3500


def test_places_are_shares_of_the_picture():
    """12 x 20 pixels, 3 x 5 tokens: a token in the middle sees the middle of the picture."""
    trace = make_trace(tiny_config())
    values = np.zeros((1, 3, 5), np.float32)
    values[0, 1, 2] = -1
    heatmaps = Heatmaps(values, ("mine",), True, "contribution", trace=trace)
    token = summarise(trace, heatmaps, "a", None)["maps"][0]["strongest"][0]
    assert (token["row"], token["column"], token["value"]) == (1, 2, -1)
    height, width = np.array(token["y"]) * 12, np.array(token["x"]) * 20
    np.testing.assert_allclose((height, width), trace.stages[-1].centres[1, 2], atol=0.02)


def test_what_a_probability_is_worth_is_a_sentence():
    trace = make_trace(tiny_config())
    heatmaps = explain(trace, "rollout")
    said = summarise(trace, heatmaps, "a", Band(0.9, 1.0, 200, 190))["worth"]
    assert said.startswith("Of 100 validation images answered with 90% to 100%, 95 were right.")
    for band in (None, Band(0.9, 1.0, 0, 0)):
        assert "not measured" in summarise(trace, heatmaps, "a", band)["worth"]


def test_of_many_maps_the_first_are_told():
    trace = make_trace(tiny_config())
    many = Heatmaps(np.ones((MAPS + 3, 3, 5), np.float32), tuple("abcdefg"), False, "attention", trace=trace)
    summary = summarise(trace, many, "a", None)
    assert (len(summary["maps"]), summary["more_maps"]) == (MAPS, 3)
