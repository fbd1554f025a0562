"""The model tab shows the configuration and the files next to the weights; sections without data are left out."""

import dataclasses
import json
from html import unescape

import numpy as np
import pytest
from conftest import make_trace, tiny_config

import cct_viz
from cct_viz.app.models import Card
from cct_viz.app.tabs import model as model_page
from cct_viz.app.view import Shown
from cct_viz.architecture.pools import POOLS
from cct_viz.architecture.presets import PRESETS
from cct_viz.checkpoints.given import ASSUMED_PIXELS
from cct_viz.inference.classifier import Classifier
from cct_viz.training.evaluate import measure


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "cct_7_3x1_32",
            ("7 encoder blocks", "4 heads of width 64, MLP 512", "SeqPool"),
        ),
        ("vit_7_4_32", ("Class token", "4\N{MULTIPLICATION SIGN}4 convolution, stride 4")),
        (
            "cct_14_7x2_224",
            (
                "14 encoder blocks",
                "receptive field 51\N{MULTIPLICATION SIGN}51 pixels",
                "5,521.9 M multiply-accumulates (MACs) per image",
                "196\N{MULTIPLICATION SIGN}384",
            ),
        ),
    ],
)
def test_architecture_matches_the_configuration(name, words):
    text = unescape(model_page.architecture(PRESETS[name].config))
    for word in words:
        assert word in text, text


def test_metrics_are_those_of_the_files(classifier):
    metrics = json.loads((classifier.folder / "metrics.json").read_text())
    text = unescape(model_page.figures(metrics, classifier.config))
    assert f"Top-1 accuracy {100 * metrics['accuracy']:.2f} %, top-5" in text
    table = model_page.confusion(metrics, classifier.labels)
    assert table.count("<tr>") == 11
    assert sum(map(sum, metrics["confusion"])) == metrics["images"]
    for row in metrics["confusion"]:
        for count in row:
            assert f">{count}</td>" in table


def test_metrics_of_independent_classes_are_named_as_such():
    config = tiny_config(output="sigmoid", labels=("ant", "bee"))
    metrics = measure(np.array([[1.0, -1.0], [1.0, 2.0]]), np.array([[1, 0], [0, 1]]), output="sigmoid").record()
    text = unescape(model_page.figures(metrics, config))
    assert text.startswith('<p class="caption">Right answers (yes from 50 %) 75.00 %, binary cross-entropy')
    assert "top" not in text
    table = model_page.confusion(metrics, config.labels)
    assert '<th scope="row">ant</th><td>0</td><td>1</td><td>0</td><td>1</td>' in table
    assert '<th scope="row">bee</th><td>1</td><td>0</td><td>0</td><td>1</td>' in table


def test_assumptions_are_shown(tiny_classifier):
    config = dataclasses.replace(tiny_classifier.config, assumptions=(ASSUMED_PIXELS, "A <b>."))
    told = Classifier(config, tiny_classifier.weights, tiny_classifier.source, tiny_classifier._runner)
    card = Card("tiny", 1, None, "folder", "0123456789", config.labels, config.image_size, config.assumptions)
    text = model_page.describe_model(told, Shown("a.png", "a", card, make_trace(config)))
    assert "<h3>What was assumed</h3>" in text
    assert ASSUMED_PIXELS in text
    assert "A &lt;b&gt;." in text
    shown = Shown("a.png", "a", card, make_trace(config))
    assert "What was assumed" not in model_page.describe_model(tiny_classifier, shown)


def test_curves_end_where_the_history_ends(classifier):
    history = json.loads((classifier.folder / "history.json").read_text())
    text = model_page.curves(history)
    assert text.count("<svg") == 2
    assert f"ends at {100 * history[-1]['val_accuracy']:.2f} %" in text
    assert model_page.curves(history[:1]) == ""


def test_folder_without_metrics_has_no_metrics_section(tmp_path):
    assert model_page._read_history(tmp_path) is None
    (tmp_path / "history.json").write_text("{")
    assert model_page._read_history(tmp_path) is None
    assert model_page._card(tmp_path) == ""


def test_card_is_escaped(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# <script>alert(1)</script>")
    text = model_page._card(tmp_path)
    assert "<script>" not in text
    assert "license" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_has_a_box(pool):
    assert POOLS[pool].title in model_page.architecture(tiny_config(pool=pool))
