"""Files of PyTorch, as people save them, without an architecture: the logits of their model, or why not."""

import argparse
import dataclasses
import json
import pathlib
import re
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest

from cct_viz import checkpoints
from cct_viz.architecture.config import ConfigError, Preprocessing, numbered_labels
from cct_viz.checkpoints import CheckpointError, CheckpointWarning, pytorch, safetensors
from cct_viz.checkpoints.convert import convert
from cct_viz.checkpoints.given import ASSUMED_LABELS, Given
from cct_viz.checkpoints.pytorch import state_dict
from cct_viz.checkpoints.pytorch.contents import MOST_VALUES
from cct_viz.images.preprocessing import normalise

CIFAR10 = Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


@pytest.fixture(scope="session")
def compact(torch):
    """The tests' own model in PyTorch; its module imports PyTorch."""
    import compact_torch

    return compact_torch


@pytest.fixture(scope="session")
def state(compact):
    return dict(compact.random_torch_model().state_dict())


@pytest.fixture(scope="session")
def expected(torch, state, tmp_path_factory):
    """The checkpoint of the plain state dict, which every way of saving it has to give."""
    return read_saved(torch, state, tmp_path_factory.mktemp("plain") / "plain.pth")


def read_saved(torch, content, path, **answers):
    torch.save(content, path)
    return checkpoints.read(path, Given(**answers))


def assert_same_weights(ours, theirs):
    assert ours.weights.keys() == theirs.weights.keys()
    for name, array in theirs.weights.items():
        np.testing.assert_array_equal(ours.weights[name], array)


def assert_same_logits(compact, model, checkpoint):
    from cct_viz.architecture.keras_model import build_model

    config = checkpoint.config
    ours = build_model(config)
    checkpoints.assign(ours, checkpoint.weights)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *config.image_size, 3), dtype=np.uint8)
    pixels = pixels if config.channels == 3 else pixels[..., :1].repeat(3, axis=-1)  # exact for grey pictures
    images = normalise(pixels, config.preprocessing)
    theirs = compact.torch_logits(model, images)
    assert np.abs(theirs).max() > 0.1  # a model that answers 0 to everything would agree with any
    np.testing.assert_allclose(np.asarray(ours(images)), theirs, atol=1e-5 * max(1, np.abs(theirs).max()))


# ---- what shapes show


MODELS = {
    "one convolution": ({}, {}),
    "two convolutions": ({"hidden": (64,), "dim": 48, "layers": 2}, {}),
    "kernel 7": ({"kernel": 7, "stride": 2, "padding": 3, "size": (96, 96)}, {}),
    "kernel 5": ({"kernel": 5, "padding": 2}, {}),
    "the paper's width": ({"dim": 192, "heads": 3, "size": (16, 16)}, {}),
    "trained at 64": ({"size": (64, 64)}, {}),
    "other heads": ({"heads": 8}, {"heads": 8}),
    "other stride": ({"stride": 2}, {"stride": 2}),
    "not square": ({"size": (16, 32)}, {"image_size": (16, 32)}),
    "not square, a square number of tokens": ({"size": (16, 64)}, {"image_size": (16, 64)}),
    "patches": ({"kernel": 4, "patches": True}, {}),
    "patches and class token": ({"kernel": 4, "patches": True, "class_token": True, "classes": 3}, {}),
    "sinusoidal": ({"position": "sine"}, {}),
    "no position": ({"position": "none"}, {}),
    "grey": ({"channels": 1}, {"mean": (0.4,), "std": (0.3,)}),
    "one logit": ({"classes": 1}, {}),
    "two classes": ({"classes": 2}, {}),
}


