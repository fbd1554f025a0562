"""Files that Keras 3 and tf.keras save: read without running a class, and compared with the models themselves."""

import dataclasses
import functools
import json
import random
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import keras_models
import numpy as np
import pytest
import saved_models
import tensorflow as tf
import tiny_keras_files
from random_models import FORMS, random_model

from cct_viz import checkpoints
from cct_viz.architecture.config import CCTConfig, ConfigError, ConvStage
from cct_viz.architecture.keras_model import build_model, make_functional, named_weights
from cct_viz.checkpoints import CheckpointError, bundle_index, tensor_bundle
from cct_viz.checkpoints.convert import save
from cct_viz.checkpoints.given import ASSUMED_LABELS, ASSUMED_PIXELS, Given
from cct_viz.checkpoints.keras_files import archive as archives
from cct_viz.checkpoints.keras_files import hdf5, tf_checkpoint, weights_file
from cct_viz.checkpoints.keras_files.described import parse
from cct_viz.checkpoints.keras_files.hdf5 import read_tree
from cct_viz.checkpoints.keras_files.hdf5_attributes import read_texts

# Both sides add the same float32 products in another order; 8e-7 was the largest difference seen at logits of 2.
TOLERANCE = 1e-5

# name -> how the model is made, and what the user has to say of it, since no file of Keras 3 says the form of GELU.
MODELS = {
    "the example": (keras_models.example, Given()),
    "one stage, one head": (
        lambda: keras_models.example(channels=(8,), activation="gelu", num_layers=1, heads=1, key_dim=3, classes=2),
        Given(activation="gelu"),
    ),
    "three stages and layers": (
        lambda: keras_models.example(
            image_size=(32, 32), channels=(4, 6, 10), num_layers=3, heads=5, key_dim=2, mlp_dim=10, classes=7
        ),
        Given(),
    ),
    "no position": (lambda: keras_models.example(position=False, crop=False, image_size=(32, 32)), Given()),
    "another tokenizer": (
        lambda: keras_models.example(
            kernel_size=5, stride=2, padding=2, pooling_kernel_size=2, pooling_stride=2, image_size=(40, 40)
        ),
        Given(),
    ),
    "layers of Keras, mean": (keras_models.plain, Given(activation="gelu")),
    "grey, max": (lambda: keras_models.plain(grey=True, pool="max"), Given(activation="gelu")),
    "official block": (lambda: keras_models.plain(official=True, normalise=False), Given(activation="gelu")),
    "subclassed": (keras_models.subclassed, Given(activation="gelu")),
    "named layers": (keras_models.with_named_tokenizer, Given(activation="gelu")),
    "eleven blocks": (keras_models.with_layers_of_blocks, Given(activation="gelu")),
}
# Where weights alone do not say how the convolutions are used, or what Rescaling does.
NEEDS_THE_WHOLE = ("another tokenizer", "layers of Keras, mean", "grey, max", "official block", "eleven blocks")


@pytest.fixture(scope="module")
def made():
    """name -> a model of MODELS, uint8 pixels and its logits for them, each made once."""

    @functools.cache
    def make(name):
        model = MODELS[name][0]()
        shape = (16, 16, 3) if name == "subclassed" else model.input_shape[1:]
        pixels = np.random.default_rng(1).integers(0, 256, (4, *shape), np.uint8)
        return model, pixels, keras_models.answer(model, pixels)

    return make


def compute_logits(checkpoint, pixels):
    """The logits of our Keras model with the checkpoint's weights for uint8 `pixels` (B, H, W, C)."""
    model = build_model(checkpoint.config)
    checkpoints.assign(model, checkpoint.weights)
    preprocessing = checkpoint.config.preprocessing
    images = (pixels / 255 - preprocessing.mean) / preprocessing.std
    return np.asarray(model(images.astype(np.float32)))


def assert_equal_logits(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))
    assert np.ptp(expected, axis=0).max() > 1000 * TOLERANCE  # the model looks at the image


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "named layers"])
def test_a_whole_model_agrees_with_itself(made, tmp_path, name, suffix):
    model, pixels, logits = made(name)
    model.save(tmp_path / f"model{suffix}")
    checkpoint = checkpoints.read(tmp_path / f"model{suffix}", MODELS[name][1])
    assert checkpoint.config.image_size == pixels.shape[1:3]
    assert_equal_logits(compute_logits(checkpoint, pixels), logits)
    assert ASSUMED_LABELS in checkpoint.config.assumptions
    # A subclassed model's JSON lists no layers.
    assert (ASSUMED_PIXELS in checkpoint.config.assumptions) == (name == "subclassed")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in NEEDS_THE_WHOLE])
def test_weights_alone_agree_with_their_model(made, tmp_path, name):
    model, pixels, logits = made(name)
    model.save_weights(tmp_path / "checkpoint.weights.h5")
    checkpoint = checkpoints.read(tmp_path / "checkpoint.weights.h5", MODELS[name][1])
    assert checkpoint.config.image_size == pixels.shape[1:3]
    assert_equal_logits(compute_logits(checkpoint, pixels), logits)
    said = " ".join(checkpoint.config.assumptions)
    for word in ("convolutions", "size of its images", "activations", "epsilon", "classes", "scaled"):
        assert word in said


@pytest.mark.slow
def test_what_weights_do_not_say_is_given(made, tmp_path):
    model, pixels, logits = made("eleven blocks")
    model.save_weights(tmp_path / "x.weights.h5")
    given = Given(activation="gelu", epsilon=1e-5, mean=(0.5,), std=(0.5,), labels=("a", "b", "c"), image_size=(16, 16))
    checkpoint = checkpoints.read(tmp_path / "x.weights.h5", given)
    assert_equal_logits(compute_logits(checkpoint, pixels), logits)
    assert checkpoint.config.labels == ("a", "b", "c")
    assert not any(w in " ".join(checkpoint.config.assumptions) for w in ("GELU the", "epsilon", "scaled", "classes."))


@pytest.mark.slow
def test_the_form_of_gelu_changes_the_logits(made, tmp_path):
    model, pixels, logits = made("the example")
    model.save_weights(tmp_path / "x.weights.h5")
    exact = checkpoints.read(tmp_path / "x.weights.h5", Given(activation="gelu"))
    assert np.abs(compute_logits(exact, pixels) - logits).max() > 5 * TOLERANCE  # 7e-5 here, 2.4e-4 in the example
    with pytest.raises(ConfigError, match="'swish'; expected one of gelu"):
        checkpoints.read(tmp_path / "x.weights.h5", Given(activation="swish"))


@pytest.mark.slow
def test_weights_that_do_not_say_enough_are_refused(made, tmp_path):
    made("layers of Keras, mean")[0].save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(CheckpointError, match=r"2 convolutions and 1 layers max_pooling2d.*save the whole model"):
        checkpoints.read(tmp_path / "x.weights.h5")
    made("another tokenizer")[0].save_weights(tmp_path / "y.weights.h5")
    with pytest.raises(ConfigError, match="40x40 pixels make 81 tokens, but the position is for 16; save the whole"):
        checkpoints.read(tmp_path / "y.weights.h5", Given(image_size=(40, 40)))


