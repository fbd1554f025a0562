"""The headline map comes from a table of these very weights, or from none."""

import json
import shutil

import pytest

from cct_viz.cli import main
from cct_viz.evaluation.headline import headline_method
from cct_viz.inference.load import load


@pytest.fixture
def with_table(tiny_folder, cache, tmp_path):
    """write(record) puts a score.json beside a copy of the tiny weights and loads them."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")

    def write(record, text=None):
        (folder / "score.json").write_text(json.dumps(record) if text is None else text)
        return load(folder)

    return write


def table(sha256, **srg):
    return {"sha256": sha256, "table": [{"method": method, "srg": value} for method, value in srg.items()]}


def test_it_is_the_best_map_that_needs_no_further_pass(with_table, tiny_classifier):
    own = tiny_classifier.source.sha256
    rows = {"sampled_shapley": 0.9, "drop_token": 0.8, "rollout": 0.2, "evidence": 0.3}
    assert headline_method(with_table(table(own, **rows))) == "evidence"
    assert headline_method(tiny_classifier) is None
    assert headline_method(with_table(table("other", **rows))) is None
    assert headline_method(with_table(table(own, drop_token=0.8))) is None


def test_the_table_is_read_once_for_each_classifier(with_table, tiny_classifier):
    """A folder of pictures asks for each picture, the server for each call."""
    classifier = with_table(table(tiny_classifier.source.sha256, rollout=0.2))
    assert headline_method(classifier) == "rollout"
    (classifier.folder / "score.json").unlink()
    assert headline_method(classifier) == "rollout"
    assert headline_method(load(classifier.folder)) is None


@pytest.mark.parametrize("text", ["", "[]", '{"table": 3}', "[" * 100_000, "null"])
def test_a_damaged_table_is_none(with_table, text):
    assert headline_method(with_table(None, text)) is None


@pytest.mark.parametrize("srg", ["x", None, [1], "nan"])
def test_damaged_values_are_none(with_table, tiny_classifier, srg):
    assert headline_method(with_table(table(tiny_classifier.source.sha256, rollout=srg))) is None


def test_explain_names_it(with_table, tiny_classifier, tmp_path, capsys):
    from PIL import Image

    classifier = with_table(table(tiny_classifier.source.sha256, rollout=0.2, seqpool=0.1))
    Image.new("RGB", (20, 12), "red").save(tmp_path / "a.png")
    arguments = ["explain", str(tmp_path / "a.png"), "--model", str(classifier.folder), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--method", "rollout", "--method", "input_contribution"]) == 0
    out = capsys.readouterr().out
    assert "The headline map is rollout" in out
    assert "input_contribution: Score " in out  # a map's note
    assert json.loads((tmp_path / "out/explanation.json").read_text())["headline"] == "rollout"
    assert main([*arguments, "--method", "seqpool"]) == 0
    assert "headline" not in capsys.readouterr().out
