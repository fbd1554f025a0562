"""How usual a picture is: fitted on one half of the validation images, compared with the other, read from a file."""

import errno
import json
import shutil

import numpy as np
import pytest
from conftest import tiny_config
from PIL import Image
from safetensors.numpy import load_file, save_file

import cct_viz.inference.gauge
from cct_viz.cli import main
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.gauge import FILE, fit_gauge, measure_auroc
from cct_viz.inference.load import load
from cct_viz.training import evaluate

DIM = tiny_config().embedding_dim


def draw(count, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, DIM)) @ np.diag(np.arange(1, DIM + 1)) + shift).astype(np.float32)


def test_distances_are_those_of_the_covariance():
    pooled = draw(4000)
    gauge = fit_gauge(pooled)
    expected = np.linalg.norm(pooled / np.arange(1, DIM + 1), axis=1)  # the true mean is 0
    np.testing.assert_allclose(gauge.distance(pooled), expected, rtol=0.15)  # as good as 2,000 vectors give it
    farther = np.array([gauge.record(one)["farther_than"] for one in draw(1000, seed=1)])
    assert abs(farther.mean() - 50) < 3
    assert gauge.auroc is None


def test_auroc_is_the_share_of_pairs():
    known, unknown = np.array([1.0, 2.0, 3.0]), np.array([2.0, 5.0])
    assert measure_auroc(known, unknown) == pytest.approx((1.5 + 3) / 6)
    assert fit_gauge(draw(1000), draw(300, 1)).auroc == pytest.approx(0.5, abs=0.06)
    assert fit_gauge(draw(1000), draw(300, 1, shift=50)).auroc == 1


def test_few_images_are_refused():
    with pytest.raises(ValueError, match="needs 202 or more"):
        fit_gauge(draw(201))


def test_the_pooled_vector_is_what_the_head_reads(tiny_classifier):
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 20, 3), dtype=np.uint8)
    logits, pooled = tiny_classifier.read_pooled(normalise(images, tiny_classifier.config.preprocessing))
    head = tiny_classifier.weights["head/kernel"], tiny_classifier.weights["head/bias"]
    np.testing.assert_allclose(pooled @ head[0] + head[1], logits, atol=1e-4)
    trace = tiny_classifier.trace(images[1])
    np.testing.assert_allclose(trace.pooled, pooled[1], atol=1e-5)


@pytest.fixture
def gauged(tiny_folder, cache, tmp_path):
    """A copy of the tiny model with a gauge made by the command."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    x = np.random.default_rng(0).integers(0, 256, (210, 12, 20, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(210, int))
    np.savez(tmp_path / "other.npz", x=x[:20] // 4, y=np.zeros(20, int))
    arguments = [
        "evaluate",
        "--model",
        str(folder),
        "--data",
        str(tmp_path / "data.npz"),
        "--gauge",
        str(folder / FILE),
    ]
    assert main([*arguments, "--unknown", str(tmp_path / "other.npz")]) == 0
    return folder


@pytest.fixture
def evaluated(tiny_folder, cache, tmp_path, monkeypatch):
    """run(arguments) evaluates the tiny model on 202 images; `.done` lists the evaluations."""
    x = np.random.default_rng(0).integers(0, 256, (202, 12, 20, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(202, int))
    np.savez(tmp_path / "few.npz", x=x[:201], y=np.zeros(201, int))

    def run(*arguments, data="data.npz"):
        command = ["evaluate", "--model", str(tiny_folder), "--data", str(tmp_path / data)]
        return main([*command, *map(str, arguments)])

    def measure(*arguments):
        run.done.append(arguments)
        return measured(*arguments)

    run.done, measured = [], evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", measure)
    return run


@pytest.mark.parametrize(
    ("data", "gauge", "unknown", "why"),
    [
        ("few.npz", "gauge.safetensors", None, "201 validation images; a gauge of percentiles needs 202 or more"),
        ("data.npz", "gauge.safetensors", "missing.npz", "missing.npz cannot be read"),
        ("data.npz", "missing/gauge.safetensors", None, "missing cannot be used: No such file or directory"),
        ("data.npz", None, "data.npz", "--unknown belongs to a gauge; give --gauge FILE too"),
    ],
)
def test_a_gauge_that_cannot_be_is_refused_before_the_evaluation(
    evaluated, tmp_path, capsys, data, gauge, unknown, why
):
    named = {"--gauge": gauge, "--unknown": unknown, "--out": "metrics.json"}
    arguments = [part for name, file in named.items() if file for part in (name, tmp_path / file)]
    assert evaluated(*arguments, data=data) == 1
    assert why in capsys.readouterr().err
    assert evaluated.done == []
    assert not (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "gauge.safetensors").exists()


def test_the_metrics_are_there_before_the_gauge_is_written(evaluated, tmp_path, monkeypatch, capsys):
    def fail(path, gauge):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(cct_viz.inference.gauge, "write_gauge", fail)
    assert evaluated("--gauge", tmp_path / "gauge.safetensors", "--out", tmp_path / "metrics.json", "--json") == 1
    out, err = capsys.readouterr()
    assert "No space left on device" in err
    assert json.loads(out)["images"] == json.loads((tmp_path / "metrics.json").read_text())["images"] == 202


def test_evaluate_writes_it_and_classify_says_it(gauged, tmp_path, capsys):
    Image.new("RGB", (20, 12), "red").save(tmp_path / "a.png")
    capsys.readouterr()
    assert main(["classify", str(tmp_path / "a.png"), "--model", str(gauged), "--json"]) == 0
    classifier = load(gauged)
    trace = classifier.trace(tmp_path / "a.png")
    expected = classifier.gauge.record(trace.pooled)
    assert json.loads(capsys.readouterr().out)[0]["usual"] == expected
    assert 0 <= expected["auroc"] <= 1


def test_a_table_has_no_column_for_it_and_computes_none(gauged, tmp_path, monkeypatch, capsys):
    Image.new("RGB", (20, 12), "red").save(tmp_path / "a.png")
    monkeypatch.setattr(Classifier, "read_pooled", lambda *arguments: pytest.fail("it computes pooled vectors"))
    arguments = ["classify", str(tmp_path / "a.png"), "--model", str(gauged), "--out", str(tmp_path / "table.csv")]
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1


def test_a_classifier_reads_it_once(gauged):
    """The server asks for each call of /classify."""
    classifier = load(gauged)
    gauge = classifier.gauge
    (gauged / FILE).unlink()
    assert gauge is not None
    assert classifier.gauge is gauge


DAMAGED = {
    "a matrix of another size": lambda arrays: arrays | {"root": arrays["root"][:-1]},
    "a number that is none": lambda arrays: arrays | {"mean": arrays["mean"] * np.nan},
    "falling percentiles": lambda arrays: arrays | {"distances": arrays["distances"][::-1].copy()},
    "an impossible share": lambda arrays: arrays | {"auroc": np.array([1.5], np.float32)},
    "no mean": lambda arrays: {name: array for name, array in arrays.items() if name != "mean"},
    "whole numbers": lambda arrays: arrays | {"mean": np.zeros(DIM, np.int32)},
}


def test_a_damaged_gauge_is_none(gauged):
    arrays = load_file(gauged / FILE)
    assert load(gauged).gauge is not None
    for what, damage in DAMAGED.items():
        save_file(damage(arrays), gauged / FILE)
        assert load(gauged).gauge is None, what
    (gauged / FILE).write_bytes(b"nothing")
    assert load(gauged).gauge is None
    (gauged / FILE).unlink()
    assert load(gauged).gauge is None
