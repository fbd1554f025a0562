"""Reading, checking and writing checkpoints without TensorFlow (but for the one comparison with the Keras model)."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cct_viz import checkpoints
from cct_viz.architecture.config import CCTConfig, ConvStage, write_config
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import CheckpointError, safetensors

CONFIG = CCTConfig(
    image_size=(12, 20),
    tokenizer=(ConvStage(4), ConvStage(6, pool_padding="same")),
    num_layers=2,
    num_heads=2,
    key_dim=5,
    mlp_dim=7,
    labels=("cat", "dog", "owl"),
)


def random_weights(config=CONFIG, seed=0):
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s).astype(np.float32) for n, s in expected_shapes(config).items()}


def without(arrays, name):
    return {n: a for n, a in arrays.items() if n != name}


@pytest.fixture
def folder(tmp_path):
    safetensors.write(tmp_path / "model", CONFIG, random_weights())
    return tmp_path / "model"


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block": "official", "qkv_bias": False, "position": "sinusoidal"},
        {"pool": "mean", "position": "none"},
        {"pool": "max", "num_layers": 1, "num_heads": 1},
        {"pool": "class_token", "tokenizer": (ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0),)},
        {"pool": "class_token", "position": "sinusoidal", "mlp_output_activation": True, "image_size": (16, 16)},
    ],
)
def testexpected_shapes_equal_those_of_the_keras_model(changes):
    from cct_viz.architecture.keras_model import build_model, named_weights

    config = dataclasses.replace(CONFIG, **changes)
    model = build_model(config)
    shapes = {name: tuple(variable.shape) for name, variable in named_weights(model).items()}
    assert expected_shapes(config) == shapes
    weights = random_weights(config)
    checkpoints.assign(model, weights)
    for name, variable in named_weights(model).items():
        np.testing.assert_array_equal(np.asarray(variable), weights[name])
    with pytest.raises(CheckpointError, match="head/bias is missing"):
        checkpoints.assign(model, without({n: 0 * a for n, a in weights.items()}, "head/bias"))
    np.testing.assert_array_equal(np.asarray(named_weights(model)["norm/gamma"]), weights["norm/gamma"])


def test_check_lists_every_difference_at_once():
    weights = random_weights()
    del weights["block_1/mlp_1/bias"]
    weights["head/extra"] = np.zeros(1, np.float32)
    weights["head/kernel"] = weights["head/kernel"].T.copy()
    weights["norm/beta"] = weights["norm/beta"].astype(np.float64)
    weights["sequence/position"][0, :2] = np.nan, np.inf
    with pytest.raises(CheckpointError) as error:
        checkpoints.check(weights, CONFIG)
    for part in (
        "block_1/mlp_1/bias is missing",
        "head/extra is not part of the model",
        "head/kernel has shape (3, 6), expected (6, 3)",
        "norm/beta is float64, expected float32",
        "sequence/position has 2 values that are not finite",
    ):
        assert part in str(error.value)
    assert str(error.value).count(";") == 4


def test_check_stops_early_at_a_forged_number_of_layers():
    with pytest.raises(CheckpointError, match="1000000000 layers, but there are"):
        checkpoints.check(random_weights(), dataclasses.replace(CONFIG, num_layers=10**9))


def test_checkpoint_is_read_only_and_checked(folder):
    checkpoint = checkpoints.read(folder)
    with pytest.raises(ValueError, match="read-only"):
        checkpoint.weights["norm/gamma"][0] = 1
    with pytest.raises(CheckpointError, match="norm/gamma is missing"):
        dataclasses.replace(checkpoint, weights=without(checkpoint.weights, "norm/gamma"))


def test_written_folder_is_read_back_exactly(folder):
    assert checkpoints.detect(folder) == "safetensors"
    checkpoint = checkpoints.read(str(folder))
    assert (checkpoint.config, checkpoint.format) == (CONFIG, "safetensors")
    assert checkpoint.weights.keys() == random_weights().keys()
    for name, array in random_weights().items():
        assert checkpoint.weights[name].dtype == np.float32
        np.testing.assert_array_equal(checkpoint.weights[name], array)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_float16_on_disk_is_float32_in_memory(tmp_path):
    safetensors.write(tmp_path, CONFIG, random_weights(), dtype="float16")
    assert {a.dtype for a in load_file(tmp_path / "model.safetensors").values()} == {np.dtype("float16")}
    for name, array in checkpoints.read(tmp_path).weights.items():
        np.testing.assert_array_equal(array, random_weights()[name].astype(np.float16).astype(np.float32))


def test_same_weights_give_the_same_bytes_whatever_their_order(folder, tmp_path):
    weights = random_weights()
    safetensors.write(tmp_path / "again", CONFIG, dict(reversed(weights.items())))
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_write_refuses_what_read_would_refuse_and_leaves_the_folder_alone(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    large = random_weights()
    large["head/bias"][0] = 1e6
    with pytest.raises(CheckpointError, match="head/bias: values too large for float16"):
        safetensors.write(folder, CONFIG, large, dtype="float16")
    with pytest.raises(CheckpointError, match="norm/beta is missing"):
        safetensors.write(folder, CONFIG, without(large, "norm/beta"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_interrupted_write_keeps_the_old_file(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(arrays, path):
        path.write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        safetensors.write(folder, CONFIG, random_weights(seed=1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def rewrite_weights(folder, change):
    arrays = {name: array.copy() for name, array in load_file(folder / "model.safetensors").items()}
    save_file(change(arrays), folder / "model.safetensors")


def rewrite_config(folder, **changes):
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(data | changes))


def cut_weights(folder, share):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: int(len(data) * share)])


DAMAGE = {
    "weights cut": (lambda f: cut_weights(f, 0.5), "model.safetensors is truncated"),
    "header cut": (lambda f: cut_weights(f, 0.01), "model.safetensors is truncated"),
    "weights empty": (lambda f: cut_weights(f, 0), "model.safetensors is truncated"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"PK" * 500), "no safetensors file"),
    "NaN": (
        lambda f: rewrite_weights(f, lambda a: a | {"norm/beta": a["norm/beta"] * np.nan}),
        "norm/beta has 6 values that are not finite",
    ),
    "missing": (lambda f: rewrite_weights(f, lambda a: without(a, "head/bias")), "head/bias is missing"),
    "extra": (lambda f: rewrite_weights(f, lambda a: a | {"x": a["head/bias"]}), "x is not part of the model"),
    "type": (lambda f: rewrite_weights(f, lambda a: a | {"norm/beta": np.zeros(6)}), "norm/beta is F64"),
    "no config": (lambda f: (f / "config.json").unlink(), "is incomplete; expected config.json and model.safetensors"),
    "bad JSON": (lambda f: (f / "config.json").write_text('{"image_size": [12,'), "cannot be read as JSON"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "cannot be read as JSON"),
    "other config": (lambda f: (f / "config.json").write_text('{"model_type": "vit"}'), "its own config.json"),
    "other classes": (lambda f: rewrite_config(f, labels=["a", "b"]), r"head/bias has shape \(3,\), expected \(2,\)"),
    "impossible": (lambda f: rewrite_config(f, num_heads=0), "num_heads is 0"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_folder_is_refused_in_one_sentence(folder, damage):
    spoil, message = DAMAGE[damage]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.read(folder)
    assert "\n" not in str(error.value)
    assert str(folder.parent) not in str(error.value)


def test_flipped_bit_of_the_header_is_refused_or_harmless(folder):
    path = folder / "model.safetensors"
    original = path.read_bytes()
    good = checkpoints.read(folder)
    for position in range(0, 8 + int.from_bytes(original[:8], "little"), 7):
        path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        try:
            read = checkpoints.read(folder)
        except CheckpointError:
            continue
        for name, array in good.weights.items():
            np.testing.assert_array_equal(read.weights[name], array)


def test_folder_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere is missing; expected a folder with config.json"):
        checkpoints.detect(tmp_path / "nowhere")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(CheckpointError, match=r"photo.jpg is a file of no known format"):
        checkpoints.detect(tmp_path / "photo.jpg")
    write_config(tmp_path / "config.json", CONFIG)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoints.read(tmp_path)


def test_pytorch_file_is_refused_with_the_command_that_converts_it(tmp_path):
    (tmp_path / "cct_7_3x1_32.pth").write_bytes(b"\x80")
    for source in (tmp_path, tmp_path / "cct_7_3x1_32.pth"):
        with pytest.raises(CheckpointError, match=r"python -m cct_viz convert cct_7_3x1_32.pth --out DIR"):
            checkpoints.model_files(source)


def test_reading_our_own_format_loads_no_framework(folder):
    code = (
        "import sys; from cct_viz import checkpoints; checkpoints.read(sys.argv[1]); "
        "print([m for m in ('keras', 'tensorflow', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
