"""Every bundled model against a forward pass of its own: logits, identities at every depth, receptive fields."""

import numpy as np
import pytest
from reference import FOLDERS, Frozen, Network, image_for

import cct_viz
from cct_viz.methods.input_split import split_scores

pytestmark = pytest.mark.truth
FLOAT32 = 2e-5  # relative error of the package, which runs in float32, against float64
NAMES = [folder.name for folder in FOLDERS]


@pytest.fixture(scope="module", params=FOLDERS, ids=NAMES)
def case(request):
    """The independent network and pass, and the package's trace of the same picture."""
    network = Network(request.param)
    pixels = image_for(network)
    return network, network.run(network.tokens(pixels)), cct_viz.load(request.param).trace(pixels)


def assert_close(value, expected):
    np.testing.assert_allclose(value, expected, rtol=0, atol=FLOAT32 * np.abs(expected).max())


def test_the_package_runs_the_model_of_the_paper(case):
    _, seen, trace = case
    assert_close(trace.logits, seen.logits)
    assert_close(trace.stream, np.stack(seen.streams))
    assert_close(trace.attentions, np.stack(seen.attentions))
    assert_close(trace.representation, seen.representation)
    if seen.weights is None:
        assert trace.pooling_weights is None
    else:
        assert_close(trace.pooling_weights, seen.weights)


def test_a_running_sum_over_the_tokens_lands_on_the_logits(case):
    """y = b + sum_t f_t r_t W, from the independent pass; the package's parts at the pool are the same."""
    network, seen, trace = case
    parts = (seen.factors * seen.representation) @ network.weights["head/kernel"]
    running = network.weights["head/bias"] + np.cumsum(parts, axis=0)
    np.testing.assert_allclose(running[-1], seen.logits, rtol=1e-12)
    if network.config["pool"] != "class_token":
        assert_close(trace.contributions, parts)


def test_the_score_splits_over_the_tokens_at_every_depth(case):
    """In the frozen network tokens and biases sum to the logits before every block; single tokens are the package's."""
    network, seen, trace = case
    frozen, directions = Frozen(network, seen), np.random.default_rng(0).normal(size=(len(trace.labels), 2))
    split = split_scores(trace, directions)
    assert len(split.parts) == len(seen.streams)
    at_pool = (seen.factors * seen.representation) @ network.weights["head/kernel"] @ directions
    assert_close(split.parts[-1], at_pool)
    for depth, x in enumerate(seen.streams[:-1]):
        tokens = np.random.default_rng(depth).choice(len(x), 2, replace=False)
        chosen = np.concatenate([np.eye(len(x))[tokens], np.ones((1, len(x)))])  # single tokens, then all of them
        *alone, whole = frozen.scores(chosen[..., None] * x, depth, constants=False)
        constants = frozen.scores(np.zeros_like(x), depth, constants=True)
        np.testing.assert_allclose(whole + constants, seen.logits, rtol=1e-9, atol=1e-9)
        expected = np.array([*alone, whole, constants]) @ directions
        got = np.array([*split.parts[depth][tokens], split.parts[depth].sum(axis=0), split.constants[depth]])
        assert_close(got, expected)
