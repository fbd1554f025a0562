"""Training on a tiny model: it learns, and an interrupted run ends with the same weights."""

import copy
import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import softmax, tiny_config
from PIL import Image

from cct_viz.architecture.config import ConfigError, numbered_labels
from cct_viz.architecture.pools import POOLS
from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.cache import sha256
from cct_viz.images.preprocessing import Preprocessing
from cct_viz.inference.load import load
from cct_viz.training.augmentation import OPERATIONS, augment, erase, mix, rand_augment
from cct_viz.training.data import DataError, Images, digest, load_images, make_targets, split
from cct_viz.training.evaluate import _match_classes, evaluate, measure
from cct_viz.training.plan import PLAN, Plan, agree
from cct_viz.training.recipes import RECIPES, Recipe
from cct_viz.training.start import start_from, untrained_config


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


@pytest.mark.parametrize("pool", ["median", ""])
def test_a_made_up_pool_is_refused(images, pool):
    with pytest.raises(ConfigError, match=f"pool is '{pool}'; expected one of {', '.join(POOLS)}"):
        untrained_config("cct_2_3x2_32", images, pool=pool)


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
        ({"x": np.zeros((2, 4, 4, 3), np.uint8)}, r"has \['x'\]"),
        ({"x": np.zeros((2, 4, 4, 3)), "y": np.zeros(2, int)}, "x is float64"),
        ({"x": np.zeros((2, 4), np.uint8), "y": np.zeros(2, int)}, r"\(2, 4\)"),
        ({"x": np.zeros((2, 4, 4, 3), np.uint8), "y": np.zeros(3, int)}, r"y is int64 \(3,\)"),
        ({"x": np.zeros((0, 4, 4, 3), np.uint8), "y": np.zeros(0, int)}, "n > 0"),
        ({"x": np.zeros((2, 4, 4, 3), np.uint8), "y": np.array([0, -1])}, "the smallest y is -1"),
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


def test_cifar10_out_of_reach_is_told(monkeypatch):
    def fail():
        raise Exception("URL fetch failure")  # as Keras does

    monkeypatch.setattr("keras.datasets.cifar10.load_data", fail)
    with pytest.raises(DataError, match="URL fetch failure"):
        load_images("cifar10")


def test_a_folder_of_class_folders_is_read_by_name(tmp_path):
    colours = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}
    for name, colour in colours.items():
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("RGB", (30 + number, 20), colour).save(tmp_path / name / f"{number}.png")
    images = load_images(str(tmp_path), image_size=(12, 20))
    assert images.labels == ("blue", "green", "red")
    assert images.x.shape == (12, 12, 20, 3)
    assert [int(y) for y in images.y] == [2 - int(x[0, 0].argmax()) for x in images.x]
    assert split(images)[1].labels == images.labels
    Image.new("RGB", (40, 24), "white").save(tmp_path / "red" / "0.png")
    with Image.open(tmp_path / "red" / "0.png") as picture:
        picture.paste((200, 0, 0), (10, 6, 30, 18))  # what a crop of one half shows
        picture.save(tmp_path / "red" / "0.png")
    for crop in (0.5, 1.0):
        read = load_images(str(tmp_path), image_size=(12, 20), preprocessing=Preprocessing(crop=crop))
        assert (read.x.min(axis=(1, 2, 3)) == 0).all()
        assert (read.x[..., 2].max() == 255) == (crop == 1.0)

    seen = SimpleNamespace(
        labels=("red", "green", "blue"),
        config=tiny_config(pool="mean"),
        read_out=lambda batch: (batch[:, 0, 0], None),  # the reddest pixel speaks for class 0
    )
    assert evaluate(seen, images).accuracy == 1
    with pytest.raises(DataError, match="no class blue; its classes are red, green, black"):
        evaluate(SimpleNamespace(labels=("red", "green", "black")), images)
    (tmp_path / "red" / "0.png").write_text("no picture")
    (tmp_path / "green" / "Thumbs.db").write_bytes(bytes(512))
    named = r"2 of 13 files in .* are no readable pictures:\n  green/Thumbs\.db .*\n  red/0\.png is a text file"
    with pytest.raises(DataError, match=named):
        load_images(str(tmp_path), image_size=(12, 20))
    skipped = []
    left = load_images(str(tmp_path), image_size=(12, 20), skip=lambda file, problem: skipped.append(file.name))
    assert sorted(skipped) == ["0.png", "Thumbs.db"]
    assert len(left.x) == 11
    (tmp_path / "red" / "0.png").unlink()
    (tmp_path / "green" / "Thumbs.db").unlink()
    (tmp_path / "white").mkdir()
    with pytest.raises(DataError, match="white has no pictures"):
        load_images(str(tmp_path))
    with pytest.raises(DataError, match="has 0 subfolders"):
        load_images(str(tmp_path / "white"))


