"""What a probability is worth: bands of certainty, counted, read back, and said with an answer."""

import itertools
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cct_viz.cli import main
from cct_viz.inference.bands import EDGES, count_bands, find_band, read_bands
from cct_viz.training.evaluate import measure


def test_each_answer_is_counted_once():
    confidence = np.array([0.1, 0.5, 0.59, 0.6, 0.95, 1.0, 1.0])
    correct = np.array([True, False, True, True, True, True, False])
    bands = count_bands(confidence, correct)
    assert [(band.low, band.high) for band in bands] == list(itertools.pairwise(EDGES))
    assert [(band.images, band.right) for band in bands] == [(1, 1), (2, 1), (1, 1), (0, 0), (0, 0), (3, 2)]
    assert bands[-1].record()["of_100"] == 67
    assert bands[3].record()["of_100"] is None


def test_metrics_have_the_bands_and_the_direction_of_the_calibration_error():
    logits = np.log([[0.7, 0.3], [0.95, 0.05], [0.4, 0.6]])
    metrics = measure(logits, np.array([[1, 0], [1, 0], [0, 1]]))
    assert metrics.confidence == pytest.approx((0.7 + 0.95 + 0.6) / 3)
    assert metrics.confidence < metrics.accuracy  # too modest
    assert sum(band.images for band in metrics.bands) == 3
    record = json.loads(json.dumps(metrics.record()))
    assert find_band(read_bands(record), 0.93).images == 1
    assert find_band(read_bands(record), 1.0).low == 0.9
    assert measure(logits, np.array([[1, 0], [1, 0], [0, 1]]), output="sigmoid").bands == ()


@pytest.mark.parametrize(
    "bands",
    [
        *(None, 3, [3], [{}], [{"low": 0, "high": 1, "images": "many", "right": 1}]),
        *([{"low": 0, "high": 1, "images": 1, "right": 2}], [{"low": 1, "high": 0, "images": 1, "right": 1}]),
        [{"low": 0, "high": 1, "images": float("nan"), "right": 1}],
    ],
)
def test_damaged_bands_are_none(bands):
    assert find_band(read_bands({"bands": bands}), 0.5) is None


def test_classify_says_it(tiny_folder, cache, tmp_path, capsys):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    band = {"low": 0.0, "high": 1.0, "images": 50, "right": 41}
    (folder / "metrics.json").write_text(json.dumps({"bands": [band]}))
    Image.new("RGB", (20, 12), "red").save(tmp_path / "a.png")
    assert main(["classify", str(tmp_path / "a.png"), "--model", str(folder)]) == 0
    assert "(82 of 100 such answers were right, on pictures of the model's own classes)" in capsys.readouterr().out
    assert main(["classify", str(tmp_path / "a.png"), "--model", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["band"] == {**band, "of_100": 82}
    assert main(["classify", str(tmp_path / "a.png"), "--model", str(tiny_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["band"] is None