@pytest.mark.slow
def test_pieces_and_optimizer_and_half_precision(made, tmp_path):
    _, pixels, _ = made("the example")
    model = keras_models.example(classes=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    model.fit(pixels.astype("float32"), np.array([0, 1, 2, 0]), verbose=0)
    logits = keras_models.answer(model, pixels)
    model.save(tmp_path / "trained.keras")
    model.save_weights(tmp_path / "pieces.weights.json", max_shard_size=4e-6)
    assert len(list(tmp_path.glob("pieces_*.h5"))) > 2
    for path in (tmp_path / "trained.keras", tmp_path / "pieces.weights.json"):
        assert_equal_logits(compute_logits(checkpoints.read(path), pixels), logits)
    names = checkpoints.model_files(tmp_path / "pieces.weights.json")
    assert names[-1] == "pieces.weights.json"
    assert len(names) > 3
    (tmp_path / names[0]).unlink()
    with pytest.raises(CheckpointError, match=f"{names[0]} is missing beside pieces"):
        checkpoints.read(tmp_path / "pieces.weights.json")

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras_models.example()
        model.save(tmp_path / "half.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    assert any("mixed_bfloat16" in text for text in checkpoints.read(tmp_path / "half.keras").config.assumptions)


@pytest.mark.slow
def test_one_logit_is_an_independent_class(tmp_path):
    model = keras_models.plain(classes=1, last="sigmoid")
    pixels = np.random.default_rng(2).integers(0, 256, (4, *model.input_shape[1:]), np.uint8)
    model.save(tmp_path / "model.keras")
    checkpoint = checkpoints.read(tmp_path / "model.keras", Given(activation="gelu"))
    assert (checkpoint.config.output, checkpoint.config.num_classes) == ("sigmoid", 1)
    probabilities = 1 / (1 + np.exp(-compute_logits(checkpoint, pixels)))
    assert_equal_logits(probabilities, keras_models.answer(model, pixels))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("write", [save, lambda model, path: make_functional(model).save(path)])
def test_what_this_project_writes_it_reads(tmp_path, form, write):
    model = random_model(FORMS[form])
    write(model, tmp_path / "own.keras")
    checkpoint = checkpoints.read(tmp_path / "own.keras")
    assert checkpoint.config == model.config
    for name, variable in named_weights(model).items():
        np.testing.assert_array_equal(checkpoint.weights[name], variable)


TF_KERAS = {
    "the example": {"num_layers": 2},
    "another": {"num_layers": 1, "num_heads": 3, "key_dim": 2, "stages": ((6, 3, "valid"),), "position": "added"},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", TF_KERAS)
def test_a_whole_model_of_tf_keras_agrees_with_itself(tmp_path, name, suffix):
    model = saved_models.make_model(**TF_KERAS[name])
    pixels = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)
    model.save(tmp_path / f"model{suffix}")
    checkpoint = checkpoints.read(tmp_path / f"model{suffix}")
    assert checkpoint.config.activation == "gelu"
    assert_equal_logits(compute_logits(checkpoint, pixels), model(pixels.astype("float32"), training=False).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["w.h5", "w.weights.h5", "checkpoint"])
@pytest.mark.parametrize("position", ["added", "constant"])
def test_weights_of_tf_keras(tmp_path, kind, position):
    model = saved_models.make_model(position=position)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)
    model.save_weights(tmp_path / kind)
    checkpoint = checkpoints.read(tmp_path, Given(image_size=(16, 16)))
    assert checkpoint.config.activation == "gelu"
    if position == "added":
        assert_equal_logits(compute_logits(checkpoint, pixels), model(pixels.astype("float32"), training=False).numpy())
    else:  # the example of 2021 computes it once, and never saves it with the weights
        assert checkpoint.config.position == "none"
        assert any("holds no positional embedding" in text for text in checkpoint.config.assumptions)
    if kind == "checkpoint":
        for name in ("checkpoint", "checkpoint.index"):
            assert checkpoints.model_files(tmp_path / name) == checkpoints.model_files(tmp_path)
            assert checkpoints.read(tmp_path / name).config.num_layers == 2


@pytest.mark.slow
def test_an_export_of_keras_3_agrees_with_itself(made, tmp_path):
    model, pixels, logits = made("subclassed")
    model.export(tmp_path / "exported", verbose=False)
    checkpoint = checkpoints.read(tmp_path / "exported")
    assert checkpoint.config.activation == "gelu"
    assert_equal_logits(compute_logits(checkpoint, pixels), logits)


@pytest.mark.slow
def test_an_export_of_the_example_in_inference_agrees_with_itself(made, tmp_path):
    """Of a functional model all shapes are known, and Keras writes attention without an Einsum."""
    model, pixels, logits = made("the example")
    archive = keras.export.ExportArchive()
    archive.track(model)
    inputs = [keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32")]
    archive.add_endpoint("serve", lambda images: model.call(images, training=False), input_signature=inputs)
    archive.write_out(tmp_path / "exported", verbose=False)
    assert_equal_logits(compute_logits(checkpoints.read(tmp_path / "exported"), pixels), logits)
    model.export(tmp_path / "augmenting", verbose=False)
    assert_refused(tmp_path / "augmenting", "still draws random numbers")


# --- other models, and files that are damaged or made to do harm ---


@pytest.fixture
def weights(made, tmp_path):
    path = tmp_path / "x.weights.h5"
    made("the example")[0].save_weights(path)
    return path


@pytest.fixture
def archive(made, tmp_path):
    path = tmp_path / "x.keras"
    made("the example")[0].save(path)
    return path


def assert_refused(path, message):
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.read(path)
    assert "\n" not in str(error.value)
    assert str(path.parent) not in str(error.value)


def rewrite(archive, **changes):
    """Write an archive again with some members changed: name with "_" for "." -> function of its bytes."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            change = changes.get(name.replace(".", "_"))
            new.writestr(name, change(content) if change else content)


def test_a_lambda_is_never_run(archive):
    def add_lambda(text):
        data = json.loads(text)
        code = {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}}
        layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "own", "function": code}}
        data["config"]["layers"].insert(1, layer)
        return json.dumps(data)

    rewrite(archive, config_json=add_lambda)
    assert_refused(archive, r"the layer own is code of its own \(a Lambda\), which is never run")


def test_another_layer_is_refused_by_name(archive):
    rewrite(archive, config_json=lambda text: text.replace(b'"LayerNormalization"', b'"RMSNormalization"'))
    assert_refused(archive, r"the layer layer_normalization\w* is a RMSNormalization")


def test_another_model_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "flat.keras")
    assert_refused(tmp_path / "flat.keras", "it has no convolution")


def link_outside(file):
    file["layers/dense/outside"] = h5py.ExternalLink("/etc/hostname", "/x")


def link_inside(file):
    file["layers/dense/inside"] = h5py.SoftLink("/layers")


def name_twice(file):
    file["layers/dense/again"] = file["layers"]


def store_outside(file):
    file.create_dataset("layers/more/vars/0", (4, 4), "f4", external=[("/etc/hostname", 0, 64)])


def make_virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("layers/more/vars/0", layout)


def refer(file):
    file.create_dataset("layers/more/vars/0", (1,), h5py.ref_dtype)[0] = file["layers"].ref


def promise_much(file):
    file.create_dataset("layers/more/vars/0", (1 << 20, 1 << 20), "f4")


def unpack_to_much(file):
    file.create_dataset("layers/more/vars/0", data=np.zeros((4000, 4000), "f4"), compression="gzip")


def nest_deeply(file):
    file.create_group("/".join(["a"] * 200))


def unpack_without_end(file):
    """A piece of 36 numbers that unpacks to 16 MB."""
    data = file.create_dataset("layers/more/vars/0", (6, 6), "f4", chunks=(6, 6), compression="gzip")
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 24)))


def cut_into_much(file):
    """A piece of 64 MB, of which 4 numbers are used."""
    file.create_dataset("layers/more/vars/0", (4,), "f4", chunks=(1 << 24,), maxshape=(None,), compression="gzip")[
        :
    ] = 1


def compress_oddly(file):
    file.create_dataset("layers/more/vars/0", data=np.zeros((6, 6), "f4"), compression="lzf")


def list_many_texts(file):
    for i in range(6):
        file["layers"].attrs[f"layer_names{i}"] = np.array([b"a"] * 20_000, "S1")


HARMFUL = {
    link_outside: "holds an external link",
    link_inside: "holds a soft link",
    name_twice: "one object under two names",
    store_outside: "external storage",
    make_virtual: "virtual dataset",
    refer: "no array of numbers",
    promise_much: "more than the file holds",
    unpack_to_much: "more than the file holds",
    nest_deeply: "more than 64 deep",
    unpack_without_end: "holds pieces of layers/more/vars/0 that unpack to more than their size",
    cut_into_much: "cuts layers/more/vars/0 into pieces that are larger than the array",
    compress_oddly: "compresses layers/more/vars/0 in another way than gzip",
    list_many_texts: "holds more texts than a model has names",
}


@pytest.mark.parametrize("change", HARMFUL, ids=lambda change: change.__name__)
def test_what_hdf5_can_do_beyond_arrays_is_refused(weights, change):
    with h5py.File(weights, "a") as file:
        change(file)
    assert_refused(weights, HARMFUL[change])


def test_a_compressed_array_is_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values, chunks=(7, 9), compression="gzip", shuffle=True, fletcher32=True)
    np.testing.assert_array_equal(read_tree(tmp_path / "x.h5", "x.h5").arrays["a"], values)


@pytest.mark.parametrize("attribute", ["layer_names", "weight_names"])
def test_a_name_that_is_listed_twice_is_refused(tmp_path, attribute):
    """A thousand times a name of a thousand arrays would be a million arrays."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("dense")
        group["kernel:0"] = np.zeros((2, 2), np.float32)
        file.attrs["layer_names"], group.attrs["weight_names"] = [b"dense"], [b"kernel:0"]
        owner = file if attribute == "layer_names" else group
        owner.attrs[attribute] = 2 * list(owner.attrs[attribute])
    assert_refused(tmp_path / "x.h5", "it lists one name twice; download it again")


def test_an_empty_convolution_is_refused_as_empty(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 0), np.float32)
    assert_refused(tmp_path / "x.weights.h5", "layers/conv2d has an empty array; download or save the file again")


def test_a_text_that_says_it_is_longer_than_the_file_is_not_read(weights):
    with h5py.File(weights) as file:
        address = h5py.h5o.get_info(file["layers/dense/vars"].id).addr
    content = bytearray(weights.read_bytes())
    place = content.index(struct.pack("<I", len("dense")), address)  # of the name "dense"
    content[place : place + 4] = struct.pack("<I", 1 << 31)
    weights.write_bytes(content)
    assert_refused(weights, "is truncated or damaged")


def test_a_heap_of_texts_without_end_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    saved_models.make_model(num_layers=1).save_weights(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 + 8 : heap + 16 + 16] = bytes(8)  # the size of its first text
    path.write_bytes(content)
    assert_refused(path, "is truncated or damaged")


def test_the_calls_of_a_layer_are_read_in_their_order():
    calls = [["a", 0, 0, {"b": [[1.0, 2.0]], "c": True}], ["d", 0, 0]]
    (layer,) = parse(json.dumps({"class_name": "Dense", "config": {}, "inbound_nodes": [calls]}), "x.keras").layers
    assert layer.inputs == ("a", "d")
    assert layer.options == {"c": True}
    np.testing.assert_array_equal(layer.constants, [[[1, 2]]])


def test_a_long_list_of_calls_is_read_in_linear_time():
    """100,000 calls; with a copy of the rest for each, this takes minutes."""
    text = json.dumps({"class_name": "Dense", "config": {}, "inbound_nodes": [[[["a"]] * 100_000]]})
    assert parse(text, "x.keras").layers[0].inputs == ()


def test_a_long_metadata_is_read(archive):
    rewrite(archive, metadata_json=lambda text: text[:-1] + b', "note": "' + b"x" * 120_000 + b'"}')
    assert checkpoints.read(archive).config.num_layers == 2


def test_an_archive_with_a_member_that_unpacks_to_far_more_is_refused(archive):
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/junk", bytes(10_000_000))
    assert_refused(archive, r"^assets/junk in x\.keras unpacks to 10,000,000 bytes, far more than the archive has")


def nest(text):
    return b"[" * 100_000 + b"]" * 100_000


ARCHIVES = {
    "deep JSON": ({"config_json": nest}, "it is no JSON"),
    "no JSON": ({"config_json": lambda text: text[: len(text) // 2]}, "it is no JSON"),
    "a list": ({"config_json": lambda text: b"[]"}, "not that of a model"),
    "bomb of JSON": ({"config_json": lambda text: b" " * (1 << 25)}, "unpacks to 33,554,432 bytes"),
    "bomb of weights": ({"model_weights_h5": lambda text: bytes(1 << 25)}, "unpacks to 33,554,432 bytes"),
    "no weights": ({"model_weights_h5": lambda text: b"nothing"}, "model.weights.h5 in x.keras is truncated"),
}


@pytest.mark.parametrize("damage", ARCHIVES)
def test_a_damaged_archive_is_refused(archive, damage):
    changes, message = ARCHIVES[damage]
    rewrite(archive, **changes)
    assert_refused(archive, message)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "C:\\x"])
def test_a_member_outside_of_the_archive_is_refused(archive, name):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, "x")
    assert_refused(archive, "outside of the archive")


def test_pieces_elsewhere_are_refused(tmp_path):
    index = tmp_path / "x.weights.json"
    index.write_text(json.dumps({"weight_map": {"/a": "../x.weights.h5"}}))
    assert_refused(index, "names the file '../x.weights.h5', which is not beside it")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_refused(weights, archive, share):
    for path in (weights, archive):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(CheckpointError, match=r"truncated|no known format|is empty|a zip archive that is cut off"):
            checkpoints.read(path)


def mutate(content, rng):
    """Flip bits, write numbers that are too large, repeat a piece, or cut."""
    spoilt, place = bytearray(content), rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        for _ in range(rng.choice((1, 30))):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        spoilt[place : place + 8] = struct.pack("<Q", rng.choice((1 << 62, 1 << 33, place)))
    elif kind == 2:
        other = rng.randrange(len(content))
        spoilt[place : place + 200] = content[other : other + 200]
    else:
        del spoilt[place:]
    return bytes(spoilt)


def read_or_refuse(path):
    """The message with which a file is refused, "" where it is read."""
    try:
        checkpoints.read(path)
    except (CheckpointError, ConfigError) as error:
        return str(error)
    return ""


def test_random_damage_is_refused_in_one_sentence_or_read(weights, archive):
    rng = random.Random(0)
    refused = 0
    for path in (weights, archive) * 20:
        original = path.read_bytes()
        path.write_bytes(mutate(original, rng))
        message = read_or_refuse(path)
        assert "\n" not in message
        refused += bool(message)
        path.write_bytes(original)
    assert refused > 5  # neither HDF5 nor Keras keeps checksums: a flipped bit in an array is not noticed


# --- the smallest files, of which one part at a time is changed ---


EXACT = Given(activation="gelu")


@pytest.fixture
def read_tiny(tmp_path):
    """Reads the smallest model: its weights alone, or with its description where `describe` is given.

    `change` and `describe` change the arrays and the described layers, by their names.
    """

    def read(change=None, describe=None, *, blocks=1, given=EXACT, keras="3.15.0"):
        arrays, layers = tiny_keras_files.weights(blocks), tiny_keras_files.layers(blocks)
        if change:
            change(arrays)
        if describe is None:
            tiny_keras_files.write_weights(path := tmp_path / "x.weights.h5", arrays)
        else:
            describe(layers)
            tiny_keras_files.write_archive(path := tmp_path / "x.keras", layers, arrays, {"keras_version": keras})
        return checkpoints.read(path, given)

    return read


def with_arrays(**shapes):
    """Changes layers to random arrays of these shapes; "/" in names is written "__"."""
    return lambda arrays: arrays.update(
        {name.replace("__", "/"): tiny_keras_files.random(*some) for name, some in shapes.items()}
    )


def without_layers(*names, empty=()):
    def change(arrays):
        for name in names:
            del arrays[name]
        arrays.update(dict.fromkeys(empty, ()))

    return change


def drop_bias(arrays):
    arrays["multi_head_attention_1/query_dense"].pop()


PARTS = [f"multi_head_attention/{part}_dense" for part in ("query", "key", "value", "output")]
NARROW = {f"multi_head_attention_1__{part}_dense": [(4, 1, 3), (1, 3)] for part in ("query", "key", "value")}
# case -> (blocks, what is changed in the arrays, why the file is refused)
WEIGHTS_REFUSED = {
    "no attention": (1, without_layers(*PARTS), "it has no MultiHeadAttention"),
    "batch norm": (1, with_arrays(batch_norm=[(4,)] * 4), "layers/batch_norm is a BatchNormalization"),
    "odd": (1, with_arrays(odd=[(1, 2, 2, 2, 2), ()]), "layers/odd has arrays of 1x2x2x2x2, one number, which no"),
    "no query": (1, without_layers(PARTS[0]), "layers/multi_head_attention is a MultiHeadAttention without query"),
    "wide key": (1, with_arrays(multi_head_attention__key_dense=[(4, 2, 5), (2, 5)]), "keys and values differ in size"),
    "wide end": (1, with_arrays(multi_head_attention__output_dense=[(2, 3, 5), (5,)]), "out 5 channels; expected 4"),
    "three scores": (
        1,
        with_arrays(**{f"dense_{i}": [(4, 1), (1,)] for i in (4, 5)}),
        "it has 3 Dense layers with one",
    ),
    "two scores": (1, with_arrays(dense_4=[(4, 1), (1,)]), "two Dense layers have one output, and a third could be"),
    "no classifier": (
        1,
        without_layers("dense_2", "dense_3"),
        "it has 2 Dense layers; expected two for each block, and",
    ),
    "no last norm": (1, without_layers("layer_normalization_2"), "1 attention layers and 2 LayerNormalizations; expec"),
    "no MLP": (1, without_layers("dense", "dense_1"), "1 attention layers and 0 Dense layers in MLPs; expected 2"),
    "narrow MLP": (1, with_arrays(dense=[(4, 6), (6,)]), "an MLP has kernels of 4x6 and 5x4; expected 4 channels in"),
    "wide position": (1, with_arrays(position=[(4, 7)]), "position has a table of 4x7, which is no position of 4"),
    "two positions": (1, with_arrays(position_1=[(4, 4)]), "layers/position_1 has a second table for the positions"),
    "flattened": (1, without_layers("dense_2", empty=["flatten"]), r"reads all tokens at once \(Flatten\)"),
    "oblong": (1, with_arrays(conv2d=[(3, 5, 3, 4), (4,)]), "a convolution has an oblong kernel"),
    "five tokens": (1, with_arrays(position=[(5, 4)]), "the position is for 5 tokens, which no square image makes"),
    "a lambda": (1, without_layers(empty=["lambda"]), r"layers/lambda is code of its own \(a Lambda\)"),
    "heads": (
        2,
        with_arrays(**NARROW, multi_head_attention_1__output_dense=[(1, 3, 4), (4,)]),
        "its attention layers differ in the number or size of their heads",
    ),
    "MLPs": (2, with_arrays(dense_2=[(4, 6), (6,)], dense_3=[(6, 4), (4,)]), "its MLPs differ in width"),
    "biases": (2, drop_bias, "some of its attention layers have biases, and others have not"),
}


@pytest.mark.parametrize("case", WEIGHTS_REFUSED)
def test_weights_of_another_model_are_refused_by_their_part(read_tiny, case):
    blocks, change, message = WEIGHTS_REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        read_tiny(change, blocks=blocks)


def test_an_mlp_is_read_in_the_order_of_its_shapes(read_tiny):
    def swap(arrays):
        arrays["dense"], arrays["dense_1"] = arrays["dense_1"], arrays["dense"]

    assert_equal_weights(read_tiny(swap), read_tiny())


def assert_equal_weights(one, other):
    assert one.weights.keys() == other.weights.keys()
    for name, array in other.weights.items():
        np.testing.assert_array_equal(one.weights[name], array)


@pytest.mark.parametrize("name", ["head", "my_logits"])
def test_a_classifier_is_recognised_by_its_name(read_tiny, name):
    def rename(arrays):  # in another place than Keras's own order
        arrays[name] = arrays.pop("dense_3")

    assert_equal_weights(read_tiny(rename), read_tiny())


def test_a_class_token_is_read_where_nothing_scores_the_tokens(read_tiny):
    checkpoint = read_tiny(
        lambda arrays: arrays.update(position=[np.ones((5, 4), "f4")], dense_2=[], token=[np.ones((1, 1, 4), "f4")])
    )
    assert (checkpoint.config.pool, checkpoint.config.image_size) == ("class_token", (6, 6))
    np.testing.assert_array_equal(checkpoint.weights["sequence/class_token"], np.ones((1, 4)))


def test_normalisation_before_the_convolutions_is_assumed(read_tiny):
    def normalise(mean, variance):
        statistics = [np.full(3, mean, "f4"), np.full(3, variance, "f4"), np.array(0, "i4")]
        return lambda arrays: arrays.update(normalization=statistics, rescaling=[])

    config = read_tiny(normalise(0.5, 0.25)).config
    assert (config.preprocessing.mean, config.preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)
    assert any("before the convolutions is assumed" in text for text in config.assumptions)
    assert any("how pixels were normalised: mean 0.5 0.5 0.5 and std 0.5" in text for text in config.assumptions)
    with pytest.raises(CheckpointError, match=r"a Normalization of pixels in 0\.\.255, and does not say which comes"):
        read_tiny(normalise(128, 64**2))


def configure(name, **config):
    return lambda layers: layers[name]["config"].update(config)


def call(name, *inputs, **options):
    return lambda layers: layers[name].update(inbound_nodes=[tiny_keras_files.reads(*inputs, **options)])


def replace(name, kind, **config):
    return lambda layers: layers.update({name: tiny_keras_files.described(kind, name, **config)})


def all_of(*changes):
    return lambda layers: [change(layers) for change in changes]


def insert(after, *kinds_and_configs):
    """Adds layers to the description: new_0, new_1 .. behind the one that is called `after`."""

    def describe(layers):
        order = list(layers.values())
        at = [layer["name"] for layer in order].index(after) + 1
        order[at:at] = [tiny_keras_files.described(k, f"new_{i}", **c) for i, (k, c) in enumerate(kinds_and_configs)]
        layers.clear()
        layers.update({layer["name"]: layer for layer in order})

    return describe


RELU, OP = ("ReLU", {}), ("TFOpLambda", {"function": "nn.relu"})
POOL, PAD = ("MaxPooling2D", {"pool_size": [1, 1]}), ("ZeroPadding2D", {"padding": [[1, 1], [1, 1]]})
# case -> (what is changed in the description, why the file is refused)
DESCRIPTIONS_REFUSED = {
    "causal mask": (call("multi_head_attention", use_causal_mask=True), "multi_head_attention has a causal mask"),
    "quantised": (configure("dense", quantization_config={"mode": "int8"}), "the layer dense is quantised"),
    "dilated": (configure("conv2d", dilation_rate=[2, 2]), "the layer conv2d has dilation or groups"),
    "grouped": (configure("conv2d", groups=3), "the layer conv2d has dilation or groups"),
    "channels first": (configure("conv2d", data_format="channels_first"), "the layer conv2d reads channels first"),
    "swish": (configure("conv2d", activation="swish"), "conv2d has the activation swish; expected ReLU or linear"),
    "swish apart": (insert("conv2d", ("Activation", {"activation": "swish"})), "new_0 has the activation swish; expec"),
    "ReLU 6": (insert("conv2d", ("ReLU", {"max_value": 6.0})), "new_0 has the activation ReLU with limits; expected"),
    "ReLU first": (
        insert("rescaling", ("ReLU", {})),
        "new_0 has the activation relu; expected ReLU after a convolution",
    ),
    "two strides": (configure("conv2d", strides=[3, 2]), r"conv2d has strides \[3, 2\]; expected one number for both"),
    "one side padded": (
        insert("rescaling", ("ZeroPadding2D", {"padding": [[0, 1], [0, 1]]})),
        r"the layer new_0 pads \[\[0, 1\], \[0, 1\]\]; expected the same on all sides",
    ),
    "pool first": (insert("rescaling", POOL), "the layer new_0 pools again, or before any convolution"),
    "two pools": (insert("conv2d", POOL, POOL), "the layer new_1 pools again, or before any convolution"),
    "padded last": (insert("conv2d", POOL, PAD), "it pads what no convolution or pool reads"),
    "Leaky ReLU": (
        configure("conv2d", activation={"class_name": "LeakyReLU", "config": {"negative_slope": 0.2}}),
        "the layer conv2d has the activation LeakyReLU; expected ReLU or linear",
    ),
    "two scales": (configure("rescaling", scale=[1, 2]), "it rescales pixels by 2 numbers; expected one, or one for"),
    "no mean": (replace("rescaling", "Normalization", variance=1), "rescaling does not say its mean and variance"),
    "inverted": (
        replace("rescaling", "Normalization", mean=0, variance=1, invert=True),
        "the layer rescaling undoes a normalisation",
    ),
    "ReLU": (
        all_of(configure("dense", activation="relu"), configure("dense_2", activation="relu")),
        "its MLPs have the activations relu and gelu; expected GELU, and",
    ),
    "two MLPs": (configure("dense_2", activation="relu"), r"its MLPs differ in their activations \(gelu, relu\)"),
    "ReLU apart": (
        all_of(configure("dense", activation=None), configure("dense_2", activation="relu"), insert("dense", RELU)),
        "its MLPs have the activations relu and gelu; expected GELU, and",
    ),
    "two activations": (insert("dense", RELU), r"the layer new_0 is a second activation \(relu after gelu\)"),
    "ReLU of tf.nn": (
        all_of(configure("dense_1", activation=None), insert("dense_1", OP)),
        r"its MLPs differ in their activations \(gelu, relu\)",
    ),
    "tanh": (configure("answer", activation="tanh"), "its classifier has the activation tanh; expected softmax, sig"),
    "epsilons": (configure("layer_normalization", epsilon=1e-3), r"have different epsilons \(1e-05, 0.001\)"),
    "no norm": (call("multi_head_attention", "position"), "multi_head_attention reads a Position; expected a LayerN"),
    "norm added": (call("add", "layer_normalization"), "a norm before the attention is added to the residual stream"),
    "blocks differ": (call("add_1", "layer_normalization_1"), "in some of its blocks alone the norm before the MLP is"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS_REFUSED)
def test_descriptions_of_another_model_are_refused_by_their_layer(read_tiny, case):
    describe, message = DESCRIPTIONS_REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        read_tiny(describe=describe, blocks=2)


def test_pixels_multiplied_by_a_negative_number_are_refused(read_tiny):
    with pytest.raises(CheckpointError, match="describes no model of this family: pixels are multiplied by"):
        read_tiny(describe=configure("rescaling", scale=-1), given=Given())


def test_augmentation_in_use_is_refused_where_tf_keras_wrote_it(read_tiny):
    def flip(layers):
        insert("rescaling", ("RandomFlip", {"mode": "horizontal"}))(layers)
        call("new_0", training=True)(layers)

    with pytest.raises(CheckpointError, match=r"new_0 \(RandomFlip\) changes pictures at random even in use"):
        read_tiny(describe=flip, keras="2.15.0")
    assert read_tiny(describe=flip).config.activation == "gelu"  # Keras 3 writes it beside every such layer


NORMS = ("layer_normalization", "layer_normalization_1", "layer_normalization_2")
# what is changed in the description -> attribute of the configuration, and what it then is
DESCRIPTIONS_READ = {
    "GELU as an object": (
        configure("dense", activation={"class_name": "function", "config": "gelu"}),
        "activation",
        "gelu",
    ),
    "one GELU": (configure("dense_1", activation=None), "mlp_output_activation", False),
    "norm replaces": (call("add_1", "layer_normalization_1"), "block", "official"),
    "epsilon": (all_of(*(configure(name, epsilon=0.25) for name in NORMS)), "layer_norm_epsilon", 0.25),
    "sigmoid": (configure("answer", activation="sigmoid"), "output", "sigmoid"),
    "centre crop": (
        all_of(
            configure("images", batch_shape=[None, 8, 12, 3]),
            insert("rescaling", ("CenterCrop", {"height": 6, "width": 6})),
        ),
        "preprocessing.crop",
        0.75,
    ),
    "crop of an unknown size": (
        all_of(
            configure("images", batch_shape=[None, None, None, 3]),
            insert("rescaling", ("CenterCrop", {"height": 6, "width": 6})),
        ),
        "image_size",
        (6, 6),
    ),
    "crop that says no size": (insert("rescaling", ("RandomCrop", {"height": None})), "image_size", (6, 6)),
    "ReLU after the pool": (insert("conv2d", POOL, ("ReLU", {})), "tokenizer.0.relu", True),
    "linear activation": (insert("conv2d", ("Activation", {"activation": "linear"})), "tokenizer.0.relu", False),
    "pool without strides": (insert("conv2d", ("MaxPooling2D", {"pool_size": 1})), "tokenizer.0.pool_stride", 1),
}


@pytest.mark.parametrize("case", DESCRIPTIONS_READ)
def test_what_a_description_says_is_in_the_configuration(read_tiny, case):
    describe, path, expected = DESCRIPTIONS_READ[case]
    value = read_tiny(describe=describe).config
    for name in path.split("."):
        value = value[int(name)] if name.isdigit() else getattr(value, name)
    assert value == expected


def test_operations_between_the_layers_of_an_mlp_are_no_activations(read_tiny):
    describe = insert("dense", ("TFOpLambda", {"function": "math.add"}), ("Activation", {"activation": "linear"}))
    assert read_tiny(describe=describe).config == read_tiny(describe=insert("dense")).config


def test_statistics_of_a_normalisation_that_was_adapted_are_in_the_weights(read_tiny):
    statistics = [np.full(3, 127.5, "f4"), np.full(3, 51.0**2, "f4"), np.array(0, "i4")]
    describe = replace("rescaling", "Normalization", mean=None, variance=None)
    preprocessing = read_tiny(lambda arrays: arrays.update(normalization=statistics), describe).config.preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (0.2,) * 3)


def test_the_mean_of_the_tokens_is_assumed_where_nothing_says_how_they_are_pooled(read_tiny):
    config = read_tiny(without_layers("dense_2")).config
    assert config.pool == "mean"
    assert "The file does not say how its tokens are pooled: their mean is assumed." in config.assumptions


def test_convolutions_are_described_before_blocks_of_the_users_own(read_tiny):
    def hide(layers):
        kept = ("images", "rescaling", "conv2d", "dense_2", "softmax", "answer")
        for name in set(layers) - set(kept):
            layers[name].update(module=None, class_name="Own", registered_name="Custom>Own")

    stage = read_tiny(describe=hide).config.tokenizer[0]
    assert (stage.kernel_size, stage.stride, stage.relu, stage.pool_size) == (3, 3, False, 0)


def test_a_file_of_weights_is_complete_alone(read_tiny, tmp_path):
    read_tiny()
    assert checkpoints.model_files(tmp_path / "x.weights.h5") == ["x.weights.h5"]


def test_pictures_that_the_model_resizes_are_noted(read_tiny):
    def resize(layers):
        configure("images", batch_shape=[None, 8, 12, 3])(layers)
        insert("rescaling", ("Resizing", {"height": 6, "width": 6}))(layers)

    config = read_tiny(describe=resize).config
    assert config.image_size == (6, 6)
    assert any("scales pictures of 8x12 to 6x6 pixels (Resizing)" in text for text in config.assumptions)


@pytest.mark.parametrize(("approximate", "form"), [(True, "gelu_tanh"), (False, "gelu")], ids=["approximate", "exact"])
def test_the_form_of_a_gelu_layer_is_read(read_tiny, approximate, form):
    def apart(layers):
        configure("dense", activation="linear")(layers)
        configure("dense_1", activation="linear")(layers)
        insert("dense", ("Gelu", {"approximate": approximate}))(layers)

    config = read_tiny(describe=apart, given=Given()).config
    assert (config.activation, config.mlp_output_activation) == (form, False)


def test_a_position_of_another_size_than_the_given_images_is_refused(read_tiny):
    with pytest.raises(ConfigError, match="images of 9x9 pixels make 9 tokens, but the position is for 4; save the"):
        read_tiny(given=Given(activation="gelu", image_size=(9, 9)))
    with pytest.raises(ConfigError, match="6x9 pixels make 6 tokens, but the position is for 4; give the size"):
        read_tiny(describe=configure("images", batch_shape=[None, 6, 9, 3]))


# --- HDF5, zip archives and TensorFlow's checkpoints themselves ---


def write_hdf5(path, change, **options):
    with h5py.File(path, "w", **options) as file:
        change(file)
    return path


def name_a_type(file):
    file["a type"] = np.dtype("f4")


def have_long_numbers(file):
    file["a"] = np.zeros(3, np.longdouble)


def have_a_number_for_a_text(file):
    file.attrs["backend"] = 7


TREES_REFUSED = {
    name_a_type: r"holds a type of its own \(a type\)",
    have_long_numbers: "holds a, numbers of 16 bytes",
    have_a_number_for_a_text: "has an attribute backend that is no text",
}


@pytest.mark.parametrize("change", TREES_REFUSED, ids=lambda change: change.__name__)
def test_what_no_file_of_weights_holds_is_refused(tmp_path, change):
    with pytest.raises(CheckpointError, match=f"^x.h5 {TREES_REFUSED[change]}; a file of weights needs none of that"):
        read_tree(write_hdf5(tmp_path / "x.h5", change), "x.h5")


def test_more_objects_than_any_model_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 3)
    with pytest.raises(CheckpointError, match="holds more than 3 objects"):
        read_tree(write_hdf5(tmp_path / "x.h5", lambda file: [file.create_group(name) for name in "abcd"]), "x.h5")