@pytest.mark.parametrize(("choices", "answers"), MODELS.values(), ids=MODELS)
def test_a_state_dict_alone_gives_the_logits_of_its_model(torch, compact, tmp_path, choices, answers):
    model = compact.random_torch_model(**choices)
    checkpoint = read_saved(torch, model.state_dict(), tmp_path / "a.pth", **answers)
    config = checkpoint.config
    assert config.image_size == choices.get("size", (32, 32))
    assert config.num_heads == choices.get("heads", 2)
    assert config.position == {"sine": "sinusoidal"}.get(choices.get("position"), choices.get("position", "learnable"))
    assert config.labels == numbered_labels(choices.get("classes", 5))
    assert config.output == ("sigmoid" if choices.get("classes") == 1 else "softmax")
    assert_same_logits(compact, model, checkpoint)


def test_every_assumption_is_said_and_every_answer_ends_one(torch, state, tmp_path):
    said = read_saved(torch, state, tmp_path / "a.pth").config.assumptions
    for words in (
        "heads the model has: 2",
        "stride 1, padding 1, ReLU",
        "32x32 pixels are assumed",
        "normalised: mean 0.4914",
    ):
        assert [words in text for text in said].count(True) == 1
    assert ASSUMED_LABELS in said
    answers = {"heads": 2, "stride": 1, "image_size": (32, 32), "mean": (0.5,), "std": (0.5,)}
    labels = ("a", "b", "c", "d", "e")
    left = read_saved(torch, state, tmp_path / "a.pth", labels=labels, **answers).config.assumptions
    assert left == (
        "The file does not say the padding and pooling of its convolutions: padding 1, ReLU and a 3x3 max pool of "
        "stride 2 are assumed.",
    )


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"heads": 5}, "5 heads do not divide the width of 32 channels"),
        ({"ema": True}, r"a\.pth holds no averaged weights"),
        ({"labels": ("a", "b")}, "2 labels were given, but the model has 5 classes"),
    ],
)
def test_answers_that_do_not_fit_are_refused(torch, state, tmp_path, answers, message):
    with pytest.raises(ConfigError, match=message):
        read_saved(torch, state, tmp_path / "a.pth", **answers)


def test_another_image_size_and_a_new_head_only_on_request(torch, state, tmp_path):
    with pytest.warns(CheckpointWarning) as caught:
        config = read_saved(torch, state, tmp_path / "a.pth", image_size=(24, 48), new_head=7).config
    assert (config.image_size, config.num_classes) == ((24, 48), 7)
    notes = [str(warning.message) for warning in caught]
    assert any("resized bilinearly from 16x16 to 12x24 tokens" in note for note in notes)
    assert any("the new head is untrained" in note for note in notes)


def test_tokens_that_make_no_square_ask_for_the_size(torch, compact, tmp_path):
    model = compact.random_torch_model(size=(16, 32))
    with pytest.raises(CheckpointError, match=r"128 tokens, which are no square grid: .*--image-size HEIGHT WIDTH"):
        read_saved(torch, model.state_dict(), tmp_path / "a.pth")


def test_a_named_architecture_keeps_the_files_size(torch, compact, tmp_path):
    from cct_viz.architecture.config import write_config

    model = compact.random_torch_model(size=(64, 64))
    config = read_saved(torch, model.state_dict(), tmp_path / "a.pth").config
    write_config(tmp_path / "arch.json", dataclasses.replace(config, image_size=(32, 32), assumptions=()))
    checkpoint = checkpoints.read(tmp_path / "a.pth", Given(arch=str(tmp_path / "arch.json")))
    assert checkpoint.config.image_size == (64, 64)
    assert_same_logits(compact, model, checkpoint)


# ---- where scripts put the weights


def prefixed(prefix):
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def split_parts(state):
    parts = {"tokenizer": {}, "classifier": {}}
    for name, value in state.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = value
    return parts


def wrap_inside(state):
    """Each block compiled and sharded by itself."""
    return {re.sub(r"blocks\.(\d+)\.", r"blocks.\1._orig_mod._fsdp_wrapped_module.", n): v for n, v in state.items()}


