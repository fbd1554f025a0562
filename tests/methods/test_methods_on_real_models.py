"""Tests that need TensorFlow: gradients against finite differences, and every identity on random Keras models."""

import json

import keras
import numpy as np
import pytest
from conftest import tiny_config
from contract import FROM_WEIGHTS, NOT_APPLICABLE, check_contract
from PIL import Image
from random_models import FORMS, random_model

from cct_viz.architecture.keras_model import named_weights
from cct_viz.cli import main
from cct_viz.evaluation.randomisation import VARIANTS, format_randomisation, parts_of, randomise_parameters
from cct_viz.images.preprocessing import normalise
from cct_viz.inference import gradients
from cct_viz.inference.gradients import differentiate, differentiate_layers, differentiate_pixels
from cct_viz.inference.load import open_weights
from cct_viz.methods import METHODS, NotApplicable, explain, takes
from cct_viz.methods.cam import representation_gradient
from cct_viz.methods.depth import attribute_logits, read_lens
from cct_viz.methods.pixels import integrate_gradients, multiply_gradient, smooth_gradient
from cct_viz.methods.rollout import attention_shares

pytestmark = pytest.mark.slow  # TensorFlow
FLOAT32 = 1e-5  # of the largest logit: sums of a few hundred float32 products
STEP = 1e-2  # of finite differences: float32 logits leave an error of about 1e-6 / STEP of the largest logit
DIFFERENCE = 2e-3
QUICK = {"integrated_gradients": {"steps": 4}, "smooth_grad": {"samples": 2}}  # the contract holds for any number


def make_classifier(form):
    config = FORMS[form]
    weights = {name: keras.ops.convert_to_numpy(v) for name, v in named_weights(random_model(config)).items()}
    return open_weights(config, weights)