def test_too_few_images_for_a_batch_are_refused(tmp_path, images):
    from cct_viz.training.train import train

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


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_of_rand_augment_changes_an_image_and_keeps_its_form(name):
    pixels = np.random.default_rng(0).integers(40, 200, (24, 40, 3), dtype=np.uint8)
    for strength in (-0.9, 0.9):
        result = np.asarray(OPERATIONS[name](Image.fromarray(pixels), strength))
        assert result.shape == pixels.shape
        assert result.dtype == np.uint8
        assert np.array_equal(result, pixels) == (name == "identity")


def test_translating_moves_by_the_share_of_the_side():
    image = np.zeros((20, 20, 3), np.uint8)
    image[10, 15] = 255
    moved = np.asarray(OPERATIONS["translate_x"](Image.fromarray(image), 1.0))  # 0.45 x 20 = 9 pixels to the left
    assert moved[10, 6].tolist() == [255, 255, 255]
    assert moved[10, 19].tolist() == [128, 128, 128]


def test_a_seed_decides_what_rand_augment_does_to_each_image_of_its_own():
    batch = np.stack([np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)] * 60)
    first, again = (rand_augment(batch, np.random.default_rng(7), magnitude=9) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({image.tobytes() for image in first}) > 40  # of 60; some pairs end alike, as two identities do


def test_erasing_puts_one_rectangle_of_noise_on_a_share_of_the_images():
    x = np.full((400, 12, 20, 3), 9, np.float32)  # 9 deviations away from what the noise is
    erased = erase(x, np.random.default_rng(0), share=0.25)
    gone = (erased != 9).all(axis=-1)
    touched = gone.any(axis=(1, 2))
    assert 70 <= touched.sum() <= 130  # 100 expected, with a deviation of 9
    for mask in gone[touched]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert 0.01 < gone[touched].mean() < 0.4
    assert abs(erased[gone].mean()) < 0.1  # of 10,000 normal draws or more
    assert (x == 9).all()


@pytest.mark.parametrize("alphas", [{"mixup": 0.8, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
def test_targets_are_mixed_as_the_images_are(alphas):
    """Images that are their own class throughout: whatever is mixed, their mean must equal the target."""
    y = np.eye(4, dtype=np.float32)
    x = np.broadcast_to(y[:, None, None, :], (4, 12, 20, 4))
    for seed in range(20):
        mixed, targets = mix(x, y, np.random.default_rng(seed), **alphas)
        np.testing.assert_allclose(mixed.mean(axis=(1, 2)), targets, atol=1e-5)  # sums of 240 float32
        assert mixed.dtype == targets.dtype == np.float32
        assert set(np.unique(mixed)) == {0.0, 1.0} or alphas["mixup"]


def test_recipes_are_data():
    paper = RECIPES["paper_300"]
    assert (paper.epochs, paper.learning_rate, paper.mixup, paper.cutmix) == (300, 5.5e-4, 0.8, 1.0)
    with pytest.raises(ValueError, match=r"label_smoothing is 1\.0; expected less than 1"):
        dataclasses.replace(paper, label_smoothing=1.0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        dataclasses.replace(paper, batch_size=0)


@pytest.mark.slow
def test_the_rate_rises_then_falls_to_its_end_and_only_matrices_decay():
    from cct_viz.architecture.keras_model import build_model
    from cct_viz.training.train import compile_model

    model = build_model(tiny_config())
    recipe = Recipe(epochs=5, learning_rate=1e-3, warmup_epochs=1.0, final_learning_rate=1e-5, weight_decay=0.1)
    compile_model(model, recipe, 20)
    rates = [float(model.optimizer._learning_rate(step)) for step in range(101)]
    assert rates[0] == 0
    assert max(rates) == rates[20] == pytest.approx(1e-3)
    assert rates[60] == pytest.approx((1e-3 + 1e-5) / 2)  # half way down the cosine
    assert rates[100] == pytest.approx(1e-5, rel=1e-3)  # as the difference of numbers near 1 in float32
    decaying = [v.path for v in model.trainable_variables if model.optimizer._use_weight_decay(v)]
    assert decaying
    assert all(path.endswith("kernel") for path in decaying)


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
    metrics = measure(logits, make_targets(np.array([0, 1, 0, 1]), 3))
    assert metrics.accuracy == 0.5
    assert metrics.top5 == 1.0
    assert metrics.loss == pytest.approx(-np.log([0.7, 0.4, 0.1, 0.4]).mean())
    # Confidences .7 (right), .4 (right), .8 (wrong), .5 (wrong) fall into four bins of their own.
    assert metrics.ece == pytest.approx((0.3 + 0.6 + 0.8 + 0.5) / 4)
    assert metrics.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_metrics_of_independent_classes_by_hand():
    yes = np.array([[0.9, 0.4], [0.2, 0.7], [0.6, 0.3]])
    logits, targets = np.log(yes / (1 - yes)), np.array([[1, 0], [0, 0], [0, 1]])
    metrics = measure(logits, targets, output="sigmoid")
    assert metrics.accuracy == pytest.approx(3 / 6)
    assert metrics.top5 is None
    assert "top5" not in metrics.summary()
    assert metrics.loss == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3, 0.4, 0.3]).mean())
    # Confidences .9 .6 .8 are right, .7 .6 .7 are wrong: the bin of .6 has one of each, that of .7 two wrong ones.
    # .9 leaves .1, .6 twice 1.2 - 1, .8 leaves .2, and .7 twice 1.4.
    assert metrics.ece == pytest.approx((0.1 + 0.2 + 0.2 + 1.4) / 6)
    assert metrics.confusion.tolist() == [[[1, 1], [0, 1]], [[1, 1], [1, 0]]]


@pytest.mark.parametrize("extreme", [-1000.0, 1000.0])
def test_metrics_of_extreme_scores_are_finite(extreme):
    metrics = measure(np.array([[extreme]]), np.array([[0.0]]), output="sigmoid")
    assert metrics.loss == max(extreme, 0)
    assert metrics.accuracy == float(extreme < 0)


def test_one_class_counts_all_other_images_as_no():
    images = Images(np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 2, 1]), ("ant", "bee", "cow"))
    assert _match_classes(images, ("bee",)).tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match="the model has one class, elk, but the images have ant, bee, cow"):
        _match_classes(images, ("elk",))
    with pytest.raises(DataError, match="one class: expected 1 for it and 0 for the rest"):
        _match_classes(images._replace(labels=None), ("bee",))