WAYS = {
    "plain": lambda state: state,
    "any key": lambda state: {"net": state, "acc": 91.2, "epoch": 5},
    "deep": lambda state: {"run": {"last": {"weights": {"model": state}}}},
    "submodule": prefixed("cct_model."),
    "data parallel": lambda state: {"state_dict": prefixed("module.")(state)},
    "compiled data parallel module": prefixed("module._orig_mod.model.net."),
    "wrapped inside": wrap_inside,
    "named like a part": prefixed("classifier."),
    "in two dicts": split_parts,
    "timm": lambda state: {
        "epoch": 3,
        "arch": "cct",
        "state_dict": state,
        "optimizer": {"state": {0: {"exp_avg": state["classifier.fc.bias"]}}, "param_groups": [{"lr": 0.1}]},
        "args": argparse.Namespace(model="cct", lr=0.1, out=pathlib.PurePosixPath("runs")),
        "metric": np.float64(88.0),
    },
    "lightning": lambda state: {
        "state_dict": prefixed("model.")(state),
        "hyper_parameters": {"lr": 1e-3, "num_heads": 2},
        "callbacks": {"best": {"path": "a.ckpt"}},
        "pytorch-lightning_version": "2.0",
    },
    "twice the same": lambda state: prefixed("model.")(state) | prefixed("backbone.")(state),
    "in a tuple": lambda state: (state, {"lr": 0.1}, 5),
    "a script's record": lambda state: {"model": state, "best": types.SimpleNamespace(accuracy=np.float32(0.9))},
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_weights_are_found_wherever_they_lie(torch, state, expected, tmp_path, way, zipped):
    torch.save(way(state), tmp_path / "odd name.tmp", _use_new_zipfile_serialization=zipped)
    assert_same_weights(checkpoints.read(tmp_path / "odd name.tmp"), expected)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin", ".pth.tar", ".safetensors", ".keras", ""])
def test_names_of_files_say_nothing(torch, state, expected, tmp_path, suffix):
    from safetensors.torch import save_file

    torch.save(state, tmp_path / f"pickled{suffix}")
    save_file(state, tmp_path / f"tensors{suffix}")
    for name, libraries in (("pickled", ("torch",)), ("tensors", ())):
        path = tmp_path / f"{name}{suffix}"
        assert_same_weights(checkpoints.read(path), expected)
        assert pytorch.libraries(path) == libraries


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("way", ["pth", "safetensors"])
def test_other_floats_are_read_as_they_are(torch, state, tmp_path, kind, way):
    from safetensors.torch import save_file

    state = {name: value.to(getattr(torch, kind)) for name, value in state.items()}
    if way == "pth":
        torch.save(state, tmp_path / "a")
    else:
        save_file(state, tmp_path / "a")
    weights = checkpoints.read(tmp_path / "a").weights
    np.testing.assert_array_equal(weights["head/bias"], state["classifier.fc.bias"].float().numpy())
    theirs = state["classifier.blocks.0.linear1.weight"].float().numpy()
    np.testing.assert_array_equal(weights["block_0/mlp_1/kernel"], theirs.T)


AVERAGED = {
    "timm": lambda state, ema: {"state_dict": state, "state_dict_ema": ema},
    "lightning": lambda state, ema: {"state_dict": prefixed("model.")(state) | prefixed("ema_model.module.")(ema)},
    "shadow": lambda state, ema: {"model": state, "ema": {"decay": 0.99, "shadow": ema}},
    "model_ema": lambda state, ema: {"model": prefixed("module.")(state), "model_ema": ema},
}


@pytest.mark.usefixtures("reads_here")
@pytest.mark.parametrize("way", AVERAGED.values(), ids=AVERAGED)
def test_trained_or_averaged_weights_as_asked_and_the_card_says_which(torch, state, expected, tmp_path, way, capsys):
    from cct_viz.cli import main

    averaged = {name: value + 0.25 for name, value in state.items()}
    torch.save(way(state, averaged), tmp_path / "a.pth")
    for options, weights, words in (([], state, "trained ones"), (["--ema"], averaged, "averaged ones")):
        out = tmp_path / f"out{len(options)}"
        assert main(["convert", str(tmp_path / "a.pth"), "--out", str(out), *options]) == 0
        assert f"the {words} (" in capsys.readouterr().err
        card = (out / "README.md").read_text()
        assert f"the {words} (" in card
        assert ("--ema" in card.split("## ")[0].split("--out")[1].splitlines()[0]) == bool(options)
        bias = checkpoints.read(out).weights["head/bias"]
        np.testing.assert_array_equal(bias, weights["classifier.fc.bias"].numpy())
    assert_same_weights(checkpoints.read(tmp_path / "out0"), expected)


def test_several_models_are_refused_by_name(torch, state, tmp_path):
    other = {name: value + 1 for name, value in state.items()}
    with pytest.raises(CheckpointError, match=r"a\.pth holds 2 models \(student, teacher\)"):
        read_saved(torch, {"student": state, "teacher": other}, tmp_path / "a.pth")


def test_the_usual_place_is_preferred_aloud(torch, state, expected, tmp_path):
    other = {name: value + 1 for name, value in state.items()}
    with pytest.warns(CheckpointWarning, match=r"also holds other weights \(best\); those of state_dict were read"):
        assert_same_weights(read_saved(torch, {"best": other, "state_dict": state}, tmp_path / "a.pth"), expected)


def test_what_is_not_the_model_is_left_out_aloud(torch, state, expected, tmp_path):
    content = prefixed("model.")(state) | {"criterion.weight": torch.ones(5), "n_averaged": torch.tensor(3)}
    with pytest.warns(CheckpointWarning) as caught:
        checkpoint = read_saved(torch, {"state_dict": content}, tmp_path / "a.pth")
    notes = [str(warning.message) for warning in caught]
    assert any("criterion.weight is not part of the model; left out" in note for note in notes)
    assert any("n_averaged holds no floating-point numbers; left out" in note for note in notes)
    assert_same_weights(checkpoint, expected)


def test_an_array_that_may_take_part_is_not_lost(torch, state, tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.pth: .*1 not part of the model \(gate\.weight\)"):
        read_saved(torch, state | {"gate.weight": torch.ones(3)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"not part of the model \(classifier\.blocks\.0\.self_attn\.qkv\.bias\)"):
        read_saved(torch, state | {"classifier.blocks.0.self_attn.qkv.bias": torch.ones(96)}, tmp_path / "a.pth")


def with_head(state, **layers):
    kept = {name: value for name, value in state.items() if not name.startswith("classifier.fc")}
    return kept | {f"classifier.fc.{name.replace('_', '.')}": value for name, value in layers.items()}


def test_the_one_linear_layer_of_a_head_is_taken(torch, state, expected, tmp_path):
    weight, bias = state["classifier.fc.weight"], state["classifier.fc.bias"]
    content = with_head(state) | {"classifier.fc.1.weight": weight, "classifier.fc.1.bias": bias}
    assert_same_weights(read_saved(torch, content, tmp_path / "a.pth"), expected)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"0_weight": (8, 32), "0_bias": (8,), "3_weight": (5, 8), "3_bias": (5,)}, r"2 layers \(classifier\.fc\.0, "),
        ({"0_weight": (32,), "0_bias": (32,), "1_weight": (5, 32), "1_bias": (5,)}, "head of 2 layers"),
        ({}, r"classifier\.fc\.weight is missing"),
    ],
)
def test_other_heads_are_refused_or_replaced(torch, state, tmp_path, layers, message):
    content = with_head(state, **{name: torch.ones(shape) for name, shape in layers.items()})
    with pytest.raises(CheckpointError, match=message):
        read_saved(torch, content, tmp_path / "a.pth")
    with pytest.warns(CheckpointWarning, match="the new head is untrained"):
        assert read_saved(torch, content, tmp_path / "a.pth", new_head=4).config.num_classes == 4