def random_pixels(config, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (*config.image_size, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=FORMS)
def case(request):
    """A random model of one form, and its trace of a random image."""
    classifier = make_classifier(request.param)
    return classifier, classifier.trace(random_pixels(classifier.config))


def bound(trace):
    return FLOAT32 * max(1.0, float(np.abs(trace.logits).max()))


@pytest.mark.parametrize("method", [method for method in METHODS if takes(method, "classifier")])
def test_contract_on_real_models(case, method):
    """Of the methods that run the model again; test_methods.py holds the others to it on traces made by hand."""
    classifier, trace = case
    if (method, trace.pool) in NOT_APPLICABLE:
        with pytest.raises(NotApplicable, match="this model reads its answer"):
            explain(trace, method, target=1, classifier=classifier)
        return
    check_contract(trace, method, exact=bound(trace), classifier=classifier, **QUICK.get(method, {}))


def test_every_check_holds_on_a_real_trace(case):
    """What methods of a trace alone claim of their maps, as that they sum to the score, is true of a real pass too."""
    _, trace = case
    for method in METHODS:
        if (
            not takes(method, "classifier")
            and method not in FROM_WEIGHTS
            and (method, trace.pool) not in NOT_APPLICABLE
        ):
            check_contract(trace, method, exact=bound(trace))


@pytest.mark.parametrize("method", [method for method in METHODS if takes(method, "classifier")])
def test_a_constant_image_gives_finite_maps(keras_io, method):
    classifier, _ = keras_io
    trace = classifier.trace(np.zeros((*classifier.config.image_size, 3), np.uint8))
    heat = explain(trace, method, target=0, classifier=classifier)
    assert np.isfinite(heat.maps).all()


@pytest.fixture(scope="module")
def keras_io():
    classifier = make_classifier("keras.io")
    return classifier, classifier.trace(random_pixels(classifier.config))


# Gradients


def shifted_score(classifier, trace, target, layer, place, step):
    """y_c with one entry of one layer's attention changed by `step`; earlier layers stay the same."""
    shift = np.zeros((1, *trace.attentions.shape[1:]), np.float32)
    shift[0][place] = step
    attention = classifier.network.blocks[layer].attention
    dropout = attention.dropout
    attention.dropout = lambda attentions: attentions + shift
    try:
        batch = normalise(trace.pixels[None], classifier.config.preprocessing)
        return float(np.asarray(classifier.network(batch))[0, target])
    finally:
        attention.dropout = dropout


def test_attention_gradients_belong_to_their_layer(case):
    """Central finite differences on the entry of each layer's attention with the largest gradient."""
    classifier, trace = case
    gradients = differentiate(classifier, trace, 1).attentions
    assert gradients.shape == trace.attentions.shape
    for layer, gradient in enumerate(gradients):
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        ends = [shifted_score(classifier, trace, 1, layer, place, step) for step in (STEP, -STEP)]
        rise = (ends[0] - ends[1]) / (2 * STEP)
        assert gradient[place] == pytest.approx(rise, abs=DIFFERENCE * float(np.abs(gradients).max())), f"layer {layer}"


def test_gradient_of_each_readout_by_its_own_block(case):
    """LeGrad's gradients: those of the model at the last block, those of a model that ends there at an earlier one."""
    classifier, trace = case
    gradients = differentiate_layers(classifier, trace, 1)
    whole = differentiate(classifier, trace, 1)
    scale = np.abs(whole.attentions[-1]).max()
    np.testing.assert_allclose(gradients.attentions[-1], whole.attentions[-1], atol=1e-4 * scale)
    np.testing.assert_allclose(gradients.representation, whole.representation, atol=1e-4)
    blocks = classifier.network.blocks
    place = np.unravel_index(np.abs(gradients.attentions[0]).argmax(), gradients.attentions[0].shape)
    try:
        classifier.network.blocks = blocks[:1]
        ends = [shifted_score(classifier, trace, 1, 0, place, step) for step in (STEP, -STEP)]
    finally:
        classifier.network.blocks = blocks
    rise = (ends[0] - ends[1]) / (2 * STEP)
    assert gradients.attentions[0][place] == pytest.approx(rise, rel=10 * DIFFERENCE)


def test_representation_gradient_equals_that_of_the_framework(case):
    classifier, trace = case
    if trace.has_class_token:
        with pytest.raises(NotApplicable, match="class token"):
            representation_gradient(trace, 1)
        return
    expected = differentiate(classifier, trace, 1).representation
    np.testing.assert_allclose(representation_gradient(trace, 1), expected, atol=bound(trace))


def test_pool_weight_times_its_gradient_is_the_contribution(case):
    classifier, trace = case
    gradients = differentiate(classifier, trace, 2)
    if trace.pooling_weights is None:
        assert gradients.pooling_weights is None
        return
    leaf = trace.pooling_weights * gradients.pooling_weights
    np.testing.assert_allclose(leaf, trace.contributions[:, 2], atol=bound(trace))


def test_pixel_gradient_against_finite_differences(case):
    """Small steps in all pixels along the gradient: the score is nearly linear between the kinks of ReLU and max."""
    classifier, trace = case
    x = normalise(trace.pixels[None], classifier.config.preprocessing)
    score, gradient = differentiate_pixels(classifier, np.concatenate([x, x * 0.5]), 0)
    assert score[0] == pytest.approx(trace.logits[0], abs=bound(trace))
    direction = gradient[0] / np.linalg.norm(gradient[0])
    ends = classifier.forward(np.concatenate([x + 1e-3 * direction, x - 1e-3 * direction]))[:, 0]
    assert (gradient[0] * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.03)


@pytest.mark.parametrize("method", ["chefer", "legrad", "integrated_gradients"])
def test_compiled_gradients_equal_those_op_by_op(keras_io, monkeypatch, method):
    classifier, trace = keras_io
    plain = explain(trace, method, classifier=classifier)
    monkeypatch.setattr(gradients, "PATIENCE", 0)
    gradients.differentiate.cache_clear()
    compiled = explain(trace, method, classifier=classifier)
    np.testing.assert_allclose(compiled.maps, plain.maps, atol=1e-5 * np.abs(plain.maps).max())


@pytest.mark.parametrize("baseline", ["black", "blur"])
def test_integrated_gradients_sum_to_the_rise_from_the_baseline(keras_io, baseline):
    classifier, trace = keras_io
    coarse, fine = (
        explain(trace, "integrated_gradients", target=1, classifier=classifier, baseline=baseline, steps=steps)
        for steps in (4, 64)
    )
    name = "sums to the rise from the baseline"
    assert fine.checks[name] < 0.05 * max(1, np.abs(trace.logits).max())  # 64 steps across the kinks of ReLU and max
    assert fine.checks[name] <= coarse.checks[name] + 1e-3


def test_pixel_maps_have_the_models_resolution(keras_io):
    classifier, trace = keras_io
    for attribute in (integrate_gradients, smooth_gradient, multiply_gradient):
        pixels = attribute(trace, 1, classifier)
        assert pixels.values.shape == classifier.config.image_size
        if not pixels.signed:
            assert pixels.values.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {"steps": 0}),
        ("integrated_gradients", {"baseline": "white"}),
        ("smooth_grad", {"samples": 0}),
        ("integrated_gradients", {"steps": 2.5}),
        ("integrated_gradients", {"steps": True}),
        ("smooth_grad", {"samples": 2.0}),
        ("smooth_grad", {"noise": 2.0}),
        ("smooth_grad", {"noise": True}),
        ("smooth_grad", {"noise": "0.1"}),
        ("smooth_grad", {"seed": 0.5}),
        ("smooth_grad", {"seed": -1}),
        ("gradient_rollout", {"alpha": -1}),
        ("gradient_rollout", {"alpha": "half"}),
        ("chefer", {"normalise": 1}),
    ],
)
def test_options_out_of_range_are_refused(keras_io, method, options):
    classifier, trace = keras_io
    with pytest.raises(ValueError, match="expected"):
        explain(trace, method, classifier=classifier, **options)


