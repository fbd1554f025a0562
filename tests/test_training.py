"""Training on a tiny model: it learns, and an interrupted run ends with the same weights."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import softmax, tiny_config

from cct_viz.training.data import DataError, Images, augment, load_images, split
from cct_viz.training.evaluate import measure


@pytest.fixture(scope="module")
def images() -> Images:
    """Images whose class is the colour that is bright: easy to learn."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    x = rng.integers(0, 100, (120, 12, 20, 3))
    x[np.arange(120), :, :, y] += 120
    return Images(x.astype(np.uint8), y)


def save(path, images):
    np.savez(path, x=images.x, y=images.y)
    return str(path)


def test_images_are_ordered_by_their_bytes_whatever_order_they_came_in(tmp_path, images):
    shuffled = np.random.default_rng(1).permutation(len(images.x))
    first = load_images(save(tmp_path / "a.npz", images))
    second = load_images(save(tmp_path / "b.npz", Images(images.x[shuffled], images.y[shuffled])))
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)
    training, validation = split(first)
    assert (len(training.x), len(validation.x)) == (108, 12)
    np.testing.assert_array_equal(validation.x, first.x[-12:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 4, 4, 3), np.uint8)}, r"holds \['x'\]"),
        ({"x": np.zeros((2, 4, 4, 3)), "y": np.zeros(2, int)}, "x is float64"),
        ({"x": np.zeros((2, 4, 4), np.uint8), "y": np.zeros(2, int)}, r"\(2, 4, 4\)"),
        ({"x": np.zeros((2, 4, 4, 3), np.uint8), "y": np.zeros(3, int)}, r"y is int64 \(3,\)"),
        ({"x": np.zeros((0, 4, 4, 3), np.uint8), "y": np.zeros(0, int)}, "n > 0"),
        ({"x": np.zeros((2, 4, 4, 3), np.uint8), "y": np.array([0, -1])}, "y goes down to -1"),
        ({"x": np.array([None]), "y": np.zeros(1, int)}, "cannot be read"),
    ],
)
def test_odd_data_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_images(str(tmp_path / "odd.npz"))


def test_files_that_are_no_data_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    for name in ("text.npz", "missing.npz"):
        with pytest.raises(DataError, match=name):
            load_images(str(tmp_path / name))


def test_too_few_images_for_a_batch_are_refused(tmp_path, images):
    from cct_viz.training.train import Recipe, train

    with pytest.raises(DataError, match="120 training images do not fill one batch of 128"):
        train(tiny_config(), images, images, Recipe(epochs=1), tmp_path)


def test_augmented_images_are_moved_and_mirrored_and_nothing_else():
    image = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    allowed = {
        crop[:, ::direction].tobytes()
        for y in range(9)
        for x in range(9)
        for crop in [padded[y : y + 10, x : x + 14]]
        for direction in (1, -1)
    }
    batch = augment(np.stack([image] * 300), np.random.default_rng(1))
    assert batch.shape == (300, 10, 14, 3)
    assert {one.tobytes() for one in batch} <= allowed
    assert len({one.tobytes() for one in batch}) > 100


def test_progress_says_where_how_fast_and_how_long(monkeypatch, capsys):
    from cct_viz.training import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = progress.Progress(5, images_per_epoch=400)
    for epoch in (2, 3):  # two epochs were done before the interruption
        said.on_epoch_begin(epoch)
        now[0] += 8
        said.on_train_batch_end(3)
        now[0] += 2  # validation
        said.on_epoch_end(epoch, {"accuracy": 0.5})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Epoch 3/5, 0:00:20 left, 50 images/s: accuracy 0.5000",
        "Epoch 4/5, 0:00:10 left, 50 images/s: accuracy 0.5000",
    ]


def test_metrics_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.5, 0.4, 0.1]]))
    metrics = measure(logits, np.array([0, 1, 0, 1]))
    assert metrics.accuracy == 0.5
    assert metrics.top5 == 1.0
    assert metrics.loss == pytest.approx(-np.log([0.7, 0.4, 0.1, 0.4]).mean())
    # Confidences .7 (right), .4 (right), .8 (wrong), .5 (wrong) fall into four bins of their own.
    assert metrics.ece == pytest.approx((0.3 + 0.6 + 0.8 + 0.5) / 4)
    assert metrics.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_calibrated_predictions_have_little_calibration_error():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 4))
    y = (softmax(logits).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert measure(logits, y).ece < 0.015  # 20,000 draws in 15 bins leave about .01 of noise


def test_interrupted_training_ends_with_the_same_weights(tmp_path, images):
    import keras

    from cct_viz.model import named_weights
    from cct_viz.training import train as module

    config = tiny_config(stochastic_depth=0.3, dropout=0.1)
    training, validation = split(images)
    recipe = module.Recipe(epochs=4, batch_size=16, learning_rate=5e-3)
    whole = module.train(config, training, validation, recipe, tmp_path / "whole")

    class StopInThirdEpoch(module.Batches):
        def __getitem__(self, index):
            if self.epoch == 2 and index == 3:
                raise RuntimeError("power cut")
            return super().__getitem__(index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Batches", StopInThirdEpoch)
        with pytest.raises(Exception, match="power cut"):  # TensorFlow wraps it in an error of its own
            module.train(config, training, validation, recipe, tmp_path / "cut")
    assert len(json.loads((tmp_path / "cut" / module.HISTORY).read_text())) == 2
    keras.utils.set_random_seed(99)  # whatever else ran in between must not matter
    resumed = module.train(config, training, validation, recipe, tmp_path / "cut")
    for (name, a), b in zip(named_weights(whole).items(), named_weights(resumed).values(), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), name)
    history = json.loads((tmp_path / "whole" / module.HISTORY).read_text())
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    assert history[-1]["loss"] < history[0]["loss"]
    with pytest.raises(DataError, match="another recipe"):
        module.train(config, training, validation, dataclasses.replace(recipe, epochs=9), tmp_path / "cut")