# ---- what files say beside the weights


def test_values_beside_the_weights_are_used(torch, compact, tmp_path):
    model = compact.random_torch_model(heads=8, stride=2, size=(48, 48), kernel=5, padding=2)
    said = argparse.Namespace(num_heads=8, stride=2, padding=2, img_size=48, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    said.pooling_kernel_size, said.pooling_stride, said.pooling_padding = 3, 2, 1
    content = {"state_dict": model.state_dict(), "args": said, "class_to_idx": {"b": 1, "a": 0, "c": 2, "d": 3, "e": 4}}
    checkpoint = read_saved(torch, content, tmp_path / "a.pth")
    config = checkpoint.config
    assert config.assumptions == ()
    assert (config.labels, config.num_heads, config.image_size) == (("a", "b", "c", "d", "e"), 8, (48, 48))
    assert config.preprocessing == Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert_same_logits(compact, model, checkpoint)
    assert checkpoints.read(tmp_path / "a.pth", Given(heads=4)).config.num_heads == 4


def test_paddings_of_0_and_other_pools_are_used(torch, compact, tmp_path):
    model = compact.random_torch_model(kernel=5, padding=0, pool=(2, 2, 0), size=(36, 36))
    said = {"padding": 0, "pooling_kernel_size": 2, "pooling_stride": 2, "pooling_padding": 0, "img_size": 36}
    checkpoint = read_saved(torch, {"model": model.state_dict(), "config": said}, tmp_path / "a.pth")
    assert checkpoint.config.image_size == (36, 36)
    assert_same_logits(compact, model, checkpoint)


@pytest.mark.parametrize(
    "said",
    [
        {"num_heads": 7, "img_size": 8, "classes": ["one"], "mean": [125.0, 123.0, 114.0], "std": [63.0, 62.0, 67.0]},
        {"num_heads": "2", "img_size": "32", "classes": 5, "mean": None, "std": 0.2},
        {"num_heads": True, "img_size": [3, 4, 5, 6], "classes": {"a": "b"}, "mean": [0.1], "std": [-0.1]},
        {"num_heads": 10**12, "img_size": 10**12, "classes": ["a"] * 5, "mean": ["x"] * 3, "std": ["y"] * 3},
        {"num_heads": -2, "img_size": -32, "classes": ["a\n", "b", "c", "d", "e"]},
    ],
)
def test_values_that_do_not_fit_are_not_used(torch, state, expected, tmp_path, said):
    assert read_saved(torch, {"state_dict": state, "config": said}, tmp_path / "a.pth").config == expected.config


def test_values_that_disagree_are_not_used(torch, state, expected, tmp_path):
    content = {"state_dict": state, "teacher": {"num_heads": 16}, "student": {"num_heads": 8}}
    assert read_saved(torch, content, tmp_path / "a.pth").config == expected.config


# ---- folders of PyTorch's hub mixin


@pytest.fixture
def hub_folder(torch, state, tmp_path):
    from safetensors.torch import save_file

    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"img_size": 32, "num_heads": 2, "num_classes": 5}))
    return folder


