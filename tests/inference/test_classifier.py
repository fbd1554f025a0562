"""load and Classifier with a tiny random checkpoint: every kind of source and input gives the same numbers."""

import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import tiny_config, write_random_checkpoint
from page_vectors import random_weights
from PIL import Image
from random_models import FORMS
from safetensors.numpy import load_file, save_file

from cct_viz.architecture import presets
from cct_viz.architecture.config import Preprocessing
from cct_viz.architecture.files import sha256
from cct_viz.checkpoints import CheckpointError, convert, hub
from cct_viz.checkpoints.cache import is_ready, own_folder
from cct_viz.images.decode import ImageWarning
from cct_viz.images.preprocessing import ImageError, normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.load import LONGEST_METRICS, load, open_weights
from cct_viz.inference.parallel import CHUNK, LANES, spread
from cct_viz.inference.trace import trace_arrays

FLOAT32 = 1e-5  # of the largest value: rounding of a few hundred additions in float32


def random_images(count, size=(12, 20), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


@pytest.mark.slow
def test_trace_agrees_with_keras(tiny_classifier):
    (image,) = random_images(1)
    trace = tiny_classifier.trace(image)
    batch = normalise(image[None], tiny_classifier.config.preprocessing)
    seen = {name: np.asarray(value)[0] for name, value in tiny_classifier.network.intermediates(batch).items()}
    for i, feature_map in enumerate(trace.feature_maps):
        np.testing.assert_allclose(feature_map, seen[f"feature_map_{i}"], atol=FLOAT32)
    for i in range(2):
        for name in ("attention_output", "mlp_output", "attentions"):
            ours = getattr(trace, name if name == "attentions" else f"{name}s")[i]
            theirs = seen[f"{name}_{i}"]
            np.testing.assert_allclose(ours, theirs, atol=FLOAT32 * max(1, np.abs(theirs).max()), err_msg=name)
    np.testing.assert_allclose(trace.logits, seen["logits"], atol=FLOAT32 * max(1, np.abs(seen["logits"]).max()))
    np.testing.assert_array_equal(trace.pixels, image)


def test_contributions_of_a_real_pass_sum_to_its_logits(tiny_classifier):
    for trace in tiny_classifier.traces(random_images(20)):
        error = np.abs(trace.contributions.sum(axis=0) + trace.bias - trace.logits).max()
        assert error <= FLOAT32 * max(1, np.abs(trace.logits).max())


def test_path_image_and_array_give_the_same_trace(tiny_classifier, tmp_path):
    (image,) = random_images(1, (40, 30))
    Image.fromarray(image).save(tmp_path / "photo.png")
    logits = [
        tiny_classifier.trace(source).logits
        for source in (image, Image.fromarray(image), tmp_path / "photo.png", str(tmp_path / "photo.png"))
    ]
    for other in logits[1:]:
        np.testing.assert_array_equal(logits[0], other)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_of_any_size_agree_with_single_images(tiny_classifier, batch_size):
    images = random_images(7)
    traces = list(tiny_classifier.traces(images, batch_size=batch_size))
    assert len(traces) == 7
    for image, trace in zip(images, traces, strict=True):
        for name, array in trace_arrays(tiny_classifier.trace(image)).items():
            other = trace_arrays(trace)[name]
            np.testing.assert_allclose(array, other, atol=FLOAT32 * max(1, np.abs(array).max()), err_msg=name)


def test_large_batch_keeps_order_and_masks(tiny_classifier):
    batch = normalise(random_images(3 * CHUNK + 5), tiny_classifier.config.preprocessing)
    mask = (np.random.default_rng(0).random((len(batch), 15)) < 0.7).astype(np.float32)
    logits = tiny_classifier.forward(batch, mask)
    assert logits.shape == (len(batch), 3)
    for row, image, kept in zip(logits, batch, mask, strict=True):
        one = tiny_classifier.forward(image[None], kept[None])[0]
        np.testing.assert_allclose(row, one, atol=FLOAT32 * max(1, np.abs(one).max()))
    with pytest.raises(ValueError, match=rf"\({len(batch) - 1}, 15\); expected \({len(batch)}, 15\)"):
        tiny_classifier.forward(batch, mask[1:])
    assert tiny_classifier.forward(batch[:0]).shape == (0, 3)
    for wrong in (batch[:, :, :, 0], batch[:, :-1], None, 3, []):
        with pytest.raises(ValueError, match=rf"the batch has shape {re.escape(str(np.shape(wrong)))}; expected"):
            tiny_classifier.forward(wrong)


def test_traces_work_during_interpreter_shutdown(tiny_folder, tiny_classifier):
    code = f"""
import threading
ending = threading.Event()
threading._register_atexit(ending.set)  # before any thread pool does: the first registered is called last
import numpy as np
from cct_viz.inference.load import load
from cct_viz.inference.parallel import CHUNK
classifier = load({str(tiny_folder)!r})
images = np.zeros((5 * CHUNK, 12, 20, 3), np.uint8)
def late():
    ending.wait()
    print(len(list(classifier.traces(images))), len(classifier.forward(np.zeros((5 * CHUNK, 12, 20, 3)))))
threading.Thread(target=late).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(5 * CHUNK)] * 2, done.stderr


def test_spread_keeps_order_and_runs_only_slightly_ahead():
    consumed, done = [], []

    def items():
        for i in range(100):
            consumed.append(i)
            yield i

    results = spread(lambda i: done.append(i) or 2 * i, items())
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(consumed) <= 10 + LANES + 1
    results.close()  # for example, when a visitor leaves
    assert len(done) <= len(consumed) <= 10 + LANES + 1
    assert not any(thread.name.startswith("cct_viz") for thread in threading.enumerate())

    def fail(i):
        if i == 3:
            raise ImageError("the fourth is broken")
        return i

    for results in (spread(fail, range(100)), spread(abs, map(fail, range(100))), spread(fail, range(100), 0)):
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ImageError, match="the fourth"):
            next(results)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_at_most_batch_size_images_are_in_progress(tiny_classifier, batch_size):
    consumed = []

    def images():
        for image in random_images(200):
            consumed.append(image)
            yield image

    for done, _ in enumerate(tiny_classifier.traces(images(), batch_size=batch_size)):
        assert len(consumed) <= done + batch_size


def test_traces_before_a_broken_image_are_returned(tiny_classifier, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    images = [*random_images(40), tmp_path / "broken.png", *random_images(40)]
    for batch_size, expected in ((1, 40), (64, 32)):  # two whole chunks of 16
        traces = tiny_classifier.traces(images, batch_size=batch_size)
        for _ in range(expected):
            next(traces)
        with pytest.raises(ImageError, match=r"broken\.png"):
            next(traces)


def test_classifier_is_thread_safe(tiny_classifier):
    images = random_images(80)
    serial = [tiny_classifier.trace(image).logits for image in images]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(serial, pool.map(lambda image: tiny_classifier.trace(image).logits, images), strict=True):
            np.testing.assert_array_equal(one, other)


def test_forward_masks_tokens_and_refuses_wrong_shapes(tiny_classifier):
    batch = normalise(random_images(2), tiny_classifier.config.preprocessing)
    np.testing.assert_array_equal(
        tiny_classifier.forward(batch), tiny_classifier.forward(batch, np.ones((2, 15), np.float32))
    )
    bias = tiny_classifier.trace(random_images(1)[0]).bias
    np.testing.assert_allclose(tiny_classifier.forward(batch, np.zeros((2, 15)))[1], bias, atol=1e-6)
    with pytest.raises(ValueError, match=r"\(2, 12, 21, 3\); expected \(B, 12, 20, 3\)"):
        tiny_classifier.forward(np.zeros((2, 12, 21, 3), np.float32))
    with pytest.raises(ValueError, match="token mask"):
        tiny_classifier.forward(batch, np.ones((2, 14), np.float32))


def test_source_and_number_of_parameters(tiny_classifier, tiny_folder):
    assert tiny_classifier.source.kind == "folder"
    assert tiny_classifier.source.sha256 == sha256(tiny_folder / "model.safetensors")
    assert tiny_classifier.num_parameters == tiny_classifier.model.count_params()


def test_bundled_position_prior_is_the_mean_of_pooling_weights():
    """The mean over natural images; noise and single images give other weights."""
    classifier = load(presets.DEFAULT)
    prior = classifier.position_prior
    assert prior.shape == (64,)
    assert prior.sum() == pytest.approx(1)
    record = json.loads((presets.PRESETS[presets.DEFAULT].folder / "metrics.json").read_text())
    np.testing.assert_allclose(prior, record["position_prior"], atol=1e-7)
    card = (presets.PRESETS[presets.DEFAULT].folder / "README.md").read_text()
    assert sha256(presets.PRESETS[presets.DEFAULT].folder / "metrics.json") in card
    examples = Path(__file__).parents[2] / "cct_viz/web/example_images"
    mean = np.mean([trace.pooling_weights for trace in classifier.traces(sorted(examples.glob("*.png")))], axis=0)
    assert np.corrcoef(mean, prior)[0, 1] > 0.5  # ten pictures of the same data set as the 5,000


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({"position_prior": [1 / 14] * 14}),
        json.dumps({"position_prior": [0.5] * 15}),
        json.dumps({"position_prior": [-1.0, 2.0] + [0.0] * 13}),
        json.dumps({"position_prior": ["x"] * 15}),
        json.dumps({"position_prior": [float("nan")] * 15}),
        json.dumps({"position_prior": [10**400] * 15}),
    ],
)
def test_invalid_position_prior_is_ignored(tiny_folder, cache, tmp_path, text):
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "metrics.json").write_text(text)
    assert load(tmp_path / "model").position_prior is None


def test_position_prior_is_read_from_metrics_json(tiny_folder, cache, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "model")
    shares = np.arange(15) / 105
    (tmp_path / "model" / "metrics.json").write_text(json.dumps({"position_prior": shares.tolist()}))
    np.testing.assert_allclose(load(tmp_path / "model").position_prior, shares)
    assert load(tiny_folder).position_prior is None


def test_metrics_beyond_the_limit_are_not_read(tiny_folder, cache, tmp_path):
    """The file may come from strangers."""
    file = shutil.copytree(tiny_folder, tmp_path / "model") / "metrics.json"
    text = '{"accuracy": 0.5}'
    file.write_text(text + " " * (LONGEST_METRICS - len(text)))
    assert load(tmp_path / "model").accuracy == 0.5
    file.write_text(text + " " * LONGEST_METRICS)
    assert load(tmp_path / "model").accuracy is None


@pytest.mark.parametrize(
    ("text", "accuracy"),
    [
        ('{"accuracy": 0.815}', 0.815),
        ('{"accuracy": 1}', 1.0),
        ("{", None),
        ("[]", None),
        ("{}", None),
        ('{"accuracy": "high"}', None),
        ('{"accuracy": 81.5}', None),
        ('{"accuracy": true}', None),
        ('{"accuracy": NaN}', None),
    ],
)
def test_accuracy_is_read_from_metrics_json(tiny_folder, cache, tmp_path, text, accuracy):
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "metrics.json").write_text(text)
    assert load(tmp_path / "model").accuracy == accuracy


def test_classifier_is_complete_after_construction(tiny_classifier, tiny_folder):
    """Any runner works, and no attribute has to be set afterwards."""

    class Runner:
        output_names = ("logits",)

        def run(self, names, batch, token_mask):
            return [np.full((len(batch), 3), token_mask.sum(), np.float32) for _ in names]

    net = Classifier(tiny_classifier.config, tiny_classifier.weights, tiny_classifier.source, Runner())
    assert (net.folder, net.accuracy, net.position_prior, dict(net.metrics)) == (None, None, None, {})
    np.testing.assert_array_equal(net.forward(np.zeros((1, 12, 20, 3))), [[15, 15, 15]])
    assert tiny_classifier.folder == tiny_folder
    with pytest.raises(TypeError):
        net.weights["head/bias"] = np.zeros(3)


@pytest.mark.parametrize("form", FORMS)
def test_left_out_tokens_are_masked_tokens(form):
    """As in the whole model: none, one, some and all tokens, in one call of several batches."""
    config = FORMS[form]
    classifier = open_weights(config, random_weights(config, "float32"))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*config.image_size, 3), dtype=np.uint8)
    n = config.num_tokens
    masks = np.concatenate([np.ones((1, n)), np.eye(n), rng.random((9, n)) < 0.5, np.zeros((1, n))]).astype(np.float32)
    batch = normalise(np.repeat(pixels[None], len(masks), axis=0), config.preprocessing)
    expected = classifier.forward(batch, masks)
    seen = classifier.forward_masked(classifier.trace(pixels), masks)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(ValueError, match="token mask has shape"):
        classifier.forward_masked(classifier.trace(pixels), masks[:, 1:])


@pytest.mark.slow
def test_class_token_model_has_no_position_prior(class_token_folder, cache, tmp_path):
    shutil.copytree(class_token_folder, tmp_path / "model")
    (tmp_path / "model" / "metrics.json").write_text(json.dumps({"position_prior": [1 / 15] * 15}))
    classifier = load(tmp_path / "model")
    assert classifier.position_prior is None
    logits, weights = classifier.read_out(np.zeros((2, 12, 20, 3), np.float32))
    assert (logits.shape, weights) == ((2, 3), None)


def test_foreign_onnx_graph_is_never_run(tiny_folder, cache, tmp_path):
    folder = tmp_path / "foreign"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.onnx").write_bytes(b"not a graph, and not looked at")
    assert load(folder).trace(random_images(1)[0]).logits.shape == (3,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_model", "neither a preset"),
        ("a/b/c", "neither a preset"),
        ("x" * 5000, "neither a preset"),
        ("~no_such_user/model", "there is no folder"),
        ("", "neither a preset"),
        ("./nope", "there is no folder nope"),
        ("/no/where", "there is no folder where"),
    ],
)
def test_unknown_sources_are_refused(source, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        load(source)


def test_architecture_without_weights_is_refused(monkeypatch):
    bare = dataclasses.replace(presets.PRESETS[presets.DEFAULT], folder=None, sha256={})
    monkeypatch.setitem(presets.PRESETS, "bare", bare)
    with pytest.raises(CheckpointError, match="architecture without weights"):
        load("bare")


def test_changed_bundled_files_are_refused(monkeypatch, tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "bundled")
    digest = sha256(tmp_path / "bundled" / "model.safetensors")
    preset = presets.Preset(
        "", presets.PRESETS[presets.DEFAULT].config, tmp_path / "bundled", {"model.safetensors": digest}
    )
    monkeypatch.setitem(presets.PRESETS, "changed", preset)
    weights = tmp_path / "bundled" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="is not the file of this release"):
        load("changed")
    weights.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load("changed")


def test_damaged_folder_gives_the_readers_message(tiny_folder, cache, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="safetensors"):
        load(tmp_path / "damaged")


@pytest.mark.parametrize("what", ["head", "mean"])
def test_finite_weights_that_overflow_are_refused(tiny_folder, cache, tmp_path, what):
    """Each number is finite; the class scores are not."""
    shutil.copytree(tiny_folder, tmp_path / "large")
    if what == "head":
        weights = load_file(tiny_folder / "model.safetensors")
        weights["head/kernel"] = np.full_like(weights["head/kernel"], 3e38)
        save_file(weights, tmp_path / "large" / "model.safetensors")
    else:
        config = json.loads((tiny_folder / "config.json").read_text())
        config["preprocessing"] = {"mean": [1e308, 0, 0], "std": [1e-300, 1, 1]}
        (tmp_path / "large" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="large gives class scores that are not finite"):
        load(tmp_path / "large")


@pytest.mark.parametrize("damage", ["no config", "no weights"])
def test_an_error_of_a_hub_model_names_the_repo(monkeypatch, tiny_folder, cache, tmp_path, damage):
    commit = tmp_path / "0123abcd"
    shutil.copytree(tiny_folder, commit)
    (commit / "config.json").unlink() if damage == "no config" else (commit / "model.safetensors").write_bytes(b"x")
    monkeypatch.setattr(hub, "fetch", lambda *_, **__: SimpleNamespace(folder=commit, revision=commit.name))
    with pytest.raises(CheckpointError, match="owner/name") as error:
        load("owner/name")
    assert commit.name not in str(error.value)


@pytest.fixture
def foreign(tiny_folder, tmp_path):
    """The tiny model as a file of Keras, which has to be converted."""
    convert.convert(tiny_folder, tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.slow
def test_a_foreign_file_is_converted_once_and_again_if_its_copy_was_damaged(
    foreign, tiny_folder, tiny_classifier, tmp_path, monkeypatch
):
    """Its own folder never is."""
    monkeypatch.setenv("CCT_VIZ_CACHE", str(tmp_path / "cache"))
    assert own_folder(tiny_folder) == tiny_folder.resolve()
    assert is_ready(tiny_folder)
    assert not is_ready(foreign)
    copy = own_folder(foreign) / "model.safetensors"
    before = copy.stat().st_mtime_ns
    assert is_ready(foreign)
    assert own_folder(foreign) == copy.parent
    assert copy.stat().st_mtime_ns == before
    copy.write_bytes(copy.read_bytes()[:1000])
    assert not is_ready(foreign)
    (image,) = random_images(1)
    np.testing.assert_allclose(load(foreign).trace(image).logits, tiny_classifier.trace(image).logits, atol=1e-6)
    assert is_ready(foreign)


@pytest.mark.slow
def test_code_in_the_current_folder_is_not_imported(tiny_folder, tmp_path):
    """A model folder is data: a keras.py next to the weights must not be run."""
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "keras.py").write_text("open('ran', 'w').write('it ran')\nraise ImportError('no Keras here')")
    script = tmp_path / "script.py"
    script.write_text("import cct_viz; print(cct_viz.load('.').source.name)")
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "CCT_VIZ_CACHE": str(tmp_path / "empty cache"),
    }
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path / "model",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (tmp_path / "model" / "ran").exists()
    assert done.stdout == "model\n", done.stderr


def test_trace_does_not_keep_its_batch_in_memory(tiny_classifier):
    traces = list(tiny_classifier.traces(random_images(4)))
    for array in trace_arrays(traces[2]).values():
        base = array if array.base is None else array.base
        assert getattr(base, "nbytes", 0) <= 200_000
    assert traces[0].logits.base is None
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(tiny_classifier.traces(random_images(1), batch_size=0))


@pytest.mark.slow
def test_threads_build_one_keras_model(tiny_folder, cache):
    classifier = load(tiny_folder)
    with ThreadPoolExecutor(4) as pool:
        assert len({id(model) for model in pool.map(lambda _: classifier.model, range(4))}) == 1


def grey_12_bit():
    """A PNG of 12-bit values stored in 16 bits."""
    values = np.linspace(0, 4095, 240).round().astype(np.uint16).reshape(12, 20)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    buffer.seek(0)
    return values, buffer


def test_few_bits_of_16_are_said_and_stretched_on_demand(tiny_classifier):
    values, file = grey_12_bit()
    with pytest.warns(ImageWarning, match="uses 1/16 of their range"):
        dark = tiny_classifier.trace(file)
    np.testing.assert_array_equal(dark.pixels[..., 0], values >> 8)
    assert "uses 1/16 of their range" in dark.note
    file.seek(0)
    bright = tiny_classifier.trace(file, stretch=True)  # warns of nothing, or the test fails
    np.testing.assert_array_equal(bright.pixels[..., 0], values >> 4)
    assert "it was stretched from 12 bits" in bright.note
    (again,) = tiny_classifier.traces([file.getvalue()], stretch=True)
    np.testing.assert_array_equal(again.pixels, bright.pixels)
    assert tiny_classifier.trace(np.zeros((12, 20, 3), np.uint8)).note == ""


def test_grey_models_see_the_luminance(cache, tmp_path):
    """A grey picture is given exactly as it is; of a colour picture, its luminance as in Pillow's mode L."""
    config = tiny_config(channels=1, preprocessing=Preprocessing((0.4,), (0.2,)))
    classifier = load(write_random_checkpoint(tmp_path / "grey", config))
    colours = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    trace = classifier.trace(colours)
    np.testing.assert_array_equal(trace.pixels, np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_array_equal(classifier.trace(grey).logits, trace.logits)
    batch = ((grey / np.float32(255) - np.float32(0.4)) / np.float32(0.2))[None, ..., None]
    np.testing.assert_allclose(classifier.forward(batch)[0], trace.logits, atol=1e-5)  # float32 rounding of the input
    np.testing.assert_allclose(np.asarray(classifier.model(batch))[0], trace.logits, atol=1e-4)
    large = np.random.default_rng(1).integers(0, 256, (48, 80, 3), np.uint8)
    resized = Image.fromarray(large).convert("L").resize((20, 12), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(classifier.trace(large).pixels[..., 0], np.asarray(resized))