def test_smooth_grad_repeats_by_seed(keras_io):
    classifier, trace = keras_io
    maps = [explain(trace, "smooth_grad", target=1, classifier=classifier, seed=s, samples=2).maps for s in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert (maps[0] != maps[2]).any()


def test_gradient_rollout_without_attention_is_the_readout(keras_io):
    classifier, trace = keras_io
    heat = explain(trace, "gradient_rollout", target=1, classifier=classifier, alpha=0.0)
    np.testing.assert_allclose(heat.maps.reshape(-1), trace.pooling_weights, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.3, "measured"])
def test_gradient_rollout_by_hand(keras_io, alpha):
    classifier, trace = keras_io
    gradients = differentiate(classifier, trace, 1).attentions
    row, shares = trace.pooling_weights.astype(np.float64), attention_shares(trace, alpha)
    for layer in (1, 0):
        positive = np.maximum(trace.attentions[layer] * gradients[layer], 0).mean(axis=0)
        total = positive.sum(axis=1, keepdims=True)
        positive = np.where(total > 0, positive / np.where(total > 0, total, 1), np.eye(15))
        mixing = np.diag(1 - shares[layer]) + shares[layer][:, None] * positive
        row = row @ mixing
    heat = explain(trace, "gradient_rollout", target=1, classifier=classifier, alpha=alpha)
    np.testing.assert_allclose(heat.maps.reshape(-1), row, atol=1e-6)  # float32 shares


