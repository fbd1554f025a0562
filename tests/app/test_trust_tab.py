"""The trust tab shows the measured numbers, and messages for what does not apply to a model."""

import json
import re
from html import unescape
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import make_trace, tiny_config

import cct_viz
from cct_viz.app import plot
from cct_viz.app.models import Card
from cct_viz.app.tabs import trust
from cct_viz.app.view import Shown
from cct_viz.app.words import MINUS
from cct_viz.evaluation.faithfulness import judge, measure
from cct_viz.methods import explain

ROOT = Path(__file__).parents[2]
RANDOMISATION = ROOT / "weights/keras_cct_cifar10/randomisation.json"


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


@pytest.fixture(scope="module")
def deer(classifier):
    return classifier.trace(ROOT / "cct_viz/web/example_images/deer.png")


@pytest.mark.slow
def test_curves_are_the_measured_ones(classifier, deer):
    text = unescape(trust.measure_map(classifier, deer, "contribution", "token_drop"))
    measured = measure(classifier, deer, explain(deer, "contribution").maps[0])
    assert f"Insertion {MINUS} deletion = {measured.curves.srg[0]:+.3f} (chance: 0)." in text
    share = "all" if measured.percentile == 1 else f"{100 * measured.percentile:.0f} % of"
    assert f"Better than {share} 20 random orders. {judge(measured.percentile)}" in text
    lines = re.findall('<polyline class="thick" points="(.*?)"', text)
    for which, line in zip(("deletion", "insertion"), lines, strict=True):
        heights = np.array([float(point.split(",")[1]) for point in line.split()])
        values = 1 - (heights - 8) / (plot.HEIGHT - 40)
        np.testing.assert_allclose(values, getattr(measured.curves, which)[0], atol=1e-3)  # written with one decimal


@pytest.mark.slow
def test_band_contains_the_random_orders(classifier, deer):
    text = trust.measure_map(classifier, deer, "seqpool", "mean")
    assert len(re.findall("<polygon", text)) == 2
    assert "Grey: 90 % of the random orders." in text


def test_three_ways_to_remove_a_token_share_one_scale(classifier, deer):
    text = unescape(trust.compare_ablations(classifier, deer))
    assert re.findall("<b>(.*?)</b>", text) == ["Not pooled", "Masked in the encoder", "Pixels covered"]
    assert text.count("<img") == 3
    assert len(set(re.findall(r"full colour is (\S+) logits", text))) == 1
    for alt in re.findall('alt="(.*?)"', text):
        assert "8 by 8 tokens" in alt


def test_other_tools_state_the_difference_of_their_sums(deer):
    text = unescape(trust.compare_tools(deer))
    target = deer.class_index()
    missed = explain(deer, "hires_cam").maps.sum() - (deer.logits[target] - deer.bias[target])
    assert f"differs from the score by {missed:+.2f} logits".replace("-", MINUS) in text
    assert text.count("<img") == 5


def test_class_token_model_gets_notes_on_missing_maps():
    trace = make_trace(tiny_config(pool="class_token"))
    assert "Attention rollout" in trust.compare_tools(trace)
    assert "Contribution" not in trust.compare_tools(trace)


def test_contributions_of_one_sign_are_in_logits():
    airplane = cct_viz.load("keras_cct_cifar10").trace(ROOT / "cct_viz/web/example_images/airplane.png")
    assert explain(airplane, "contribution").maps.min() > 0
    (contribution,) = re.findall(r"<b>Contribution</b> (.*?)</figcaption>", trust.compare_tools(airplane))
    assert re.fullmatch(
        r"exact: sums to the score over the mean class, error \de-0\d; full colour is \+0\.\d\d logits", contribution
    )


def test_randomisation_table_is_read_from_the_weights_folder(deer):
    shown = Shown("a.png", "a", Card("keras_cct_cifar10", 1, None, "bundled", "", deer.labels, (32, 32)), deer)
    text = trust.randomisation(shown)
    assert '<th scope="row">Attention rollout</th><td><b>no</b></td>' in text  # the first part is the head
    assert text.count('<tr><th scope="row">') == len(json.loads(RANDOMISATION.read_text())["head"])
    other = Shown("a.png", "a", Card("mine", 1, None, "folder", "", deer.labels, (32, 32)), deer)
    assert trust.randomisation(other) == ""


@pytest.mark.slow
def test_button_gives_results_or_messages(classifier, deer):
    class Models:
        def get(self, name):
            return classifier

    with gr.Blocks() as page:
        view = trust.build(gr.State(), Models())
    answer = next(f.fn for f in page.fns.values() if any(event == "click" for _, event in f.targets))
    shown = Shown("a.png", "a", Card("keras_cct_cifar10", 1, None, "bundled", "", deer.labels, (32, 32)), deer)
    assert "Deletion and insertion" in answer(shown, "rollout", "black", lambda *_: None)
    assert "choose it again" in answer(None, "rollout", "black", lambda *_: None)
    pool = Shown("a.png", "a", shown.card, make_trace(tiny_config(pool="class_token")))
    assert "class token" in answer(pool, "seqpool", "black", lambda *_: None)
    assert view.draw(shown) == [""]  # another picture clears the old result