def test_arrays_are_float32_and_texts_lists_or_single(tmp_path):
    def fill(file):
        file["half"] = np.array([0.5, 2], np.float16)
        file["bfloat16"] = np.array([0x3FC0, 0xC000], np.uint16).view("V2")
        file["count"] = np.array(3)
        file.create_group("optimizer")["a"] = np.zeros(3)
        file.create_group("inner").create_group("deep")
        file.attrs["backend"] = np.bytes_("fixed")
        file.attrs["layer_names1"] = ["c"]
        file.attrs["layer_names0"] = np.array([b"a", b"b"])
        file.attrs["weight_names"] = np.array([])
        file.attrs["name"] = "variable"
        file.attrs["unknown"] = 7

    tree = read_tree(write_hdf5(tmp_path / "x.h5", fill), "x.h5")
    np.testing.assert_array_equal(tree.arrays["half"], np.array([0.5, 2], np.float32))
    np.testing.assert_array_equal(tree.arrays["bfloat16"], np.array([1.5, -2], np.float32))
    assert {name: array.dtype.kind for name, array in tree.arrays.items()} == {
        "half": "f",
        "bfloat16": "f",
        "count": "i",
    }
    assert (tree.text("backend"), tree.text("name"), tree.text("layer_names0"), tree.text("dtype")) == (
        "fixed",
        "variable",
        "",
        "",
    )
    assert (tree.texts_of("layer_names"), tree.texts_of("weight_names")) == (["a", "b", "c"], [])
    assert tree.groups.keys() == {"inner"}
    assert tree.find("/inner/deep/") is not None
    assert tree.find("nowhere/deep") is None


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"track_order": True}], ids=str)
def test_texts_are_those_that_the_library_reads(tmp_path, options):
    texts = {f"layer_names{i}": ["ä" * i, "", "b" * 300] for i in range(6)} | {"backend": "jax"}

    def fill(file):
        group = file.create_group("group")
        for name, text in texts.items():
            group.attrs[name] = text
        group.attrs["unknown"] = 7

    assert read_tree(write_hdf5(tmp_path / "x.h5", fill, **options), "x.h5").groups["group"].texts == texts