def test_chefer_by_hand(keras_io):
    classifier, trace = keras_io
    gradients = differentiate(classifier, trace, 0).attentions
    first, second = (np.maximum(trace.attentions[i] * gradients[i], 0).mean(axis=0) for i in (0, 1))
    relevance = np.eye(15) + first
    relevance = relevance + second @ relevance
    query = np.maximum(trace.contributions[:, 0], 0)
    row = query @ relevance
    heat = explain(trace, "chefer", target=0, classifier=classifier, normalise=False)
    np.testing.assert_allclose(heat.maps.reshape(-1), row / row.sum(), atol=1e-6)
    beyond = relevance - np.eye(15)
    row = query @ (beyond / beyond.sum(axis=1, keepdims=True) + np.eye(15))  # eq. 8, 9 and 10
    heat = explain(trace, "chefer", target=0, classifier=classifier)
    np.testing.assert_allclose(heat.maps.reshape(-1), row / row.sum(), atol=1e-6)


def test_chefer_reads_a_class_token_by_its_row_alone():
    """Equations 8 and 9 belong to attention to another sequence; a class token is in the same one."""
    classifier = make_classifier("class token")
    trace = classifier.trace(random_pixels(classifier.config))
    maps = [explain(trace, "chefer", classifier=classifier, normalise=choice).maps for choice in (True, False)]
    np.testing.assert_array_equal(*maps)


def test_legrad_of_the_pool_is_positive_evidence(keras_io):
    classifier, trace = keras_io
    heat = explain(trace, "legrad", target=1, classifier=classifier)
    assert heat.names == ("block 1", "block 2", "pool", "mean of all")
    positive = np.maximum(trace.evidence[:, 1], 0)
    np.testing.assert_allclose(heat.maps[2].reshape(-1), positive / positive.sum(), atol=1e-5)
    np.testing.assert_allclose(heat.maps[3], heat.maps[:3].mean(axis=0), atol=1e-6)


# Identities of the forward pass on real models


def test_scores_decompose_and_are_bounded(case):
    classifier, trace = case
    exact = bound(trace)
    lens, parts = read_lens(trace), attribute_logits(trace)
    assert lens.check < exact
    assert parts.check < exact
    if trace.block == "pre_norm":
        heads = attribute_logits(trace, weights=classifier.weights)
        assert heads.check < exact
        layers, count = trace.attentions.shape[:2]
        assert sum("head" in name for name in heads.names) == layers * count
        whole = sum(parts.logits[parts.names.index(f"attention {i + 1}")] for i in range(layers))
        split = sum(row for name, row in zip(heads.names, heads.logits, strict=True) if "head" in name)
        np.testing.assert_allclose(split + heads.logits[0], whole + parts.logits[0], atol=exact)
        np.testing.assert_allclose(heads.logits[-1], parts.logits[-1], atol=exact)  # the last MLP stays the same
    if trace.has_class_token:
        return
    np.testing.assert_allclose(trace.contributions.sum(axis=0) + trace.bias, trace.logits, atol=exact)
    if trace.pooling_weights is None:
        return
    assert trace.pooling_weights.sum() == pytest.approx(1, abs=1e-6)
    scores = trace.logits - trace.bias
    assert (trace.evidence.min(axis=0) <= scores + exact).all()
    assert (scores <= trace.evidence.max(axis=0) + exact).all()


def test_drop_token_masks_it_and_differs_from_the_other_ablations(keras_io):
    """The three ablations differ, and drop_token equals masking by hand."""
    classifier, trace = keras_io
    dropped = explain(trace, "drop_token", target=1, classifier=classifier).maps.reshape(-1)
    mask = np.ones((1, 15), np.float32)
    mask[0, 4] = 0
    logits = classifier.forward(normalise(trace.pixels[None], classifier.config.preprocessing), mask)[0]
    fall = (trace.logits - trace.logits.mean())[1] - (logits - logits.mean())[1]
    assert dropped[4] == pytest.approx(fall, abs=bound(trace))
    pooled = explain(trace, "ablate_in_pool", target=1).maps.reshape(-1)
    hidden = explain(trace, "hide_pixels", target=1, classifier=classifier).maps.reshape(-1)
    assert np.abs(dropped - pooled).max() > 1e-3
    assert np.abs(dropped - hidden).max() > 1e-3


