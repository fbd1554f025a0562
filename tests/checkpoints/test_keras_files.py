"""Files that Keras 3 and tf.keras save: read without running a class, and compared with the models themselves."""

import functools
import json
import random
import struct
import zipfile

import h5py
import keras
import keras_models
import numpy as np
import pytest
import saved_models
from random_models import FORMS, random_model

from cct_viz import checkpoints
from cct_viz.architecture.config import ConfigError
from cct_viz.architecture.keras_model import build_model, make_functional, named_weights
from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.convert import save
from cct_viz.checkpoints.given import ASSUMED_LABELS, ASSUMED_PIXELS, Given

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
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
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
}


@pytest.mark.parametrize("change", HARMFUL, ids=lambda change: change.__name__)
def test_what_hdf5_can_do_beyond_arrays_is_refused(weights, change):
    with h5py.File(weights, "a") as file:
        change(file)
    assert_refused(weights, HARMFUL[change])


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
        with pytest.raises(CheckpointError, match=r"truncated|no known format|is empty|a zip archive without a model"):
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
