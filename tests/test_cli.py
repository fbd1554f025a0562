"""The command line as a person types it."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import leave_out_xla, tiny_config, write_random_checkpoint
from PIL import Image

from cct_viz.architecture.config import Preprocessing, read_config, write_config
from cct_viz.architecture.presets import DEFAULT, PRESETS
from cct_viz.checkpoints.cache import sha256
from cct_viz.checkpoints.given import ASSUMED_LABELS
from cct_viz.cli import main
from cct_viz.methods import METHODS, method_title, takes

ROOT = Path(__file__).parent.parent
FORWARD = [method for method in METHODS if not takes(method, "classifier")]  # the others are slow, and tested elsewhere


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    return str(path)


def test_classify(capsys, tiny_folder, tiny_classifier, photo):
    assert main(["classify", photo, "--model", str(tiny_folder), "--json", "--top", "2"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    expected = tiny_classifier.trace(photo).top(2)
    assert [(entry["label"], entry["probability"]) for entry in answer["top"]] == expected
    assert main(["classify", photo, "--model", str(tiny_folder)]) == 0
    assert expected[0][0] in capsys.readouterr().out


def test_assumptions_are_said_once_on_stderr(capsys, cache, photo, tmp_path):
    config = tiny_config(assumptions=(ASSUMED_LABELS,), channels=1, preprocessing=Preprocessing((0.4,), (0.2,)))
    folder = write_random_checkpoint(tmp_path / "assumed", config)
    assert main(["classify", photo, photo, "--model", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err.count("note: ") == 1
    assert f"cct_viz: note: {ASSUMED_LABELS}\n" in err
    assert out.count("class ") == 6


def test_stretching_is_asked_for_and_said(capsys, tiny_folder, tiny_classifier, tmp_path):
    path = str(tmp_path / "scan.png")
    Image.fromarray(np.linspace(0, 4095, 240).astype(np.uint16).reshape(12, 20)).save(path)
    assert main(["classify", path, "--model", str(tiny_folder)]) == 0
    dark, err = capsys.readouterr()
    assert "cct_viz: note: scan.png has 16-bit grey values but uses 1/16 of their range" in err
    assert main(["classify", path, "--model", str(tiny_folder), "--stretch"]) == 0
    bright, err = capsys.readouterr()
    assert "it was stretched from 12 bits" in err
    assert bright != dark


def test_evaluating_one_class_counts_yes_and_no(capsys, cache, tmp_path):
    config = tiny_config(output="sigmoid", labels=("cat",))
    folder = write_random_checkpoint(tmp_path / "yes_or_no", config)
    x = np.random.default_rng(0).integers(0, 256, (6, *config.image_size), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(6) % 2)
    command = ["evaluate", "--model", str(folder), "--data", str(tmp_path / "data.npz")]
    assert main([*command, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert set(metrics) == {"accuracy", "loss", "ece", "images"}
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"right answers (yes from 50 %) {metrics['accuracy']:.2%}, loss")
    assert lines[1].startswith("mean probability of the answers ")
    no, wrong_yes, wrong_no, yes, label = lines[3].split()
    assert int(no) + int(wrong_yes) == int(wrong_no) + int(yes) == 3
    assert (int(no) + int(yes)) / 6 == pytest.approx(metrics["accuracy"])
    assert label == "cat"


@pytest.mark.slow
def test_a_grey_model_of_one_class_is_trained_and_measured(capsys, cache, tmp_path, without_xla):
    grey = Preprocessing((0.5,), (0.2,))
    config = tiny_config(channels=1, preprocessing=grey, output="sigmoid", labels=("cat",), activation="gelu_tanh")
    write_config(tmp_path / "arch.json", config)
    x = np.random.default_rng(0).integers(0, 256, (40, *config.image_size), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(40) % 2)
    words = ["train", "--arch", str(tmp_path / "arch.json"), "--data", str(tmp_path / "data.npz")]
    assert main([*words, "--out", str(tmp_path / "out"), "--epochs", "1", "--batch-size", "12", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert read_config(tmp_path / "out" / "config.json") == config
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| right answers, yes from 50 % | {metrics['accuracy']:.2%} |" in card
    assert f"| binary cross-entropy | {metrics['loss']:.4f} nats |" in card
    assert "top-5" not in card


def test_one_bad_image_does_not_cost_the_others_their_answer(capsys, tiny_folder, tiny_classifier, photo, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    assert main(["classify", str(tmp_path / "bad.png"), photo, "--model", str(tiny_folder), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [Path(answer["image"]).name for answer in json.loads(out)] == ["photo.jpg"]
    assert "bad.png" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_explain_writes_pictures_numbers_and_the_trace(capsys, tiny_folder, tiny_classifier, photo, tmp_path):
    out = tmp_path / "out"
    arguments = ["explain", photo, "--out", str(out), "--model", str(tiny_folder), "--target", "class 1", "--json"]
    arguments += [word for method in FORWARD for word in ("--method", method)]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    record = json.loads((out / "explanation.json").read_text())
    assert printed == record
    assert record["target"] == "class 1"
    assert set(record["explanations"]) == set(FORWARD)
    for method in FORWARD:
        with Image.open(out / f"{method}.png") as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
        assert all(error < 1e-4 for error in record["explanations"][method]["checks"].values())
    with np.load(out / "trace.npz") as saved:
        total = saved["contributions"].sum(axis=0) + saved["bias"]
        np.testing.assert_allclose(total, record["logits"], atol=1e-4)  # of logits of order 10
    assert {path.name for path in out.iterdir()} == {
        "explanation.json",
        "captions.tex",
        "trace.npz",
        "feature_maps_0.png",
        "feature_maps_1.png",
        *(f"{method}.png" for method in FORWARD),
    }


@pytest.mark.slow
def test_explain_names_the_methods_that_do_not_apply(capsys, class_token_folder, photo, tmp_path):
    arguments = ["explain", photo, "--model", str(class_token_folder), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--method", "seqpool", "--method", "rollout", "--method", "contribution"]) == 0
    *preparing, note = capsys.readouterr().err.splitlines()
    assert preparing in ([], ["Preparing class_token, once on this machine ..."])  # by the first to load it
    assert note == "cct_viz: note: not applicable to this model: seqpool, contribution"
    assert main([*arguments, "--method", "rollout"]) == 0
    assert capsys.readouterr().err == ""


def test_models(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["keras_cct_cifar10"]["parameters"] == 416_331
    assert rows["keras_cct_cifar10"]["tokens"] == 64
    row = rows["cct_7_3x1_32_sine_c100"]
    assert (row["parameters"], row["classes"], row["position"]) == (3_783_269, 100, "sinusoidal")
    assert row["receptive_field"] == {"size": 5, "stride": 2}
    assert row["macs"] == 1024 * 27 * 256 + 7 * 10 * 256**3 + 2 * 256 * 256 + 256 * 100
    assert row["published"] == "cct_7_3x1_32_sine_cifar100_5000epochs.pth"
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(DEFAULT)
    assert "283,723 parameters" in lines[0]
    assert len(lines) == len(rows)
    assert max(map(len, lines)) < 230


def test_evaluate(capsys, tiny_folder, tiny_classifier, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 12, 20, 3), dtype=np.uint8), rng.integers(0, 3, 40)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    arguments = ["evaluate", "--model", str(tiny_folder), "--data", str(tmp_path / "data.npz"), "--json"]
    assert main([*arguments, "--out", str(tmp_path / "metrics.json")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"accuracy", "top5", "loss", "ece", "images"}
    predicted = np.array([int(trace.logits.argmax()) for trace in tiny_classifier.traces(x)])
    assert printed["accuracy"] == pytest.approx((predicted == y).mean())
    saved = json.loads((tmp_path / "metrics.json").read_text())
    assert np.sum(saved["confusion"]) == 40
    expected = np.mean([trace.pooling_weights for trace in tiny_classifier.traces(x)], axis=0)
    np.testing.assert_allclose(saved["position_prior"], expected, atol=1e-7)  # eight decimals of float32 sums


@pytest.mark.slow
def test_train_makes_a_folder_that_loads(capfd, tmp_path, cache, monkeypatch):
    """--json leaves stdout to the answer, whatever the libraries print there."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 80)
    x = rng.integers(0, 100, (80, 12, 20, 3))
    x[np.arange(80), :, :, y] += 120
    np.savez(tmp_path / "data.npz", x=x.astype(np.uint8), y=y)
    from conftest import tiny_config

    from cct_viz.architecture.config import read_config, write_config

    write_config(tmp_path / "tiny.json", tiny_config(pool="mean"))  # which --pool replaces
    arguments = ["--arch", tmp_path / "tiny.json", "--data", tmp_path / "data.npz", "--out", tmp_path / "out"]
    options = ["--epochs", "2", "--batch-size", "8", "--pool", "seqpool", "--json"]
    assert main(["train", *map(str, arguments), *options]) == 0
    out, err = capfd.readouterr()
    printed = json.loads(out)
    assert printed["images"] == 8
    out = tmp_path / "out"
    names = {"config.json", "model.safetensors", "metrics.json", "history.json", "README.md"}
    assert names <= {path.name for path in out.iterdir()}
    with Image.open(out / "learning_curves.png") as curves:
        assert curves.format == "PNG"
    assert "Epoch 1/2, 0:" in err
    assert "Epoch 2/2, 0:00:00 left" in err
    card = (out / "README.md").read_text()
    assert f"{printed['accuracy']:.2%}" in card
    assert "--arch tiny.json --pool seqpool --recipe keras_io --data DATA --out out" in card
    assert "--epochs 2" in card
    assert "cifar" not in card.lower()
    assert str(tmp_path) not in card
    assert "`position_prior` in `metrics.json`" in card

    from cct_viz.inference.load import load

    classifier = load(out)
    assert len(classifier.trace(x[0].astype(np.uint8)).top(3)) == 3
    assert classifier.position_prior.shape == (15,)
    assert classifier.position_prior.sum() == pytest.approx(1)

    pictures = tmp_path / "own"  # which nothing trained on: two classes of it, in folders
    for i in range(20):
        (pictures / f"kind_{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[i].astype(np.uint8)).save(pictures / f"kind_{i % 2}" / f"{i}.png")
    leave_out_xla(monkeypatch)
    arguments = ["train", "--from", out, "--data", pictures, "--epochs", "1", "--batch-size", "8", "--out"]
    assert main([*map(str, arguments), str(pictures / "out")]) == 1  # it would pass for a class the next time
    assert main([*map(str, arguments), str(out)]) == 1
    assert main([*map(str, arguments), str(tmp_path / "tuned")]) == 0
    assert read_config(tmp_path / "tuned" / "config.json").labels == ("kind 0", "kind 1")
    card = (tmp_path / "tuned" / "README.md").read_text()
    first, second = [line for line in card.splitlines() if line.startswith("    python -m cct_viz train")]
    assert "--arch tiny.json --pool seqpool" in first
    assert "--from out --recipe fine_tune" in second
    assert sha256(out / "model.safetensors") in card
    assert "license: apache-2.0" in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "x.png", "--model", "nothing"], "neither a preset"),
        (["classify", "x.png", "--top", "0"], "--top is 0; expected 1 or more classes"),
        (["evaluate", "--data", "missing.npz"], "missing.npz cannot be read: No such file or directory"),
        (["train", "--arch", "cct_99", "--data", "missing.npz", "--out", "o"], "cct_99"),
        (["train", "--arch", "cct_2_3x2_32", "--data", "missing.npz", "--out", "o"], "missing.npz"),
        (["train", "--from", "cct_2_3x2_32", "--data", "missing.npz", "--out", "o"], "without weights"),
        (
            ["train", "--from", "keras_cct_cifar10", "--pool", "mean", "--data", "cifar10", "--out", "o"],
            "--pool needs --arch",
        ),
        (["train", "--arch", "cct_2_3x2_32", "--data", "cifar10", "--out", "o", "--epochs", "0"], "epochs is 0"),
    ],
)
def test_errors_are_one_sentence_on_stderr(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "classify",
        "explain",
        "analyse",
        "report",
        "models",
        "convert",
        "push",
        "train",
        "evaluate",
        "score",
        "randomisation",
    ],
)
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_own_data_does_not_get_the_names_of_a_presets_classes(monkeypatch, tmp_path):
    """Ten classes are not CIFAR-10's because they are ten."""
    from cct_viz.training import finish, train

    seen = {}

    def fake_train(config, *rest, **options):
        seen["labels"] = config.labels
        raise ValueError("far enough")

    monkeypatch.setattr(train, "train", fake_train)
    monkeypatch.setattr(finish, "finish", None)
    np.savez(
        tmp_path / "own.npz",
        x=np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8),
        y=np.arange(60) % 10,
    )
    arguments = [
        "train",
        "--arch",
        "keras_cct_cifar10",
        "--data",
        str(tmp_path / "own.npz"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 1
    assert seen["labels"][0] == "class 0"


def test_an_output_folder_that_is_a_file_is_named(capsys, tiny_folder, tiny_classifier, photo, tmp_path):
    (tmp_path / "taken").write_text("")
    assert main(["explain", photo, "--out", str(tmp_path / "taken"), "--model", str(tiny_folder)]) == 1
    err = capsys.readouterr().err
    assert "taken cannot be used: Not a directory" in err
    assert "Errno" not in err


LONG = {  # what takes long, and which of a command's options name what it writes
    "evaluate --data x.npz --out": "cct_viz.inference.load.load",
    "evaluate --data x.npz --gauge": "cct_viz.inference.load.load",
    "score --data x.npz --out": "cct_viz.inference.load.load",
    "explain photo.jpg --out": "cct_viz.inference.load.load",
    "analyse photo.jpg --out": "cct_viz.inference.load.load",
    "report . --out": "cct_viz.cli.dataset.read_analysis",
    "site --out": "cct_viz.web.site.page_html",
    "convert weights.pth --out": "cct_viz.checkpoints.child.read",
}


@pytest.mark.parametrize("command", LONG)
def test_what_cannot_be_written_is_refused_before_it_is_computed(capsys, photo, tmp_path, monkeypatch, command):
    (tmp_path / "taken").write_text("")
    (tmp_path / "weights.pth").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LONG[command], lambda *arguments, **options: pytest.fail("it was computed"))
    assert main([*command.split(), "taken/out"]) == 1
    assert "taken cannot be used: Not a directory" in capsys.readouterr().err


def test_what_lies_damaged_beside_weights_is_said_once(capsys, tiny_folder, tmp_path, monkeypatch):
    """Silently, a model would lose its table, its gauge or its curves."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    files = ("metrics.json", "history.json", "randomisation.json", "score.json", "gauge.safetensors")
    for name in files:
        (folder / name).write_text("{")
    mine = dataclasses.replace(PRESETS[DEFAULT], config=tiny_config(), folder=folder)
    monkeypatch.setattr("cct_viz.cli.checkpoints.PRESETS", {"mine": mine})
    assert main(["models"]) == main(["models", "--json"]) == 0
    err = capsys.readouterr().err
    assert sorted(line.split()[2] for line in err.splitlines()) == sorted(f"model/{name}" for name in files)
    (folder / "score.json").write_text('{"sha256": "other", "table": []}')
    (folder / "metrics.json").write_text("[]")
    assert main(["models"]) == 0
    err = capsys.readouterr().err
    assert "model/score.json is ignored: it was measured on other weights" in err
    assert "model/metrics.json is ignored: it holds no JSON object" in err


def test_help_of_explain_lists_the_methods_with_names_for_people(capsys):
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    out = capsys.readouterr().out
    for method in METHODS:
        assert re.search(rf"^  {method} +{re.escape(method_title(method))}$", out, re.MULTILINE)