# The parameter randomisation test


@pytest.fixture(scope="module")
def table(keras_io):
    classifier, _ = keras_io
    methods = [m for m in METHODS if not takes(m, "classifier")] + ["chefer", "gradient_x_input"]
    return randomise_parameters(classifier, [random_pixels(classifier.config)], methods=methods)


def test_randomisation_has_a_row_for_every_weight(keras_io):
    classifier, _ = keras_io
    beginnings = [b for group in parts_of(classifier.config).values() for b in group]
    for name in classifier.weights:
        assert sum(name.startswith(b) for b in beginnings) == 1, name


def test_maps_change_only_with_the_parts_they_depend_on(table):
    unchanged = {
        "head": {"seqpool", "attention", "rollout", "rollout_paths", *VARIANTS},
        # sum_t w_t (e_tc - sum_s w_s e_sc) = 0 up to rounding, so the mean gradient of Grad-CAM is W_c / N for any pool
        "pool": {"evidence", "grad_cam", *VARIANTS},
        "final norm": set(VARIANTS),
        "MLP 2": set(VARIANTS),
        "values and output 2": set(VARIANTS),
    }
    for part, row in table.items():
        assert {name for name, changed in row.items() if changed is False} == unchanged.get(part, set()), part


def test_randomisation_is_formatted_as_a_table(table):
    text = format_randomisation(table)
    lines = text.splitlines()
    assert lines[0].startswith("| map | head | pool | final norm | MLP 2 |")
    assert "| seqpool | same | changes |" in text
    assert len(lines) == 2 + len(table["head"])


def test_randomisation_gives_none_for_methods_that_do_not_apply():
    classifier = make_classifier("class token")
    table = randomise_parameters(classifier, [random_pixels(classifier.config)], methods=["contribution", "rollout"])
    assert {row["contribution"] for row in table.values()} == {None}
    assert table["head"]["rollout"] is False
    assert "n/a" in format_randomisation(table)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (1, {"methods": ["rollout", "jet"]}, "no method is called 'jet'; choose one of seqpool"),
        (1, {"methods": []}, "0 methods and 1 images were given; expected one or more"),
        (0, {"methods": ["rollout"]}, "1 methods and 0 images were given"),
        (1, {"methods": ["rollout"], "seed": -1}, "seed is -1; expected"),
    ],
)
def test_randomisation_refuses_bad_arguments(keras_io, images, options, message):
    classifier, _ = keras_io
    with pytest.raises(ValueError, match=message):
        randomise_parameters(classifier, [random_pixels(classifier.config)] * images, **options)


def test_explain_command_runs_gradient_methods(capsys, tiny_folder, tiny_classifier, tmp_path):
    Image.fromarray(random_pixels(tiny_config())).save(tmp_path / "photo.png")
    arguments = ["explain", str(tmp_path / "photo.png"), "--model", str(tiny_folder), "--out", str(tmp_path / "out")]
    arguments += ["--method", "integrated_gradients", "--method", "chefer", "--option", "steps=8", "--json"]
    assert main(arguments) == 0
    explanations = json.loads(capsys.readouterr().out)["explanations"]
    assert explanations["integrated_gradients"]["options"] == {"baseline": "black", "steps": 8}
    assert explanations["chefer"]["checks"]["w times its gradient is the contribution"] < 1e-4


def test_randomisation_command(capsys, tiny_folder, tiny_classifier, tmp_path):
    config = tiny_config()
    np.savez(tmp_path / "data.npz", x=random_pixels(config)[None], y=[0])
    arguments = ["randomisation", "--model", str(tiny_folder), "--data", str(tmp_path / "data.npz"), "--images", "1"]
    assert main([*arguments, "--methods", "seqpool, rollout,grad_cam", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == list(parts_of(config))
    expected = {"seqpool": False, "rollout": False, "rollout, uniform readout": False, "grad_cam": True}
    assert printed["head"] == expected