def test_a_hub_mixin_folder_needs_no_pytorch(hub_folder, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert checkpoints.detect(hub_folder) == "pytorch_hub"
    checkpoint = checkpoints.read(hub_folder)
    assert_same_weights(checkpoint, expected)
    assert not any("heads" in text or "size" in text for text in checkpoint.config.assumptions)
    assert checkpoints.model_files(hub_folder) == ["config.json", "model.safetensors"]  # `load` reads it as it is


def test_a_hub_mixin_folder_of_another_model_is_named(hub_folder, torch):
    from safetensors.torch import save_file

    save_file({"layer1.0.conv1.weight": torch.ones(3), "fc.weight": torch.ones(3)}, hub_folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"hub holds a ResNet \(2 arrays\); expected a CCT"):
        checkpoints.read(hub_folder)


def test_weights_of_this_project_without_their_config_are_named(hub_folder, expected, tmp_path):
    safetensors.write(tmp_path / "own", expected.config, expected.weights)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is this project's, .*; give the whole folder"):
        checkpoints.read(tmp_path / "own" / "model.safetensors")


def test_a_folder_with_several_files_asks_for_one(torch, state, tmp_path):
    for name in ("last.pth.tar", "model_best.pth.tar"):
        torch.save(state, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"2 files of PyTorch \(last\.pth\.tar, model_best\.pth\.tar\); give one"):
        checkpoints.read(tmp_path)


# ---- files that are something else


@pytest.mark.usefixtures("reads_here")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        (b"\x1f\x8b\x08\x00", "is a gzip archive"),
        (b"weights", "is a file of no known format"),
        (b"\x80", "truncated, damaged"),
        (b"PK\x03\x04" + bytes(26) + b"archive/data.pkl", "truncated, damaged"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "truncated, damaged or no safetensors"),
        ((10**7).to_bytes(8, "little") + b"{", "truncated, damaged or no safetensors"),
        ((60_000).to_bytes(8, "little") + b"{" * 60_000, "truncated, damaged or no safetensors"),
    ],
)
def test_files_of_another_kind_are_named(torch, tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.pth {message}|a\.pth is {message}"):
        convert(tmp_path / "a.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


OTHERS = {
    "a ResNet": ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"],
    "a ViT of timm": ["cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "head.weight"],
    "a ViT of torchvision": ["conv_proj.weight", "encoder.layers.encoder_layer_0.ln_1.weight"],
    "a ViT of transformers": [
        "vit.embeddings.patch_embeddings.projection.weight",
        "vit.encoder.layer.0.attention.attention.query.weight",
    ],
    "a CCT for text": ["embedder.embeddings.weight", "classifier.blocks.0.pre_norm.weight"],
    "the encoder of a compact transformer without its tokenizer": ["classifier.blocks.0.pre_norm.weight"],
    "a VGG or AlexNet": ["features.0.weight", "classifier.6.weight"],
    "another model, with arrays such as alpha, beta": ["alpha", "beta"],
}


@pytest.mark.parametrize(("what", "names"), OTHERS.items(), ids=OTHERS)
def test_another_architecture_is_named(torch, tmp_path, what, names):
    with pytest.raises(CheckpointError, match=rf"a\.pth holds {what}.*; expected a CCT, CVT or ViT-Lite"):
        read_saved(torch, {"state_dict": {name: torch.ones(3) for name in names}}, tmp_path / "a.pth")


def test_programs_and_whole_models_are_named(torch, compact, tmp_path):
    model = compact.random_torch_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates TorchScript
        torch.jit.trace(model, torch.zeros(1, 3, 32, 32)).save(tmp_path / "script.pth")
    with pytest.raises(CheckpointError, match=r"script\.pth is a TorchScript program.*save its state_dict\(\)"):
        checkpoints.read(tmp_path / "script.pth")
    for zipped in (True, False):
        torch.save({"model": model}, tmp_path / "whole.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"whole pickled model \(compact_torch\.CompactTransformer\)"):
            checkpoints.read(tmp_path / "whole.pth")


def test_odd_shapes_are_named(torch, state, tmp_path):
    first = "tokenizer.conv_layers.0.0.weight"
    for shape, message in (
        ((32, 3, 3, 3, 3), "videos"),
        ((32, 4, 3, 3), "images of 4 channels"),
        ((32, 3, 3, 5), "expected a square"),
        ((32, 3, 3), "expected 4 axes"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read_saved(torch, state | {first: torch.ones(shape)}, tmp_path / "a.pth")
    part = {name: value for name, value in state.items() if "blocks" not in name}
    with pytest.raises(CheckpointError, match=r"linear1\.weight is missing; the file holds only a part"):
        read_saved(torch, part, tmp_path / "a.pth")


# ---- hostile and damaged files


def test_a_tensor_that_claims_more_than_its_storage_is_refused(torch, state, tmp_path):
    huge = torch.ones(1).expand(10**6, 10**6)
    with pytest.raises(CheckpointError, match=r"said to have 1,000,000,000,000 numbers, but the file holds 1 of it"):
        read_saved(torch, state | {"classifier.norm.weight": huge}, tmp_path / "a.pth")


def test_dicts_that_unfold_without_end_are_refused(torch, tmp_path):
    content = {"a": 1.0}
    for _ in range(11):
        content = {str(i): content for i in range(10)}
    with pytest.raises(CheckpointError, match=f"more than {MOST_VALUES:,} values"):
        read_saved(torch, content, tmp_path / "a.pth")


def pack(path, out, *, method=zipfile.ZIP_DEFLATED, **more):
    """Pack an archive again, as a zip program does; `more` are further members."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, content in more.items():
            new.writestr(name, content)


def test_an_archive_that_a_zip_program_packed_is_read(torch, state, expected, tmp_path):
    torch.save(state, tmp_path / "a.pth")
    pack(tmp_path / "a.pth", tmp_path / "b.pth")
    assert (tmp_path / "b.pth").stat().st_size < (tmp_path / "a.pth").stat().st_size
    assert_same_weights(checkpoints.read(tmp_path / "b.pth"), expected)
    pack(tmp_path / "a.pth", tmp_path / "c.pth", junk=bytes(10_000_000))
    with pytest.raises(
        CheckpointError, match=r"^junk in c\.pth unpacks to 10,000,000 bytes, far more than the archive"
    ):
        checkpoints.read(tmp_path / "c.pth")
    pack(tmp_path / "a.pth", tmp_path / "d.pth", method=zipfile.ZIP_BZIP2)
    with pytest.raises(CheckpointError, match=r"^d\.pth is compressed in a way that is not used for weights"):
        checkpoints.read(tmp_path / "d.pth")


def quantise(torch, state):
    return {name: value.to(torch.int8) for name, value in state.items()}


def leave_numbers(torch, state):
    return state | {"classifier.fc.weight": state["classifier.fc.weight"].to("meta")}


def empty_conv(torch, state):
    return state | {"tokenizer.conv_layers.0.0.weight": torch.zeros(0, 3, 3, 3)}


def repeat(torch, state):
    """One array of half precision under 20,000 names, each of which would become an array of its own."""
    array = torch.zeros(1000, dtype=torch.float16)
    return state | {f"classifier.blocks.{i}.pre_norm.weight": array for i in range(1, 20_000)}


def name_long(torch, state):
    return state | {"x" * 10_000: dict.fromkeys(map(str, range(4000)), state["classifier.fc.bias"])}


def share(torch, state):
    """Lists that share their parts, which written out are larger than any disk."""
    names = [f"name {i}" for i in range(90_000)]
    return state | {"a": {f"k{i}": {"classes": names} for i in range(20_000)}}


ODD_STATES = {
    quantise: r"holds whole numbers \(int8\): the model is quantised; convert the weights that it was",
    leave_numbers: r"^classifier\.fc\.weight is a tensor without its numbers \(on the device 'meta'\)",
    empty_conv: r"^tokenizer\.conv_layers\.0\.0\.weight has shape \(0, 3, 3, 3\): it is empty",
    repeat: r"^a\.pth says that its arrays have far more numbers than it holds; download it again$",
    name_long: r"^the file nests its dicts into more than 300,000 values, or their names are far too long$",
}


@pytest.mark.parametrize("change", ODD_STATES, ids=lambda change: change.__name__)
def test_odd_tensors_are_refused_by_what_they_are(torch, state, tmp_path, change):
    torch.save(change(torch, state), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=ODD_STATES[change]):
        checkpoints.read(tmp_path / "a.pth")


def test_a_shared_list_is_looked_at_once(torch, state, expected, tmp_path):
    torch.save(share(torch, state), tmp_path / "a.pth")
    assert_same_weights(checkpoints.read(tmp_path / "a.pth"), expected)


def test_integers_in_a_safetensors_file_are_called_quantised(torch, state, tmp_path):
    from safetensors.torch import save_file

    save_file(quantise(torch, state), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"holds whole numbers \(int8\): the model is quantised"):
        checkpoints.read(tmp_path / "a.safetensors")


def test_a_list_of_far_too_many_arrays_is_not_read(tmp_path):
    header = json.dumps(
        {f"a{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(80_000)}
    ).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(
        CheckpointError, match=r"begins with a list of arrays of [\d,]+ bytes; expected 4,000,000 at most"
    ):
        checkpoints.read(tmp_path / "a.safetensors")


def test_long_names_that_a_pickle_imports_are_kept_once(torch, state, tmp_path):
    """The opcode that imports is one byte long, and may be repeated: all names together would fill the memory."""
    torch.save(state, tmp_path / "a.pth")
    text = b"X" + (100_000).to_bytes(4, "little") + b"x" * 100_000
    with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(tmp_path / "b.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\x80\x04" + 2 * text + b"\x93" * 20_000 + b"." if "pkl" in name else old.read(name))
    assert state_dict._imports(tmp_path / "b.pth") == [".".join(["x" * 200] * 2)]
    with pytest.raises(
        CheckpointError, match=r"damaged or no PyTorch file; .*: it asks for a class with a name of more"
    ):
        checkpoints.read(tmp_path / "b.pth")


def mutate(content, rng):
    """One damaged version: cut off, with changed bytes, with an absurd number, or with a part twice."""
    content = bytearray(content)
    kind, place = rng.integers(4), int(rng.integers(len(content)))
    if kind == 0:
        del content[place:]
    elif kind == 1:
        for spot in rng.integers(len(content), size=rng.integers(1, 9)):
            content[spot] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        content[place : place + 8] = int(rng.choice([2**63 - 1, 2**32 - 1, 2**31, 0])).to_bytes(8, "little")
    else:
        content[place:place] = content[place : place + int(rng.integers(1, 400))]
    return bytes(content)


WRITERS = ("zip", "before 1.6", "safetensors")


def write_as(torch, state, path, writer):
    from safetensors.torch import save_file

    if writer == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=writer == "zip")


def read_mutations(torch, state, folder, writer, count, seed=0):
    """How many of `count` damaged versions were refused; anything but a refusal or a model fails."""
    rng = np.random.default_rng(seed)
    write_as(torch, state, folder / "whole", writer)
    whole, refused = (folder / "whole").read_bytes(), 0
    # Half of the changes are near the start or the end, where headers and directories are.
    for i in range(count):
        edge = 3000 if i % 2 else len(whole)
        begin = 0 if i % 4 == 1 else max(0, len(whole) - edge)
        damaged = whole[:begin] + mutate(whole[begin : begin + edge], rng) + whole[begin + edge :]
        (folder / "damaged").write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CheckpointWarning)
                checkpoints.read(folder / "damaged")
        except (CheckpointError, ConfigError):
            refused += 1
    return refused


@pytest.mark.parametrize("writer", WRITERS)
def test_damaged_files_are_refused_and_never_crash(torch, compact, tmp_path, writer):
    state = compact.random_torch_model(dim=8, inner=8, size=(8, 8)).state_dict()
    refused = read_mutations(torch, state, tmp_path, writer, 40)
    # A changed number in the weights goes unnoticed where the format has no checksum.
    assert refused >= {"zip": 38, "before 1.6": 15, "safetensors": 10}[writer]
