"""The model tab shows the configuration and the files next to the weights; sections without data are left out."""

import json
from html import unescape

import pytest
from conftest import tiny_config

import cct_viz
from cct_viz.app.tabs import model as model_page
from cct_viz.architecture.pools import POOLS
from cct_viz.architecture.presets import PRESETS


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
    text = unescape(model_page.figures(metrics))
    assert f"Top-1 accuracy {100 * metrics['accuracy']:.2f} %, top-5" in text
    table = model_page.confusion(metrics, classifier.labels)
    assert table.count("<tr>") == 11
    assert sum(map(sum, metrics["confusion"])) == metrics["images"]
    for row in metrics["confusion"]:
        for count in row:
            assert f">{count}</td>" in table


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