def test_a_table_of_classes_is_read(tmp_path):
    x, y = np.zeros((3, 4, 5), np.uint8), np.array([[1, 0], [0, 0], [1, 1]])
    x += np.arange(3, dtype=np.uint8)[:, None, None]
    np.savez(tmp_path / "table.npz", x=x, y=y)
    images = load_images(str(tmp_path / "table.npz"))
    assert images.x.shape == (3, 4, 5, 3)  # grey images get three equal channels
    assert images.y[images.x[:, 0, 0, 0].argsort()].tolist() == y.tolist()
    np.savez(tmp_path / "odd.npz", x=x, y=y + 1)
    with pytest.raises(DataError, match="the largest y is 2; a table of images and classes has 0 and 1 only"):
        load_images(str(tmp_path / "odd.npz"))


def test_calibrated_predictions_have_little_calibration_error():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 4))
    y = (softmax(logits).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert measure(logits, make_targets(y, 4)).ece < 0.015  # 20,000 draws in 15 bins leave about .01 of noise


QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiled for a few steps


def run_apart(script, **environment):
    """Run `script`, which knows the names below, in a process of its own."""
    names = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from conftest import tiny_config
from pathlib import Path
from cct_viz.training import train as module
from cct_viz.training.data import Images, split
"""
    return subprocess.run(
        [sys.executable, "-c", names + script],
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_training_killed_in_mid_epoch_ends_with_the_same_weights(tmp_path, images, without_xla):
    from cct_viz.architecture.keras_model import named_weights
    from cct_viz.training import train as module

    config = tiny_config(num_layers=1, stochastic_depth=0.3, dropout=0.1)
    training, validation = split(images)
    recipe = Recipe(
        epochs=2,
        batch_size=16,
        learning_rate=5e-3,
        final_learning_rate=1e-4,
        gradient_clip=1.0,
        ema=0.9,
        rand_augment=3.0,
        mixup=0.2,
        cutmix=0.2,
        mixed_share=0.75,
        random_erasing=0.2,
    )
    whole = module.train(config, training, validation, recipe, tmp_path / "whole")
    save(tmp_path / "images.npz", images)
    killed = f"""
import os, pytest, signal
from conftest import leave_out_xla

leave_out_xla(pytest.MonkeyPatch())

class Killing(module.Batches):
    def __getitem__(self, index):
        if self.epoch == 1 and index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

module.Batches = Killing
with np.load({str(tmp_path / "images.npz")!r}) as saved:
    training, validation = split(Images(saved["x"], saved["y"]))
config = tiny_config(num_layers=1, stochastic_depth=0.3, dropout=0.1)
module.train(config, training, validation, module.{recipe!r}, Path({str(tmp_path / "cut")!r}))
"""
    done = run_apart(killed)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(json.loads((tmp_path / "cut" / module.HISTORY).read_text())) == 1
    resumed = module.train(config, training, validation, recipe, tmp_path / "cut")
    finished = module.train(config, training, validation, recipe, tmp_path / "whole")  # nothing left to do
    for other in (resumed, finished):
        for (name, a), b in zip(named_weights(whole).items(), named_weights(other).values(), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), name)
    history = json.loads((tmp_path / "whole" / module.HISTORY).read_text())
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert history[-1]["loss"] < history[0]["loss"]
    averaged = whole.evaluate(
        module.normalise(validation.x, config.preprocessing), np.eye(3)[validation.y], verbose=0, return_dict=True
    )
    assert averaged["loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-5)  # what is kept is what was validated
    with pytest.raises(DataError, match="another recipe"):
        module.train(config, training, validation, dataclasses.replace(recipe, epochs=9), tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_on_jax_two_devices_train_as_one_does_and_go_on_after_an_interruption(tmp_path, images):
    """In a process of its own, whose CPU counts as two devices. Dropout and stochastic depth stay on: JAX draws the
    same numbers however an array is divided."""
    save(tmp_path / "images.npz", images)
    script = f"""
import json, keras
from cct_viz.architecture.keras_model import named_weights
from cct_viz.training.data import DataError
from cct_viz.training.recipes import Recipe

class Failing(module.Batches):
    def __getitem__(self, index):
        if self.epoch == 1 and index == 2:
            raise RuntimeError("cut off")
        return super().__getitem__(index)

def train(out, images=13, **changes):  # 13 images to validate: one more than two devices can share
    model = module.train(config, training, Images(whole.x[:images], whole.y[:images]),
                         Recipe(**recipe | changes), folder / out)
    said.setdefault("devices", []).append(sorted({{len(v.value.sharding.device_set) for v in model.variables}}))
    np.savez(folder / out, **{{k.replace("/", "."): np.asarray(v) for k, v in named_weights(model).items()}})

folder, said = Path({str(tmp_path)!r}), {{"refused": []}}
with np.load(folder / "images.npz") as saved:
    whole = Images(saved["x"], saved["y"])
training = Images(whole.x[:64], whole.y[:64])
config = tiny_config(num_layers=1, stochastic_depth=0.3, dropout=0.1)
recipe = dict(epochs=3, batch_size=16, learning_rate=5e-3, gradient_clip=1.0, ema=0.9)
train("two")
module.Batches, complete = Failing, module.Batches
try:
    train("cut")
except RuntimeError as error:
    said["error"] = str(error)
module.Batches = complete
said["left_behind"] = keras.distribution.distribution() is not None
train("cut")
for changes in (dict(batch_size=15), dict(images=1)):
    try:
        train("refused", **changes)
    except DataError as error:
        said["refused"].append(str(error))
first = keras.distribution.list_devices()[:1]
keras.distribution.list_devices = lambda: first
train("one")
(folder / "said.json").write_text(json.dumps(said))
"""
    done = run_apart(
        script,
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cpu",
        # Without optimisation it compiles in half the time.
        XLA_FLAGS="--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0",
        # The training that is cut off and the one that goes on are compiled once for both.
        JAX_COMPILATION_CACHE_DIR=str(tmp_path / "compiled"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert done.returncode == 0, done.stderr
    assert "Training on 2 devices" in done.stdout
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["devices"] == [[2], [2], [1]]
    assert (said["error"], said["left_behind"]) == ("cut off", False)
    batch, few = said["refused"]
    assert "2 devices cannot share a batch of 15 images: make it a multiple of 2, for example --batch-size 16," in batch
    assert "2 devices need 2 validation images, but there are 1:" in few
    history = json.loads((tmp_path / "two" / "history.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"] - 0.1
    one, two, cut = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two", "cut"))
    with one, two, cut:
        for name in one:
            np.testing.assert_array_equal(two[name], cut[name], name)
            # What adds the same to all scores of a softmax has no gradient but rounding, which AdamW makes large.
            if not name.endswith(("key.bias", "score.bias")):
                # Sums of float32 in another order differ by 1e-7 here; a step of AdamW is about 5e-3.
                np.testing.assert_allclose(one[name], two[name], atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_training_goes_on_from_a_trained_model(tmp_path, images, tiny_classifier, without_xla):
    """The same classes keep the head, so not a step makes no difference; others get a new one, and the rest is kept."""
    from cct_viz.architecture.keras_model import named_weights
    from cct_viz.training import train as module

    same = start_from(tiny_classifier, images)
    assert (same.name, same.config) == (tiny_classifier.source.name, tiny_classifier.config)
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=1e-12)  # so small that nothing moves
    model = module.train(same.config, images, images, recipe, tmp_path / "same", start=same)
    for name, variable in named_weights(model).items():
        np.testing.assert_allclose(np.asarray(variable), tiny_classifier.weights[name], atol=1e-7, err_msg=name)

    other = start_from(tiny_classifier, images._replace(labels=("red", "green", "blue")))
    assert other.config.labels == ("red", "green", "blue")
    assert {name for name in tiny_classifier.weights if name not in other.weights} == {"head/kernel", "head/bias"}
    model = module.train(other.config, images, images, recipe, tmp_path / "other", start=other)
    kept = named_weights(model)["block_0/attention/query/kernel"]
    np.testing.assert_allclose(np.asarray(kept), tiny_classifier.weights["block_0/attention/query/kernel"], atol=1e-7)
    assert np.ptp(np.asarray(named_weights(model)["head/kernel"])) > 0

    begun = recipe, tmp_path / "same"
    with pytest.raises(DataError, match="another start"):
        module.train(same.config, images, images, *begun)  # from random weights this time
    with pytest.raises(DataError, match="another data"):
        module.train(same.config, images, images._replace(y=images.y[::-1]), *begun, start=same)
    with pytest.raises(DataError, match=r"12 x 12 pixels, but tiny needs 12 x 20: scale them"):
        start_from(tiny_classifier, images._replace(x=images.x[:, :, :12]))
    with pytest.raises(CheckpointError, match="has shape"):
        module.train(tiny_config(mlp_dim=16), images, images, recipe, tmp_path / "wrong", start=same)
    with pytest.raises(DataError, match="--batch-size 120"):
        module.train(same.config, images, images, Recipe(epochs=1), tmp_path / "few")


@pytest.mark.slow
def test_what_is_no_training_is_left_alone(tmp_path, images, tiny_folder):
    from cct_viz.training import train as module

    recipe = Recipe(epochs=1, batch_size=16)
    shutil.copytree(tiny_folder, tmp_path / "weights")
    with pytest.raises(DataError, match="already has a checkpoint"):
        module.train(tiny_config(), images, images, recipe, tmp_path / "weights")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / module.STATE).write_bytes(b"")
    with pytest.raises(DataError, match="missing or damaged"):
        module.train(tiny_config(), images, images, recipe, tmp_path / "broken")
    agree(tmp_path / "broken", Plan(recipe, tiny_config(), None, digest(images, images)), begun=False)
    with pytest.raises(DataError, match=r"weights\.h5 is damaged"):
        module.train(tiny_config(), images, images, recipe, tmp_path / "broken")


def test_a_plan_from_before_a_recipe_had_all_its_values_is_understood(tmp_path):
    plan = Plan(Recipe(epochs=3, seed=5), tiny_config(), "a", "b")
    record = {"recipe": {"epochs": 3, "batch_size": 128, "seed": 5}, "config": plan.config.to_dict()}
    (tmp_path / PLAN).write_text(json.dumps(record | {"start": "a", "data": "b"}))
    agree(tmp_path, plan, begun=True)
    with pytest.raises(DataError, match="another recipe and another data"):
        agree(tmp_path, dataclasses.replace(plan, recipe=Recipe(epochs=4, seed=5), data="c"), begun=True)


CARD = """---
license: mit
---
# tiny

    python -m cct_viz train --arch tiny.json --data cifar10 --out tiny
    python -m cct_viz train --arch tiny.json --data cifar10 --out tiny; rm -rf /

| model.safetensors | `{digest}` |
"""


def test_a_card_speaks_for_its_own_weights_only(tmp_path, images, tiny_folder):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_folder, folder)
    (folder / "README.md").write_text(CARD.format(digest="another"))
    assert start_from(load(folder), images).commands == ()
    (folder / "README.md").write_text(CARD.format(digest=sha256(folder / "model.safetensors")))
    start = start_from(load(folder), images)
    assert start.commands == ("python -m cct_viz train --arch tiny.json --data cifar10 --out tiny",)
    assert (start.sha256, start.licence, start.held_out) == (sha256(folder / "model.safetensors"), "mit", True)
    (folder / "README.md").write_bytes(b"\xe9")
    start = start_from(load(folder), images)
    assert (start.commands, start.licence, start.held_out) == ((), None, False)


def test_classes_without_names_are_numbered(images, tiny_classifier):
    """Ten classes are not CIFAR-10's because they are ten, whatever the model had learned before."""
    assert tiny_classifier.labels == numbered_labels(3)
    named = copy.copy(tiny_classifier)
    named.config = dataclasses.replace(tiny_classifier.config, labels=("red", "green", "blue"))
    start = start_from(named, images)
    assert start.config.labels == numbered_labels(3)
    assert "head/kernel" not in start.weights


@pytest.mark.parametrize("changes", [{"learning_rate": float("nan")}, {"warmup_epochs": -3.0}, {"epochs": 0}])
def test_recipes_that_are_none_are_refused(changes):
    with pytest.raises(ValueError, match=f"{next(iter(changes))} is "):
        Recipe(**{"epochs": 1} | changes)