def test_texts_in_a_layout_that_keras_does_not_write_are_refused(tmp_path):
    def fill(file):
        for i in range(20):  # more than 8 are kept apart from the object
            file.attrs[f"layer_names{i}"] = ["a"]

    with pytest.raises(CheckpointError, match="keeps its texts apart from its objects"):
        read_tree(write_hdf5(tmp_path / "x.h5", fill, libver="latest"), "x.h5")


HEADER = b"\1\0\1\0" + struct.pack("<II", 1, 24) + bytes(4)  # version 1, one block of 24 bytes
HEAPS = {
    "no header": (b"\2" + bytes(100), "no header"),
    "huge header": (b"\1" + bytes(7) + struct.pack("<I", 1 << 21) + bytes(100), "too long a header"),
    "header in a circle": (HEADER + struct.pack("<HH4xQQ", 0x10, 16, 16, 24), "too long a header"),
}


@pytest.mark.parametrize("case", HEAPS)
def test_a_damaged_header_of_texts_is_refused(case):
    content, message = HEAPS[case]
    with pytest.raises(ValueError, match=message):
        read_texts(lambda at, count: content[at : at + count], 0, len(content))


REFERENCES = {
    "length": (lambda heap: (1000, heap, 1), "the text backend is longer than the file"),
    "heap": (lambda heap: (3, 0, 1), "no heap of texts"),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_a_damaged_reference_to_a_text_is_refused(tmp_path, case):
    path = write_hdf5(tmp_path / "x.h5", lambda file: file.attrs.update(backend="jax"))
    with h5py.File(path) as file:
        address = h5py.h5o.get_info(file.id).addr
    content, heap = path.read_bytes(), path.read_bytes().index(b"GCOL")
    change, message = REFERENCES[case]
    spoilt = content.replace(struct.pack("<IQI", 3, heap, 1), struct.pack("<IQI", *change(heap)))
    assert spoilt != content
    with pytest.raises(ValueError, match=message):
        read_texts(lambda at, count: spoilt[at : at + count], address, len(spoilt))


def archive_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of two members of one name
        for name, content in members:
            file.writestr(name, content)


def spoil_directory(path):
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2")] = 0
    path.write_bytes(content)


OTHER_ARCHIVES = {
    "two of one name": (
        lambda path: archive_of(path, [("config.json", "{}")] * 2),
        "x.keras holds two files of one name",
    ),
    "weights alone": (
        lambda path: archive_of(path, [("model.weights.h5", "")]),
        "x.keras is no .keras file: config.json is missing",
    ),
    "bzip2": (
        lambda path: archive_of(path, [("config.json", "{}"), ("model.weights.h5", "")], compression=zipfile.ZIP_BZIP2),
        "x.keras is compressed in a way that is not used for weights",
    ),
    "spoilt directory": (
        lambda path: [archive_of(path, [("config.json", "{}")]), spoil_directory(path)],
        "x.keras is truncated, damaged or no .keras file",
    ),
}


@pytest.mark.parametrize("case", OTHER_ARCHIVES)
def test_a_zip_archive_that_keras_does_not_write_is_refused(tmp_path, case):
    write, message = OTHER_ARCHIVES[case]
    write(tmp_path / "x.keras")
    with pytest.raises(CheckpointError, match=message):
        archives.read(tmp_path / "x.keras")


def test_a_damaged_zip_archive_is_known_by_its_name(tmp_path):
    archive_of(tmp_path / "x.keras", [("config.json", "{}")])
    spoil_directory(tmp_path / "x.keras")
    (tmp_path / "x.zip").write_bytes((tmp_path / "x.keras").read_bytes())
    assert archives.holds(tmp_path / "x.keras")
    assert not archives.holds(tmp_path / "x.zip")
    assert not archives.holds(Path(__file__))


def test_a_folder_of_the_members_is_read_as_the_archive(tmp_path, monkeypatch):
    whole, unpacked = tmp_path / "whole", tmp_path / "unpacked"
    whole.mkdir()
    tiny_keras_files.write_archive(whole / "x.keras", tiny_keras_files.layers(), tiny_keras_files.weights())
    with zipfile.ZipFile(whole / "x.keras") as file:
        file.extractall(unpacked)
    assert_equal_weights(checkpoints.read(unpacked, EXACT), checkpoints.read(whole, EXACT))
    monkeypatch.setattr(archives, "MAX_TEXT", 100)
    with pytest.raises(CheckpointError, match=r"config\.json in unpacked has [\d,]+ bytes; expected 100 at most"):
        checkpoints.read(unpacked)


OWN_CONFIG = CCTConfig(
    image_size=(6, 6), tokenizer=(ConvStage(4),), num_layers=1, num_heads=2, key_dim=3, mlp_dim=5, labels=("a", "b")
)
OWN = {
    "no object": ([], "x.keras: the configuration in it cannot be read: it is no object"),
    "empty": ({}, "x.keras: the configuration in it cannot be read: "),
    "without arrays": (OWN_CONFIG.to_dict(), "says 1 layers, but there are 0 arrays"),
    "too many layers": (
        dataclasses.replace(OWN_CONFIG, num_layers=50).to_dict(),
        "says 50 layers, but there are 0 arr",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_an_archive_of_this_project_is_refused_with_another_configuration(tmp_path, case):
    config, message = OWN[case]
    root = tiny_keras_files.described("CCT", "model", module="cct_viz", registered="cct_viz>CCT", config=config)
    tiny_keras_files.write_archive(tmp_path / "x.keras", root, tiny_keras_files.weights())
    with pytest.raises(CheckpointError, match=message):
        checkpoints.read(tmp_path / "x.keras")


def nested(depth):
    model = tiny_keras_files.functional({})
    for _ in range(depth):
        model = tiny_keras_files.functional({"inner": model})
    return model


DESCRIPTIONS = {
    "deep": (nested(31), "the model's description has models inside models, more than 30 deep"),
    "long": (tiny_keras_files.functional(dict.fromkeys(range(20_001))), "lists 20,001 layers; expected 20,000 at most"),
    "a layer that is a text": (tiny_keras_files.functional({"a": "b"}), "the description of the model in x is damaged"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_damaged_description_is_refused(case):
    root, message = DESCRIPTIONS[case]
    with pytest.raises(CheckpointError, match=message):
        parse(json.dumps(root), "x")


def test_calls_of_both_serialisations_are_read():
    table = [[1, 2], [3, 4]]
    array = {"class_name": "__numpy__", "config": {"value": table, "dtype": "float32"}}
    new = tiny_keras_files.described("Add", "add", nodes=[tiny_keras_files.reads("a", "b", y=array, training=True)])
    old = {"class_name": "Own>Add", "config": {}, "name": "add"}
    old["inbound_nodes"] = [[["a", 0, 0, {"y": table, "training": True}], ["b", 0, 0, {}]]]
    layers = parse(json.dumps(tiny_keras_files.functional({"new": new, "old": old})), "x").layers
    for layer, own in zip(layers, (True, False), strict=True):
        assert (layer.kind, layer.name, layer.own, layer.inputs) == ("Add", "add", own, ("a", "b"))
        assert layer.options == {"training": True}
        np.testing.assert_array_equal(layer.constants, [table])


SHAPE = [None, 6, 6, 3]
INPUTS = {
    "build_config": {"class_name": "Own", "config": {}, "build_config": {"input_shape": SHAPE}},
    "build_input_shape": {"class_name": "Sequential", "config": {"layers": [], "build_input_shape": SHAPE}},
    "batch_input_shape": {
        "class_name": "Sequential",
        "config": [{"class_name": "A", "config": {"batch_input_shape": SHAPE}}],
    },
}


@pytest.mark.parametrize("case", INPUTS)
def test_the_shape_of_the_input_is_found(case):
    assert parse(json.dumps(INPUTS[case]), "x").input_shape == tuple(SHAPE)


def test_a_model_without_a_shape_of_its_input_has_none():
    assert parse(json.dumps({"class_name": "Own", "config": {}}), "x").input_shape is None
    assert parse(json.dumps({"class_name": "Own", "build_config": {"input_shape": [None, 3]}}), "x").input_shape is None


def test_a_usual_name_is_preferred_and_an_index_comes_with_its_pieces():
    assert weights_file.files(["a.h5", "model.weights.h5", "b/model.h5"]) == ["model.weights.h5"]
    assert weights_file.files(["b.h5", "a.hdf5", "x.weights.json"]) == ["a.hdf5"]
    pieces = ["x_00000.weights.h5", "x_00001.weights.h5", "x.weights.json"]
    assert weights_file.files(["a.h5", *pieces]) == pieces


INDICES = {
    "no JSON": b'{"weight_map": ',
    "a list": b'["weight_map"]',
    "numbers": b'{"weight_map": {"/a": 3}}',
    "too large": b'{"weight_map": {}}' + b" " * weights_file.MAX_INDEX,
}


@pytest.mark.parametrize("case", INDICES)
def test_a_damaged_index_is_refused(tmp_path, case):
    (tmp_path / "x.weights.json").write_bytes(INDICES[case])
    with pytest.raises(
        CheckpointError, match=r"x\.weights\.json is damaged; expected an index of files of weights, as"
    ):
        checkpoints.read(tmp_path / "x.weights.json")


def test_a_file_of_keras_2_without_a_listed_array_is_refused(tmp_path):
    def fill(file):
        file.attrs["layer_names"] = ["dense"]
        file.create_group("dense").attrs["weight_names"] = ["dense/kernel:0"]

    with pytest.raises(CheckpointError, match="the file lists the array 'dense/kernel:0', but lacks it; save it again"):
        checkpoints.read(write_hdf5(tmp_path / "x.h5", fill))


def test_an_hdf5_file_of_another_program_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"x\.h5 is an HDF5 file, but holds no layers of Keras; save it with model"
    ):
        checkpoints.read(write_hdf5(tmp_path / "x.h5", lambda file: file.create_group("a")))


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["_query_dense"], "gelu"),
        (["tf_op_lambda_1"], "gelu"),
        (["_query_dense", "seed_generator"], "gelu_tanh"),
        ([], "gelu_tanh"),
    ],
    ids=str,
)
def test_the_form_of_gelu_is_that_of_the_program_that_wrote_the_weights(read_tiny, names, form):
    config = read_tiny(lambda arrays: arrays.update(dict.fromkeys(names, ())), given=Given()).config
    assert config.activation == form


def save_checkpoint(prefix, arrays):
    """A checkpoint of TensorFlow with these layers as tf.keras writes them, numbered, in the order of `arrays`."""
    root, layers = {}, {}
    for name, some in arrays.items():
        parent, _, own = name.rpartition("/")
        variables = {f"v{i}": tf.Variable(array, name=f"{name}/v{i}") for i, array in enumerate(some)}
        layer = tf.train.Checkpoint(**variables)
        if parent:
            layers.setdefault(parent, tf.train.Checkpoint()).__setattr__(own, layer)
        else:
            layers[name] = layer
    for i, layer in enumerate(layers.values()):
        root |= {f"layer-{i}": layer, f"layer_with_weights-{i}": layer}
    tf.train.Checkpoint(**root, optimizer=tf.train.Checkpoint(v=tf.Variable(3.0))).write(str(prefix))


def test_a_checkpoint_of_tensorflow_agrees_with_a_file_of_its_weights(read_tiny, tmp_path):
    expected = read_tiny()
    save_checkpoint(tmp_path / "x", tiny_keras_files.weights())
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/x"')
    for name in ("x.index", "checkpoint", ""):
        assert_equal_weights(checkpoints.read(tmp_path / name, EXACT), expected)
    (tmp_path / "x.data-00000-of-00001").rename(tmp_path / "x.data-00000-of-00002")
    for name in ("x.index", "checkpoint"):
        with pytest.raises(CheckpointError, match=rf"^{name} is incomplete; expected its \.index and all of its"):
            checkpoints.read(tmp_path / name)


def test_a_state_that_names_no_checkpoint_is_incomplete(tmp_path):
    (tmp_path / "checkpoint").write_text("model_checkpoint_path: nothing")
    with pytest.raises(CheckpointError, match="checkpoint is incomplete; expected"):
        checkpoints.read(tmp_path / "checkpoint")
    assert tf_checkpoint.files_beside(tmp_path / "checkpoint") == ["checkpoint"]


def test_the_last_complete_checkpoint_of_a_folder_is_chosen():
    old, new = ["cp-9.data-00000-of-00001", "cp-9.index"], ["cp-10.data-00000-of-00002", "cp-10.index"]
    assert tf_checkpoint.files(old + new) == old
    assert tf_checkpoint.files([*old, *new, "cp-10.data-00001-of-00002"]) == [
        new[0],
        "cp-10.data-00001-of-00002",
        new[1],
    ]
    assert tf_checkpoint.files(new) == []


def test_a_type_that_tensorflow_does_not_know_does_not_end_the_process(tmp_path):
    """TensorFlow itself aborts, also where every checksum is right."""
    tf.train.Checkpoint(step=tf.Variable(3)).write(str(tmp_path / "x"))
    index = tmp_path / "x.index"
    entries = dict(bundle_index._table(index.read_bytes()))
    place = index.read_bytes().index(next(value for key, value in entries.items() if key.startswith(b"step")))
    content = bytearray(index.read_bytes())
    assert content[place] == 8  # the field of the type
    content[place + 1] = 99
    index.write_bytes(content)
    assert_refused(index, r"^x\.index or its data is missing, truncated or damaged; download it again$")


def test_a_variable_that_is_named_many_times_is_loaded_once(tmp_path):
    tf.train.Checkpoint(step=tf.Variable([1.0] * 1000)).write(str(tmp_path / "x"))
    load, objects = tensor_bundle.open_bundle(tmp_path / "x", "x.index")
    (key,) = [a.checkpoint_key for node in objects.nodes for a in node.attributes if a.full_name == "Variable"]
    assert load(key).shape == (1000,)
    with pytest.raises(CheckpointError, match=r"x\.index is missing, truncated or damaged"):
        load(key)
    with pytest.raises(CheckpointError, match=r"x\.index is missing, truncated or damaged"):
        load(tensor_bundle.OBJECTS)  # a text, not an array


def test_objects_inside_objects_without_end_are_refused():
    nodes = [tf_objects(children=[(f"x{i}", i + 1)]) for i in range(70)]
    with pytest.raises(CheckpointError, match="objects inside objects, more than 64 deep"):
        list(tf_checkpoint._layers(None, [*nodes, tf_objects()]))


def tf_objects(children=()):
    return SimpleNamespace(
        children=[SimpleNamespace(local_name=name, node_id=index) for name, index in children], attributes=[]
    )


def test_a_checkpoint_of_tensorflow_without_layers_is_refused(tmp_path):
    tf.train.Checkpoint(step=tf.Variable(3)).write(str(tmp_path / "x"))
    with pytest.raises(CheckpointError, match="it has no convolution"):
        checkpoints.read(tmp_path / "x.index")


def test_a_checkpoint_of_tensorflow_1_is_refused(tmp_path):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "x"), tensor_names=["kernel"], shape_and_slices=[""], tensors=[tf.constant([1.0])]
    )
    with pytest.raises(CheckpointError, match=r"x\.index names no objects: it was not saved by TensorFlow 2"):
        checkpoints.read(tmp_path / "x.index")
